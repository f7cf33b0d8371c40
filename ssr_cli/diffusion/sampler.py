"""The sampler: Euler steps along a rectified flow, and noise that belongs to places, not to tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: `denoised = model(z, t)`: the end point predicted from a point of the path at times t (B,).
Denoiser = Callable[[Tensor, Tensor], Tensor]


def sample(model: Denoiser, start: Tensor, steps: int, last: Denoiser | None = None) -> Tensor:
    """Integrate `dz/dt = (denoised - z) / (1 - t)` from 0 to 1 with Euler's method.

    Args:
        model: predicts the end point.
        start: (B, C, H, W) at t = 0.
        steps: number of steps, >= 1; the last one lands on the model's answer exactly.
        last: who is asked then, the model if nobody else is.

    Returns:
        (B, C, H, W) at t = 1.

    Source: rectified flow (arXiv 2209.03003); used as in PMRF (arXiv 2410.00418).
    """
    z = start
    for i in range(steps):
        t = torch.full((z.shape[0],), i / steps, device=z.device)
        if i + 1 == steps:
            return (last or model)(z, t)
        z = torch.lerp(z, model(z, t), 1.0 / (steps - i))  # (1/steps) / (1 - i/steps)
    return z


def _mix(value: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """One round of a 32-bit integer hash (finalizer of MurmurHash3); products wrap around, as they should."""
    value = (value ^ (value >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    value = (value ^ (value >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    mixed: npt.NDArray[np.uint32] = value ^ (value >> np.uint32(16))
    return mixed


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
    first = left // 2  # pairs of columns share two random numbers
    rows = np.arange(top, top + height, dtype=np.uint32).reshape(1, -1, 1)
    pairs = np.arange(first, (left + width + 1) // 2, dtype=np.uint32).reshape(1, 1, -1)
    planes = np.arange(channels, dtype=np.uint32).reshape(-1, 1, 1)
    key = _mix(np.uint32(seed * 0x9E3779B1 & 0xFFFFFFFF) + planes * np.uint32(0x7F4A7C15))
    mixed = _mix(_mix(key + rows * np.uint32(0x27D4EB2F)) + pairs * np.uint32(0x165667B1))
    radius, angle = (
        torch.from_numpy(half.astype(np.float32)) for half in (mixed >> np.uint32(16), mixed & np.uint32(0xFFFF))
    )
    # Box-Muller; the half keeps the logarithm finite.
    radius = radius.add_(0.5).div_(2**16).log_().mul_(-2).sqrt_()
    angle = angle.mul_(2 * torch.pi / 2**16)
    both = torch.stack([torch.cos(angle).mul_(radius), torch.sin(angle).mul_(radius)], -1).flatten(2)
    skipped = left - 2 * first
    return both[None, ..., skipped : skipped + width]
