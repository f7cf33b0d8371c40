"""`--plan`: what a run would need: tiles, memory, size of the result, downloads; time after a calibration."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_cli.commands.needs import downloads, needs_of
from ssr_cli.console import Console
from ssr_cli.settings import Delivery, FileOptions, UpscaleOptions

if TYPE_CHECKING:
    from ssr_cli.frames import Photo
    from ssr_cli.suite import Models

#: Megabytes of the process with its models and libraries, and kilobytes that an LR pixel at work needs at the peak of a
#: photo that is done at once; of one of several tiles, which leave memory in pieces. Fitted to measured peaks on a CPU.
_BASE_MB, _WORK_KB, _TILED_KB = 380.0, 4.0, 7.0
#: Bytes of an LR pixel of the whole photo: float32 colours, depth, the decoder's copy.
_PHOTO_BYTES = 20
#: Seconds for loading libraries and models.
_START_S = 3.0
#: Sides of the tiles that are done to warm up and to measure; a small one alone is worked on faster than what follows.
_CALIBRATION_SIDES = (64, 256)


@dataclass(frozen=True)
class Plan:
    """What one photo needs.

    Attributes:
        photo: the file.
        width: of the result.
        height: of the result.
        tiles: pieces it is worked on in.
        work: LR pixels worked on, the surroundings that most of it needs included.
        memory_mb: predicted peak of the process on a CPU.
        seconds: predicted, or None without a calibration.
    """

    photo: Path
    width: int
    height: int
    tiles: int
    work: int
    memory_mb: int
    seconds: float | None = None


def plan_photo(path: Path, photo: Photo, options: UpscaleOptions, pace: float | None) -> Plan:
    """What a photo needs.

    Args:
        path: the file.
        photo: decoded.
        options: scale and tile are used.
        pace: seconds per LR pixel worked on, or None.
    """
    from ssr_cli.device import resolve_device
    from ssr_cli.estimation import OVERLAP, refined_part
    from ssr_cli.pipeline import tile_side
    from ssr_cli.tiling import plan_tiles

    height, width = photo.height, photo.width
    side = tile_side(height, width, options, resolve_device(options.device))
    tiles = plan_tiles(height + -height % 8, width + -width % 8, side, OVERLAP)
    areas = [tile.padded.height * tile.padded.width for tile in tiles]
    size = max(1, round(height * options.scale)), max(1, round(width * options.scale))
    band = max(tile.core.height for tile in tiles) * 4 * width * 4 * 3 * (1 if options.scale == 4 else 5)
    masks = 2 if "alpha" in photo.metadata else 1
    work_kb = _WORK_KB if len(tiles) == 1 else _TILED_KB
    memory = _BASE_MB + (max(areas) * work_kb * 1e3 + height * width * _PHOTO_BYTES * masks + 2 * band * masks) / 1e6
    near = [refined_part(tile).padded for tile in tiles]
    work = sum(box.height * box.width for box in near) * masks
    seconds = None if pace is None else work * pace
    return Plan(path, size[1], size[0], len(tiles), work, round(memory), seconds)


def calibrated(models: Models, options: UpscaleOptions) -> float:
    """Seconds per LR pixel worked on, from a tile of noise."""
    import torch

    from ssr_cli.frames import Photo
    from ssr_cli.pipeline import Enlarging

    pace = 0.0
    for side in _CALIBRATION_SIDES:
        noise = Photo(torch.rand(3, side, side, generator=torch.Generator().manual_seed(0)))
        start = time.monotonic()
        for _ in Enlarging(noise, models, options, delivery=Delivery(map_pixels=1)).bands():
            pass
        pace = (time.monotonic() - start) / side**2
    return pace


def run(
    photos: Sequence[Path],
    options: UpscaleOptions,
    files: FileOptions,
    model: str,
    depth: str,
    calibrate: bool,
    console: Console,
) -> None:
    """Say what photos would need; nothing is written, and a model is loaded for a calibration alone.

    Raises:
        SsrError: if the only photo cannot be read, or there is no such model or depth.
    """
    from ssr_cli.errors import SsrError
    from ssr_cli.image.reading import read_photo

    needs = needs_of(model, depth)
    pace = None
    if calibrate:
        from ssr_cli.commands.upscale import load

        pace = calibrated(load(model, options, console), options)
    plans: list[Plan] = []
    for path in photos:
        try:
            photo = read_photo(path, files.max_pixels, files.first_frame)
        except SsrError as error:
            if len(photos) == 1:
                raise
            console.warning(f"{path}: {error.message} {error.hint}")
            continue
        plans.append(plan_photo(path, photo, options, pace))
        _say(plans[-1], console)
    missing = downloads(needs)
    total = None if pace is None else _START_S + sum(plan.seconds or 0.0 for plan in plans)
    if console.mode == "json":
        peak = max((plan.memory_mb for plan in plans), default=0)
        console.result({"photos": len(plans), "peak_memory_mb": peak, "seconds": total, "downloads": missing})
        return
    if total is not None:
        console.result(f"about {total:.0f} s in all")
    console.result("to download: " + (", ".join(missing) or "nothing"))


def _say(plan: Plan, console: Console) -> None:
    """One photo's line or object."""
    if console.mode == "json":
        console.result(
            {
                "input": str(plan.photo),
                "width": plan.width,
                "height": plan.height,
                "tiles": plan.tiles,
                "peak_memory_mb": plan.memory_mb,
                "seconds": plan.seconds,
            }
        )
        return
    seconds = "" if plan.seconds is None else f", about {plan.seconds:.0f} s"
    console.result(
        f"{plan.photo}: {plan.width} x {plan.height}, {plan.tiles} tiles, at most about {plan.memory_mb} MB{seconds}"
    )
