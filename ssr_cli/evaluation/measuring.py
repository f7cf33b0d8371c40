"""One enlargement with what it cost: seconds and peak memory, and how well the result explains the photo."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ssr_cli.frames import DepthMap, Photo, Upscaled

if TYPE_CHECKING:
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import Models

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Measured:
    """A result and its cost.

    Attributes:
        rgb: (3, H, W).
        seconds: wall clock, models loaded and files read; None where that is not ours to say.
        peak_mb: of the process (of the device, on CUDA) meanwhile; None likewise.
        consistency_db: LR-PSNR under the estimated kernels, or None.
        upscaled: all that is known, for our own results.
    """

    rgb: Tensor
    seconds: float | None = None
    peak_mb: float | None = None
    consistency_db: float | None = None
    upscaled: Upscaled | None = None


def _forget_peak(device: torch.device) -> None:
    """Start the peak anew where the system can."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif _CLEAR.exists():
        try:
            _CLEAR.write_text("5")
        except OSError:
            return


def _peak_mb(device: torch.device) -> float:
    """Peak memory in MB since `_forget_peak`, or since the process began where peaks cannot be forgotten."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def measure(rgb: Tensor, models: Models, options: UpscaleOptions, depth: DepthMap | None = None) -> Measured:
    """Enlarge a photo (3, h, w) through the pipeline, and note what it took."""
    from ssr_cli.pipeline import upscale

    _forget_peak(models.device)
    start = time.perf_counter()
    result = upscale(Photo(rgb), models, options, depth=depth)
    seconds = time.perf_counter() - start
    return Measured(result.photo.rgb, seconds, _peak_mb(models.device), result.lr_psnr_after, result)
