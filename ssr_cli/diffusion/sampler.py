"""The sampler: Euler steps along a rectified flow, and noise that belongs to places, not to tiles."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: `denoised = model(z, t)`: the end point predicted from a point of the path at times t (B,).
Denoiser = Callable[[Tensor, Tensor], Tensor]


def sample(model: Denoiser, start: Tensor, steps: int) -> Tensor:
    """Integrate `dz/dt = (denoised - z) / (1 - t)` from 0 to 1 with Euler's method.

    Args:
        model: predicts the end point.
        start: (B, C, H, W) at t = 0.
        steps: number of steps, >= 1; the last one lands on the model's answer exactly.

    Returns:
        (B, C, H, W) at t = 1.

    Source: rectified flow (arXiv 2209.03003); used as in PMRF (arXiv 2410.00418).
    """
    z = start
    for i in range(steps):
        t = torch.full((z.shape[0],), i / steps, device=z.device)
        end = model(z, t)
        z = torch.lerp(z, end, 1.0 / (steps - i))  # (1/steps) / (1 - i/steps)
    return z


def _mix(value: Tensor) -> Tensor:
    """One round of a 32-bit integer hash (finalizer of MurmurHash3), held in int64."""
    mask = 0xFFFFFFFF
    value = (value ^ (value >> 16)) * 0x85EBCA6B & mask
    value = (value ^ (value >> 13)) * 0xC2B2AE35 & mask
    return value ^ (value >> 16)


def place_noise(seed: int, top: int, left: int, height: int, width: int, channels: int = 3) -> Tensor:
    """Standard normal noise that is a function of the absolute pixel coordinate and the seed.

    Args:
        seed: 0 .. 2^32 - 1.
        top: row of the first pixel in the whole photo (HR).
        left: column of the first pixel.
        height: rows.
        width: columns.
        channels: planes.

    Returns:
        (1, channels, height, width) float32 on the CPU; any window of it equals the same window of the whole.
    """
    rows = torch.arange(top, top + height, dtype=torch.int64).view(1, -1, 1)
    columns = torch.arange(left, left + width, dtype=torch.int64).view(1, 1, -1)
    planes = torch.arange(channels, dtype=torch.int64).view(-1, 1, 1)
    key = _mix((seed * 0x9E3779B1 + planes * 0x7F4A7C15) & 0xFFFFFFFF)
    base = _mix((key + _mix((rows * 0x27D4EB2F) & 0xFFFFFFFF) + columns * 0x165667B1) & 0xFFFFFFFF)
    first, second = _mix(base ^ 0x5BD1E995), _mix((base + 0x68E31DA4) & 0xFFFFFFFF)
    # Box-Muller; the half keeps the logarithm finite.
    u1 = (first.to(torch.float32) + 0.5) / 2**32
    u2 = second.to(torch.float32) / 2**32
    return ((-2 * u1.clamp(1e-12, 1).log()).sqrt() * torch.cos(2 * torch.pi * u2))[None]
