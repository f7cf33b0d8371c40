"""Blind estimate of a photo's noise from its finest differences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def estimate_noise(rgb: Tensor) -> float:
    """`estimate_noises` of one photo (3, h, w)."""
    return float(estimate_noises(rgb[None]))


def estimate_noises(rgb: Tensor) -> Tensor:
    """Robust standard deviation of the noise of each photo.

    The photo is filtered with the 3 x 3 difference of two Laplacians, which cancels constants, planes and most edges;
    the scale of its absolute response is read where it is small, since noise is everywhere and texture is not
    (after Immerkaer, Fast Noise Variance Estimation, CVIU 1996, with a median over blocks for robustness).

    Args:
        rgb: (B, C, h, w), encoded, 0..1.

    Returns:
        (B,), encoded units, >= 0; 0 for photos smaller than 3 x 3.
    """
    kernel = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]).to(rgb)[None, None]
    if min(rgb.shape[-2:]) < 3:
        return rgb.new_zeros(len(rgb))
    response = F.conv2d(rgb.flatten(0, 1)[:, None], kernel).abs()
    block = min(16, *response.shape[-2:])
    means = F.avg_pool2d(response, block).reshape(len(rgb), -1)
    # |N(0, 36 sigma^2)| has mean 6 sigma sqrt(2 / pi); the quietest quarter of the blocks is the least textured.
    quiet = means.sort(1).values[:, : max(1, means.shape[1] // 4)].mean(1)
    sigma: Tensor = quiet * (torch.pi / 2) ** 0.5 / 6.0
    return sigma
