"""Blind estimate of a photo's noise from its finest differences."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def estimate_noise(rgb: Tensor) -> float:
    """Robust standard deviation of the noise.

    The photo is filtered with the 3 x 3 difference of two Laplacians, which cancels constants, planes and most edges;
    the scale of its absolute response is read where it is small, since noise is everywhere and texture is not
    (after Immerkaer, Fast Noise Variance Estimation, CVIU 1996, with a median over blocks for robustness).

    Args:
        rgb: (3, h, w), encoded, 0..1, h and w >= 3.

    Returns:
        sigma in encoded units, >= 0.
    """
    kernel = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]]).to(rgb)[None, None]
    if min(rgb.shape[-2:]) < 3:
        return 0.0
    response = F.conv2d(rgb[:, None], kernel)[:, 0].abs()
    block = min(16, *response.shape[-2:])
    means = F.avg_pool2d(response[:, None], block)[:, 0].flatten()
    # |N(0, 36 sigma^2)| has mean 6 sigma sqrt(2 / pi); the quietest quarter of the blocks is the least textured.
    quiet = means.sort().values[: max(1, means.numel() // 4)].mean()
    return float(quiet * (torch.pi / 2) ** 0.5 / 6.0)
