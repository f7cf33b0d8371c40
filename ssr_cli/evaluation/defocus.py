"""Score enlargements of depth-rendered defocus, where kernels and depth are known as well as the sharp picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ssr_cli.errors import InputError, UsageError
from ssr_cli.evaluation.benchmark import BICUBIC, Judge, as_written, bicubic, our_options, timed_upscale
from ssr_cli.evaluation.metrics import edge_error, spearman
from ssr_cli.evaluation.pairs import read_rgb
from ssr_cli.evaluation.rows import Row, cell, print_means, row_writer
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.synthesis.blur_models import random_lens, thin_lens
from ssr_cli.synthesis.degrade import add_noise
from ssr_cli.synthesis.photo_scenes import random_mask
from ssr_cli.synthesis.render import render
from ssr_cli.synthesis.scene import Layer, Rendered

if TYPE_CHECKING:
    from pathlib import Path

    from ssr_cli.console import Console
    from ssr_cli.frames import Analysis, DepthMap, KernelField
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import Models

_SCALE = 4
_LARGEST_SIDE = 512
_SMALLEST_SIDE = 64
_CUTOUTS = 2
#: Own blur of the rendered lens where it is in focus.
_LENS_SIGMA_PX = 0.8
#: Disparity of the ground at the bottom of the picture; cut-outs stand before it.
_GROUND_NEAREST = 0.5


def square_crops(photos: Sequence[Tensor]) -> list[Tensor]:
    """Centre crops of one size: the shortest side of all, at most 512, a multiple of 4.

    Args:
        photos: each (3, H, W).

    Returns:
        Each (3, S, S).
    """
    side = min(_LARGEST_SIDE, *(min(photo.shape[-2:]) for photo in photos)) // _SCALE * _SCALE
    crops = []
    for photo in photos:
        top, left = (photo.shape[-2] - side) // 2, (photo.shape[-1] - side) // 2
        crops.append(photo[:, top : top + side, left : left + side])
    return crops


def defocus_scene(crops: Sequence[Tensor], index: int, seed: int, noise: float = 1 / 255) -> Rendered:
    """Photograph crop `index` as sloping ground, cut-outs of the next crops before it, through a random thin lens.

    Args:
        crops: each (3, S, S), encoded, 0..1, S a multiple of 4.
        index: the background's; decides lens and cut-outs together with the seed.
        seed: of the whole set.
        noise: standard deviation, encoded units.

    Returns:
        The photograph as an 8-bit file holds it, and its truth.
    """
    rng = np.random.default_rng((seed, index))
    side = crops[index].shape[-1]
    ground = torch.linspace(0, _GROUND_NEAREST, side)[:, None].expand(side, side).contiguous()
    layers = [Layer(srgb_to_linear(crops[index]), torch.ones(side, side), ground)]
    for i, near in enumerate(np.sort(rng.uniform(_GROUND_NEAREST + 0.1, 1.0, _CUTOUTS))):
        texture = crops[(index + 1 + i) % len(crops)]
        layers.append(Layer(srgb_to_linear(texture), random_mask(side, rng), torch.full((side, side), float(near))))
    lens = random_lens(rng)
    blur = thin_lens(rng, *lens, shapes.gaussian(_LENS_SIGMA_PX, _LENS_SIGMA_PX), _SCALE)
    scene = render(layers, blur, default_dictionary(_SCALE), lambda linear: linear_to_srgb(linear.clamp(0, 1)))
    seen = as_written(add_noise(scene.lr, noise, 0.0, rng))
    return Rendered(scene.hr, seen, scene.code, scene.covariance, scene.disparity, lens)


def sigma_error_px(field: KernelField, covariance: Tensor) -> float:
    """Mean absolute error of the local blur's standard deviation, HR px, against the true covariance (3, h, w)."""
    true_sigma = (0.5 * (covariance[0] + covariance[1])).clamp_min(0).sqrt()
    return float((field.sigma_px - true_sigma).abs().mean())


def analysis_figures(analysis: Analysis, truth: Rendered) -> Row:
    """Kernel and depth errors per round of refinement; the depth's lists begin with the estimator's own answer."""
    depths: list[DepthMap] = [analysis.depth_before, *(turn.depth for turn in analysis.rounds)]
    return {
        "sigma_error_px": [sigma_error_px(turn.field, truth.covariance) for turn in analysis.rounds],
        "depth_spearman": [spearman(depth.disparity, truth.disparity) for depth in depths],
        "depth_edge_error": [edge_error(depth.disparity, truth.disparity) for depth in depths],
    }


def _load(photos: Sequence[Path], limit: int | None) -> tuple[list[str], list[Tensor]]:
    chosen = list(photos)[:limit]
    if not chosen:
        raise InputError("There are no photos to render defocus from.", "Name at least one sharp photo.")
    pixels = [read_rgb(path) for path in chosen]
    for path, rgb in zip(chosen, pixels, strict=True):
        if min(rgb.shape[-2:]) < _SMALLEST_SIDE:
            raise InputError(f"{path} is too small.", f"Give photos with sides of at least {_SMALLEST_SIDE} pixels.")
    return [path.stem for path in chosen], square_crops(pixels)


def score_defocus(
    photos: Sequence[Path],
    models: Models | None,
    options: UpscaleOptions,
    lpips_weights: Path | None,
    limit: int | None,
    console: Console,
    seed: int = 0,
    noise: float = 1 / 255,
    jsonl: Path | None = None,
) -> list[Row]:
    """Render one scene per photo, enlarge it, score it, and print a table of means and one per refinement round.

    Args:
        photos: sharp photos; they must not be among those trained on. All are cropped to the smallest one's size.
        models: ours, or None to score only bicubic.
        options: for our rows, at scale 4; a second one has the same with `steps=0`.
        lpips_weights: LPIPS file, or None to leave that column out.
        limit: how many photos, or None for all.
        console: for progress and tables.
        seed: of the scenes (not of the sampler).
        noise: standard deviation, encoded units.
        jsonl: file that gets each row the moment it is known, one JSON object a line; overwritten.

    Returns:
        Rows as `score_pairs` gives them; ours also with the lists of `analysis_figures`.

    Raises:
        InputError: when there are no photos, or one is unreadable or too small.
        OutputError: when `jsonl` cannot be written.
        UsageError: at another scale than 4.
    """
    from ssr_cli.device import resolve_device

    if options.scale != _SCALE:
        raise UsageError("Rendered defocus is measured at scale 4.", "Leave --scale at 4.")
    names, crops = _load(photos, limit)
    judge = Judge(lpips_weights, resolve_device(options.device))
    rows: list[Row] = []
    with row_writer(jsonl) as write, console.progress("Scoring rendered defocus") as tell:
        for index, name in enumerate(names):
            tell(name, index, len(names))
            scene = defocus_scene(crops, index, seed, noise)
            if index == 0 and models is not None:
                timed_upscale(scene.lr, models, options)  # the first run pays for warming up; no row does
            for row in _score_scene(scene, models, options, judge):
                rows.append({"set": "defocus", "image": name, **row})
                write(rows[-1])
    print_means(rows, console)
    print_rounds(rows, console)
    return rows


def _score_scene(scene: Rendered, models: Models | None, options: UpscaleOptions, judge: Judge) -> list[Row]:
    height, width = scene.hr.shape[-2:]
    rows: list[Row] = [
        {"method": BICUBIC, **judge.figures(bicubic(scene.lr, (height, width)), scene.hr), "seconds": None}
    ]
    if models is None:
        return rows
    for name, given in our_options(options).items():
        result, seconds = timed_upscale(scene.lr, models, given)
        figures = judge.figures(result.photo.rgb, scene.hr)
        rows.append({"method": name, **figures, "seconds": seconds, **analysis_figures(result.analysis, scene)})
    return rows


def _mean_at(rows: Sequence[Row], figure: str, place: int) -> float | None:
    known = [row[figure][place] for row in rows if not math.isnan(row[figure][place])]
    return sum(known) / len(known) if known else None


def print_rounds(rows: Sequence[Row], console: Console) -> None:
    """Print kernel and depth errors before and after each refinement round, mean of the rows that have them."""
    analysed = [row for row in rows if "sigma_error_px" in row]
    # Steps of the sampler do not touch the analysis: one method's rows are enough.
    analysed = [row for row in analysed if row["method"] == analysed[0]["method"]]
    if not analysed:
        return
    cells = []
    for step in range(len(analysed[0]["depth_spearman"])):
        sigma = _mean_at(analysed, "sigma_error_px", step - 1) if step else None
        depth = [_mean_at(analysed, figure, step) for figure in ("depth_spearman", "depth_edge_error")]
        cells.append(["before" if step == 0 else str(step), cell(sigma, 3), *(cell(value, 3) for value in depth)])
    console.table("Per round", ["round", "sigma error px", "depth Spearman", "depth edge error"], cells)
