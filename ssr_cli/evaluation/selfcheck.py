"""The bench checks its own figures against known ones before it prints any: a wrong metric is worse than none."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ssr_cli.errors import SsrError
from ssr_cli.evaluation.lpips import Lpips
from ssr_cli.evaluation.metrics import psnr_y, ssim_y
from ssr_cli.evaluation.niqe import niqe
from ssr_cli.evaluation.patterns import strongest_pattern_db

#: Of `pictures()`. PSNR, SSIM and the pattern agree with independent float64 code; LPIPS is v0.1 on SqueezeNet.
GOLDEN = {"psnr_y": 30.3891, "ssim_y": 0.63935, "niqe": 12.974, "pattern_db": 24.7910, "lpips": 0.11162}
_TOLERANCE = {"psnr_y": 1e-3, "ssim_y": 1e-4, "niqe": 5e-2, "pattern_db": 1e-2, "lpips": 1e-3}


def pictures() -> tuple[Tensor, Tensor]:
    """Two pictures (3, 192, 192) from formulas alone: disks, a lattice, grain; and the same, soft and tinted."""
    y, x = torch.meshgrid(torch.arange(192.0), torch.arange(192.0), indexing="ij")
    lattice = torch.sin(x * 0.9) * torch.sin(y * 1.1 + x * 0.2)
    disks = torch.sigmoid(3 * torch.sin(x / 13) + 3 * torch.cos(y / 17))
    grain = (((x.long() * 73_856_093) ^ (y.long() * 19_349_663)) % 251) / 250
    sharp = torch.stack(
        [
            0.2 + 0.5 * disks + 0.1 * lattice,
            0.3 + 0.3 * disks * (x / 192) + 0.2 * grain,
            0.5 + 0.2 * lattice - 0.2 * disks,
        ]
    )
    sharp = (sharp.clamp(0, 1) * 255).round() / 255
    padded = torch.nn.functional.pad(sharp[None], (1, 1, 1, 1), mode="replicate")
    soft = torch.nn.functional.avg_pool2d(padded, 3, 1)[0] * 0.98 + 0.01
    return sharp, (soft * 255).round() / 255


def figures(lpips_weights: Path | None) -> dict[str, float]:
    """Every figure of the soft picture against the sharp one."""
    sharp, soft = pictures()
    found = {"psnr_y": psnr_y(soft, sharp), "ssim_y": ssim_y(soft, sharp)}
    found |= {"niqe": niqe(soft), "pattern_db": strongest_pattern_db(soft)}
    if lpips_weights is not None:
        with torch.inference_mode():
            found["lpips"] = float(Lpips(lpips_weights)(soft[None], sharp[None]))
    return found


def check_metrics(lpips_weights: Path | None) -> None:
    """Refuse to go on with metrics that are off.

    Raises:
        SsrError: naming the figure, what it is and what it should be.
    """
    for name, value in figures(lpips_weights).items():
        if not abs(value - GOLDEN[name]) <= _TOLERANCE[name]:
            what = "The LPIPS weights are other ones" if name == "lpips" else "This installation computes it wrongly"
            raise SsrError(
                f"{name} of the reference pictures is {value:.4f} and not {GOLDEN[name]:.4f}.",
                f"{what}; no table is printed.",
            )
