"""A round Gaussian blur whose border is the caller's."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def reach_of(sigma: float) -> int:
    """Pixels that `gaussian` reads around a place."""
    return math.ceil(3 * sigma)


def bell(sigma: float, like: Tensor) -> Tensor:
    """A Gaussian at the `2 r + 1` places that `gaussian` reads along an axis, of unit sum."""
    reach = reach_of(sigma)
    axis = torch.arange(-reach, reach + 1, device=like.device, dtype=like.dtype)
    values = torch.exp(-0.5 * (axis / sigma).square())
    return values / values.sum()


def gaussian(padded: Tensor, sigma: float) -> Tensor:
    """Blur (B, C, h + 2 r, w + 2 r) with r = `reach_of(sigma)` to (B, C, h, w); sigma > 0 in pixels."""
    channels = padded.shape[1]
    row = bell(sigma, padded).expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(padded, row, groups=channels), row.mT, groups=channels)
