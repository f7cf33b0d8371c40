"""Score enlargements against the truth: bicubic, ours at the default steps, our mean, and other programs' results."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ssr_cli.errors import InputError
from ssr_cli.evaluation.compact import CompactTimer
from ssr_cli.evaluation.lpips import Lpips
from ssr_cli.evaluation.measuring import Measured, measure
from ssr_cli.evaluation.metrics import psnr_y, ssim_y
from ssr_cli.evaluation.niqe import PATCH, niqe
from ssr_cli.evaluation.pairs import Pair, first_of_each, read_rgb, result_for
from ssr_cli.evaluation.patterns import PATCH as PATTERN_PATCH
from ssr_cli.evaluation.patterns import strongest_pattern_db
from ssr_cli.evaluation.rows import Row, collected, print_means
from ssr_cli.evaluation.variants import our_options
from ssr_cli.frames import DepthMap, Photo

if TYPE_CHECKING:
    from pathlib import Path

    from ssr_cli.console import Console
    from ssr_cli.depth_source import DepthSource
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import Models

#: What gives the result for a pair, its photo, and the depth ours begins with.
Method = Callable[[Pair, Tensor, DepthMap | None], Measured]

BICUBIC, TRUTH = "bicubic", "truth"
#: Timed only: Real-ESRGAN's compact body, untrained.
COMPACT = "compact body (time)"


def as_written(rgb: Tensor) -> Tensor:
    """A photo after a round through an 8-bit file: (3, H, W), clipped to 0..1, multiples of 1/255."""
    return (rgb.clamp(0, 1) * 255).round() / 255


def bicubic(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """Pillow's bicubic (a = -0.5) on 8-bit pixels: the row every table needs.

    Args:
        rgb: (3, h, w), encoded, 0..1.
        size: (H, W).

    Returns:
        (3, H, W), encoded, multiples of 1/255.
    """
    pixels = (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    enlarged = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(enlarged)).permute(2, 0, 1).float() / 255


def output_size(rgb: Tensor, scale: float) -> tuple[int, int]:
    """(H, W) of a photo (3, h, w) enlarged by `scale`."""
    return round(rgb.shape[-2] * scale), round(rgb.shape[-1] * scale)


class Judge:
    """Turns a result and its truth into figures.

    Args:
        lpips_weights: LPIPS file, or None to leave that figure out.
        device: where LPIPS runs.
    """

    def __init__(self, lpips_weights: Path | None, device: torch.device) -> None:
        self.device = device
        self.lpips = Lpips(lpips_weights).to(device) if lpips_weights else None

    def figures(self, result: Tensor, truth: Tensor) -> Row:
        """PSNR-Y (dB), SSIM-Y, LPIPS and what needs no truth, of a result (3, H, W) as an 8-bit file would hold it."""
        written = as_written(result)
        return {
            "psnr_y": psnr_y(written, truth),
            "ssim_y": ssim_y(written, truth),
            "lpips": self._lpips(written, truth),
            **self.alone(written),
        }

    @staticmethod
    def alone(photo: Tensor) -> Row:
        """What needs no truth of a photo (3, H, W): NIQE and strongest pattern (dB); None where it is too small."""
        side = min(photo.shape[-2:])
        return {
            "niqe": niqe(photo) if side >= PATCH else None,
            "pattern_db": strongest_pattern_db(photo) if side >= PATTERN_PATCH else None,
        }

    @torch.inference_mode()
    def _lpips(self, result: Tensor, truth: Tensor) -> float | None:
        if self.lpips is None:
            return None
        return float(self.lpips(result[None].to(self.device), truth[None].to(self.device)))


def _bicubic_method(scale: float) -> Method:
    def run(pair: Pair, lr: Tensor, depth: DepthMap | None) -> Measured:
        start = time.perf_counter()
        result = bicubic(lr, output_size(lr, scale))
        return Measured(result, time.perf_counter() - start)

    return run


def _our_method(models: Models, options: UpscaleOptions) -> Method:
    return lambda pair, lr, depth: measure(lr, models, options, depth)


def _foreign_method(folder: Path) -> Method:
    return lambda pair, lr, depth: Measured(read_rgb(result_for(pair, folder)))


def _methods(
    models: Models | None, options: UpscaleOptions, outputs: Mapping[str, Path], ablate: bool
) -> dict[str, Method]:
    ours = our_options(options, ablate)
    methods: dict[str, Method] = {BICUBIC: _bicubic_method(options.scale)}
    if models is not None:
        methods |= {name: _our_method(models, given) for name, given in ours.items()}
    if taken := sorted(set(outputs) & {BICUBIC, TRUTH, COMPACT, *ours}):
        raise InputError(f"The name {taken[0]} belongs to a row of this table.", "Give the outputs another name.")
    return methods | {name: _foreign_method(folder) for name, folder in outputs.items()}


def _timed(models: Models | None) -> dict[str, Method]:
    """What is only timed: a yardstick for our seconds, on the same photos in the same run."""
    if models is None:
        return {}
    timer = CompactTimer(models.device)
    return {COMPACT: lambda pair, lr, depth: timer(lr)}


def costs(result: Measured) -> Row:
    """What a result took, and how well it explains the photo."""
    return {"consistency_db": result.consistency_db, "seconds": result.seconds, "peak_mb": result.peak_mb}


def score_pair(
    pair: Pair,
    methods: Mapping[str, Method],
    judge: Judge,
    scale: float,
    timed: Mapping[str, Method] | None = None,
    depth: DepthSource | None = None,
) -> Iterator[Row]:
    """One row per method, one with the costs of each that is only timed, and the truth's own with what needs none.

    The depth is asked for once, whatever the number of methods.

    Raises:
        InputError: when a photo is unreadable, too small to compare, or of the wrong size.
    """
    lr, truth = read_rgb(pair.lr), read_rgb(pair.hr)
    if tuple(truth.shape[-2:]) != output_size(lr, scale):
        size = f"{truth.shape[-1]}x{truth.shape[-2]}"
        raise InputError(f"{pair.hr} is {size}, not {scale:g} times {pair.lr}.", "Set --scale to that of the pairs.")
    begun = depth(Photo(lr)) if depth is not None else None
    for name, method in methods.items():
        result = method(pair, lr, begun)
        if result.rgb.shape != truth.shape:
            size = f"{result.rgb.shape[-1]}x{result.rgb.shape[-2]}"
            raise InputError(f"The result of {name} for {pair.name} is {size}.", "It must be as large as the HR photo.")
        yield {
            "set": pair.folder,
            "image": pair.name,
            "method": name,
            **judge.figures(result.rgb, truth),
            **costs(result),
        }
    for name, method in (timed or {}).items():
        yield {"set": pair.folder, "image": pair.name, "method": name, **costs(method(pair, lr, None))}
    # What needs no reference is worth knowing of the truth itself: results should come near it, not below it.
    yield {"set": pair.folder, "image": pair.name, "method": TRUTH, **judge.alone(truth)}


def score_pairs(
    folders: Sequence[Path],
    models: Models | None,
    options: UpscaleOptions,
    lpips_weights: Path | None,
    limit: int | None,
    console: Console,
    outputs: Mapping[str, Path] | None = None,
    jsonl: Path | None = None,
    ablate: bool = False,
    depth: DepthSource | None = None,
) -> list[Row]:
    """Score real pairs and print a table of means per folder.

    Args:
        folders: each with photos of the same names in `LR` and `HR`.
        models: ours, or None to score only bicubic and foreign outputs.
        options: for our rows; a second one has the same with `steps=0`.
        lpips_weights: LPIPS file, or None to leave that column out.
        limit: pairs of each folder, or None for all.
        console: for progress and tables.
        outputs: other programs' results, folder by name of the row.
        jsonl: file that gets each row the moment it is known, one JSON object a line; overwritten.
        ablate: also score ours with every part left out in turn.
        depth: where ours has its depth from, or None for its own estimate; its time is not counted.

    Returns:
        A row per photo and method: `set`, `image`, `method`, `psnr_y` (dB), `ssim_y`, `lpips`, `niqe`,
        `pattern_db`, `consistency_db`, `seconds`, `peak_mb`; the truth has only `niqe` and `pattern_db`, the
        compact body only costs.

    Raises:
        InputError: when pairs or outputs are missing or do not fit.
        OutputError: when `jsonl` cannot be written.
    """
    from ssr_cli.device import resolve_device

    pairs = first_of_each(folders, limit)
    methods = _methods(models, options, outputs or {}, ablate)
    for pair in pairs:  # a missing result is known at once, not after an hour
        for folder in (outputs or {}).values():
            result_for(pair, folder)
    judge = Judge(lpips_weights, resolve_device(options.device))
    timed = _timed(models)
    if models is not None and pairs:
        first = read_rgb(pairs[0].lr)
        measure(first, models, options)  # the first run pays for warming up; no row does
        for method in timed.values():
            method(pairs[0], first, None)

    def score(pair: Pair) -> Iterator[Row]:
        return score_pair(pair, methods, judge, options.scale, timed, depth)

    rows = collected(pairs, lambda pair: pair.name, score, "Scoring", console, jsonl)
    print_means(rows, console)
    return rows
