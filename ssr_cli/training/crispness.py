"""How crisp photos are by themselves: what is soft already is no truth, for its own blur would be counted as none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ssr_cli.physics.spectra import luma_of

#: Side of the patches whose spectra are looked at.
_PATCH = 64
#: Frequencies, cycles per pixel: what a photo's detail is measured by, and against.
_DETAIL, _COARSE = (0.1, 0.3), (0.03, 0.06)
#: Share of photos that are used. The softest fifth have 6 dB less detail than the others.
_USED = 0.8


def crispness(photo: Tensor) -> float:
    """Detail of a photo (3, H, W), uint8, over its coarser structure, dB, where there is structure at all.

    Photos of cameras, pixel for pixel, and Kodak's scans have -18 +- 4 dB.
    """
    luma = luma_of(photo.float() / 255)
    patches = luma.unfold(0, _PATCH, _PATCH).unfold(1, _PATCH, _PATCH).reshape(-1, _PATCH, _PATCH)
    side = torch.hann_window(_PATCH, periodic=False)
    f = torch.fft.fftfreq(_PATCH)
    radius = torch.hypot(f[:, None], f[None])
    windowed = (patches - patches.mean((1, 2), keepdim=True)) * (side[:, None] * side)
    power = torch.fft.fft2(windowed).abs().square()

    def band(low: float, high: float) -> Tensor:
        mean: Tensor = power[:, (radius >= low) & (radius < high)].mean(1)
        return mean

    coarse = band(*_COARSE)
    there = coarse >= coarse.median()
    ratio = (band(*_DETAIL) / coarse.clamp_min(1e-6))[there].clamp_min(1e-6)
    return float(10 * ratio.log10().mean())


def crispest(photos: Sequence[Path], load: Callable[[Path], Tensor], share: float = _USED) -> list[Path]:
    """Photos without the softest of them, in their old order.

    Args:
        photos: at least one.
        load: gives a photo's pixels, (3, H, W) uint8.
        share: how many are kept, 0..1.
    """
    found = [crispness(load(path)) for path in photos]
    kept = sorted(range(len(photos)), key=lambda i: -found[i])[: max(1, math.ceil(share * len(photos)))]
    return [photos[i] for i in sorted(kept)]
