"""How much photos consist of lines and edges rather than of leaves and grain: most of what people photograph does.

A flow that learns mostly from grass and foliage draws grain where real photos have edges. In the median,
local gradients of RealSR's and DRealSR's true photos agree in direction by 0.61 and 0.63, of training photos by 0.51.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.physics.spectra import luma_of

#: Side of the windows in which directions are compared, at half the photo's size, and how far apart they begin.
_WINDOW, _STRIDE = 12, 6
#: Mean square of gradients, encoded units, below which a window has no structure to speak of.
_FLAT = 4e-4


def structure(photo: Tensor) -> float:
    """How far the gradients of a photo (3, H, W), uint8, agree in direction, 0..1, mean of its windows.

    The coherence of the structure tensor, `(l1 - l2) / (l1 + l2)` (Bigun and Granlund 1987): 1 for lines and edges, 0
    for what has no direction.
    """
    luma = luma_of(photo.float() / 255)
    half = F.avg_pool2d(luma[None, None], 2)
    # of two rows or columns each: differences that share a pixel would agree with each other in mere noise
    corners = half[..., :-1, :-1], half[..., :-1, 1:], half[..., 1:, :-1], half[..., 1:, 1:]
    right, down = corners[1] + corners[3] - corners[0] - corners[2], corners[2] + corners[3] - corners[0] - corners[1]

    def mean(product: Tensor) -> Tensor:
        return F.avg_pool2d(product, _WINDOW, _STRIDE)

    across, along, both = mean(right * right), mean(down * down), mean(down * right)
    energy = across + along
    coherence = torch.hypot(across - along, 2 * both) / energy.clamp_min(1e-12)
    there = energy > _FLAT
    return float(coherence[there].mean()) if bool(there.any()) else 0.0


def most_structured_first(photos: Sequence[Path], load: Callable[[Path], Tensor]) -> list[Path]:
    """Photos in the order of their structure, see `photo_scenes.PREFERENCE`.

    Args:
        photos: any number.
        load: gives a photo's pixels, (3, H, W) uint8.
    """
    return sorted(photos, key=lambda path: -structure(load(path)))
