"""Blur along an axis as a matrix: faster than a convolution with many places for few channels."""

from __future__ import annotations

import torch
from torch import Tensor


def along(length: int, reach: int, device: torch.device) -> Tensor:
    """The places (length, 2 reach + 1) that each of an axis reads; they go on beyond both ends."""
    steps = torch.arange(-reach, reach + 1, device=device)
    return torch.arange(length, device=device)[:, None] + steps


def banded(kernels: Tensor, places: Tensor) -> Tensor:
    """Matrices (B, n, n) that take from places of an axis what kernels say.

    Args:
        kernels: (B, taps).
        places: (n, taps), see `along`, each within 0..n - 1: how, the caller decides.
    """
    n = len(places)
    empty = kernels.new_zeros(len(kernels), n, n)
    return empty.scatter_add(2, places.expand(len(kernels), -1, -1), kernels[:, None].expand(-1, n, -1))
