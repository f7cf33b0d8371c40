"""Depths in the units of the true ones: scale and shift of a depth mean nothing, and no loss should count them."""

from __future__ import annotations

import math

from torch import Tensor


def fitted(depth: Tensor, truth: Tensor, damping: float, slopes: tuple[float, float] = (-math.inf, math.inf)) -> Tensor:
    """Depths moved and stretched to lie as near to the true ones as they can, by least squares per picture.

    Args:
        depth: (B, 1, h, w).
        truth: (B, 1, h, w).
        damping: variance of a depth below which it is as good as flat.
        slopes: least and largest scale.

    Returns:
        (B, 1, h, w).
    """
    dims = (1, 2, 3)
    middle = truth.mean(dims, keepdim=True)
    d = depth - depth.mean(dims, keepdim=True)
    slope = (d * (truth - middle)).mean(dims, keepdim=True) / (d.square().mean(dims, keepdim=True) + damping)
    return slope.clamp(*slopes) * d + middle
