"""A round Gaussian blur whose border is the caller's."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def reach_of(sigma: float) -> int:
    """Pixels that `gaussian` reads around a place."""
    return math.ceil(3 * sigma)


def gaussian(padded: Tensor, sigma: float) -> Tensor:
    """Blur (B, C, h + 2 r, w + 2 r) with r = `reach_of(sigma)` to (B, C, h, w); sigma > 0 in pixels."""
    channels, reach = padded.shape[1], reach_of(sigma)
    axis = torch.arange(-reach, reach + 1, device=padded.device, dtype=padded.dtype)
    bell = torch.exp(-0.5 * (axis / sigma).square())
    row = (bell / bell.sum()).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(padded, row, groups=channels), row.mT, groups=channels)
