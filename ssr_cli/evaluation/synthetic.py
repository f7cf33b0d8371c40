"""Score enlargements of photos degraded by known blur: the picture, the kernels and the depth against their truth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ssr_cli.errors import InputError, UsageError
from ssr_cli.evaluation.benchmark import BICUBIC, Judge, bicubic, costs
from ssr_cli.evaluation.given_depths import SceneDepth, own_estimate, spoiled_depth, true_depth
from ssr_cli.evaluation.held_out import held_out_rounds
from ssr_cli.evaluation.kernel_errors import kernel_figures
from ssr_cli.evaluation.measuring import measure
from ssr_cli.evaluation.metrics import edge_error, spearman
from ssr_cli.evaluation.pairs import read_rgb
from ssr_cli.evaluation.rows import Row, cell, collected, print_means
from ssr_cli.evaluation.scenes import SCALE, SETS, Scene, measured_shake, square_crops
from ssr_cli.evaluation.variants import our_options
from ssr_cli.frames import DepthMap

if TYPE_CHECKING:
    from pathlib import Path

    from ssr_cli.console import Console
    from ssr_cli.frames import Analysis
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import Models

_SMALLEST_SIDE = 64
#: Radii that differ by less are one blur, HR px.
_SAME_BLUR_PX = 0.1
#: Noise of every set, encoded units.
NOISE = 2 / 255
TRUE_DEPTH, SPOILED_DEPTH = "ssr, true depth", "ssr, spoiled depth"
#: Figures of a round and their headings.
_ROUND_FIGURES = {
    "sigma_error_px": "sigma px",
    "axis_ratio_error": "axis ratio",
    "angle_error_deg": "angle deg",
    "blur_error": "blur",
    "blur_error_single": "best single kernel",
    "held_out_db": "field dB",
    "held_out_db_single": "best single kernel dB",
    "gate_follows_blur": "kernel gate ~ blur",
    "depth_spearman": "Spearman",
    "depth_edge_error": "edge error",
}
#: What is printed together, so that a table fits a terminal of 80 columns.
_ROUND_TABLES = {
    "Kernel errors per round": (
        "sigma_error_px",
        "axis_ratio_error",
        "angle_error_deg",
        "blur_error",
        "blur_error_single",
    ),
    "LR-PSNR on pixels held out of the estimate, and AMF's gate": (
        "held_out_db",
        "held_out_db_single",
        "gate_follows_blur",
    ),
    "Depth per round": ("depth_spearman", "depth_edge_error"),
}


def analysis_figures(analysis: Analysis, scene: Scene) -> list[Row]:
    """Errors before (depth alone) and after every round; depth is left out where the scene has none."""
    flat = float(scene.truth.disparity.max() - scene.truth.disparity.min()) < 1e-6
    depths: list[DepthMap] = [analysis.depth_before, *(turn.depth for turn in analysis.rounds)]
    rows: list[Row] = []
    for t, depth in enumerate(depths):
        row: Row = {"round": t, **(kernel_figures(analysis.rounds[t - 1].field, scene) if t else {})}
        if not flat:
            row["depth_spearman"] = spearman(depth.disparity, scene.truth.disparity)
            row["depth_edge_error"] = edge_error(depth.disparity, scene.truth.disparity)
        rows.append(row)
    if analysis.fusion is not None:
        rows[-1]["gate_follows_blur"] = gate_follows_blur(analysis.fusion, scene)
    return rows


def gate_follows_blur(fusion: Tensor, scene: Scene) -> float:
    """Rank correlation of AMF's weight of the kernel with the true blur radius; NaN where all the blur is the same.

    Args:
        fusion: (3, h, w), see `Analysis.fusion`.
        scene: the truth.
    """
    radius = (2 * (scene.truth.covariance[0] + scene.truth.covariance[1])).clamp_min(0).sqrt()
    if float(radius.max() - radius.min()) < _SAME_BLUR_PX:
        return math.nan
    return spearman(fusion[2], radius)


def load_sharp(photos: Sequence[Path], limit: int | None) -> tuple[list[str], list[Tensor]]:
    """Names and square crops of sharp photos.

    Raises:
        InputError: when there are none, or one is unreadable or too small.
    """
    chosen = list(photos)[:limit]
    if not chosen:
        raise InputError("There are no photos to degrade.", "Name at least one sharp photo.")
    pixels = [read_rgb(path) for path in chosen]
    for path, rgb in zip(chosen, pixels, strict=True):
        if min(rgb.shape[-2:]) < _SMALLEST_SIDE:
            raise InputError(f"{path} is too small.", f"Give photos with sides of at least {_SMALLEST_SIDE} pixels.")
    return [path.stem for path in chosen], square_crops(pixels)


def score_synthetic(
    photos: Sequence[Path],
    models: Models | None,
    options: UpscaleOptions,
    lpips_weights: Path | None,
    limit: int | None,
    console: Console,
    sets: Sequence[str] = ("defocus",),
    seed: int = 0,
    jsonl: Path | None = None,
    ablate: bool = False,
    shakes: Sequence[Tensor] = (),
    depth: SceneDepth = own_estimate,
) -> list[Row]:
    """Degrade every photo in every way, enlarge it, score it, and print a table of means and one of rounds per set.

    Args:
        photos: sharp photos; they must not be among those trained on. All are cropped to the smallest one's size.
        models: ours, or None to score only bicubic.
        options: for our rows, at scale 4; a second one has the same with `steps=0`.
        lpips_weights: LPIPS file, or None to leave that column out.
        limit: how many photos, or None for all.
        console: for progress and tables.
        sets: names of `scenes.SETS`.
        seed: of the scenes (not of the sampler).
        jsonl: file that gets each row the moment it is known, one JSON object a line; overwritten.
        ablate: also score ours with every part left out in turn, and with true and spoiled depth.
        shakes: measured kernels (25, 25) for the set `shake`, see `measured_kernels`; drawn ones without.
        depth: that ours begins with.

    Returns:
        Rows as `score_pairs` gives them; ours also with `rounds`, a list of `analysis_figures`.

    Raises:
        InputError: when there are no photos, or one is unreadable or too small.
        OutputError: when `jsonl` cannot be written.
        UsageError: at another scale than 4, or for an unknown set.
    """
    from ssr_cli.device import resolve_device

    if options.scale != SCALE:
        raise UsageError("Synthetic sets are measured at scale 4.", "Leave --scale at 4.")
    if unknown := [name for name in sets if name not in SETS]:
        raise UsageError(f"There is no set {unknown[0]!r}.", f"Choose from {', '.join(SETS)}.")
    makers = SETS | ({"shake": measured_shake(shakes)} if shakes else {})
    names, crops = load_sharp(photos, limit)
    judge = Judge(lpips_weights, resolve_device(options.device))
    work = [(kind, i) for kind in sets for i in range(len(names))]

    def score(piece: tuple[str, int]) -> Iterator[Row]:
        kind, index = piece
        scene = makers[kind](crops, index, seed, NOISE)
        if piece is work[0] and models is not None:
            measure(scene.truth.lr, models, options)  # the first run pays for warming up; no row does
        for row in _score_scene(scene, models, options, judge, ablate, depth):
            yield {"set": kind, "image": names[index], **row}

    rows = collected(
        work, lambda piece: f"{piece[0]} {names[piece[1]]}", score, "Scoring synthetic sets", console, jsonl
    )
    print_means(rows, console)
    print_rounds(rows, console)
    return rows


def _score_scene(
    scene: Scene, models: Models | None, options: UpscaleOptions, judge: Judge, ablate: bool, depth_of: SceneDepth
) -> list[Row]:
    """Rows of bicubic and ours; with ablation also ours with true and with spoiled depth."""
    lr, hr = scene.truth.lr, scene.truth.hr
    height, width = hr.shape[-2:]
    rows: list[Row] = [{"method": BICUBIC, **judge.figures(bicubic(lr, (height, width)), hr), "seconds": None}]
    if models is None:
        return rows
    begun = depth_of(scene)
    variants: list[tuple[str, UpscaleOptions, DepthMap | None]] = [
        (name, given, begun) for name, given in our_options(options, ablate).items()
    ]
    if ablate:
        variants += [(TRUE_DEPTH, options, true_depth(scene)), (SPOILED_DEPTH, options, spoiled_depth(scene))]
    held_out: list[Row] = []
    for name, given, depth in variants:
        result = measure(lr, models, given, depth)
        assert result.upscaled is not None
        turns = analysis_figures(result.upscaled.analysis, scene)
        if not held_out:  # steps do not touch the analysis: once is enough
            held_out = held_out_rounds(scene, models, given, begun)
        if given.ablation == options.ablation and depth is begun:
            turns = [turns[0], *(a | b for a, b in zip(turns[1:], held_out, strict=True))]
        rows.append({"method": name, **judge.figures(result.rgb, hr), **costs(result), "rounds": turns})
    return rows


def round_means(rows: Sequence[Row]) -> list[Row]:
    """Mean errors per set and round, of one method per kind of depth (steps do not touch the analysis)."""
    analysed = [row for row in rows if "rounds" in row]
    shown = {analysed[0]["method"], TRUE_DEPTH, SPOILED_DEPTH} if analysed else set()
    out: list[Row] = []
    for kind, method in dict.fromkeys((row["set"], row["method"]) for row in analysed if row["method"] in shown):
        group = [row["rounds"] for row in analysed if (row["set"], row["method"]) == (kind, method)]
        # the same scenes in every round: the ranks of a constant depth are none, those of a refined one are
        whole = {
            figure: [turns for turns in group if not any(math.isnan(turn.get(figure, 0.0)) for turn in turns)]
            for figure in _ROUND_FIGURES
        }
        for t in range(len(group[0])):
            mean: Row = {"set": kind, "method": method, "round": t}
            for figure in _ROUND_FIGURES:
                known = [turns[t][figure] for turns in whole[figure] if figure in turns[t]]
                mean[figure] = sum(known) / len(known) if known else None
            out.append(mean)
    return out


def print_rounds(rows: Sequence[Row], console: Console) -> None:
    """Print kernel and depth errors before and after each refinement round, a row per set and round."""
    table = round_means(rows)
    if not table:
        return
    for title, figures in _ROUND_TABLES.items():
        columns = {f: _ROUND_FIGURES[f] for f in figures}
        cells = [
            [
                row["set"] if row["method"] == table[0]["method"] else f"{row['set']}, {row['method']}",
                "before" if row["round"] == 0 else str(row["round"]),
                *(cell(row[f], 3) for f in columns),
            ]
            for row in table
            if any(row[f] is not None for f in columns)
        ]
        if cells:
            console.table(title, ["set", "round", *columns.values()], cells)
