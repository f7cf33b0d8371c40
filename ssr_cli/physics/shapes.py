"""Optical point-spread functions drawn on the HR grid, each non-negative with unit sum.

Every function returns an odd (k, k) float32 kernel centred on its middle pixel, drawn with 5x5 samples per pixel.
Lengths are HR pixels, angles radians counter-clockwise from the x axis (y points down in the array).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

#: Odd side of an optical kernel: with the sensor's 4 x 4 box it makes a 28 x 28 kernel.
OPTICAL_SIZE = 25
_SUBSAMPLES = 5


def _grid(size: int) -> tuple[Tensor, Tensor]:
    """Sub-pixel coordinates (y up, x right), each (size * 5, size * 5), in pixels from the kernel's centre."""
    n = size * _SUBSAMPLES
    axis = (torch.arange(n, dtype=torch.float32) + 0.5) / _SUBSAMPLES - size / 2
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    return y, x


def _finish(density: Tensor) -> Tensor:
    """Average the sub-samples of each pixel and normalise to unit sum."""
    size = density.shape[0] // _SUBSAMPLES
    kernel = density.reshape(size, _SUBSAMPLES, size, _SUBSAMPLES).mean((1, 3))
    return kernel / kernel.sum()


def gaussian(
    sigma_major_px: float, sigma_minor_px: float, angle: float = 0.0, power: float = 1.0, size: int = OPTICAL_SIZE
) -> Tensor:
    """Generalised Gaussian `exp(-(r^2 / 2)^power)` with r measured in standard deviations along the two axes.

    Args:
        sigma_major_px: standard deviation along `angle` (exact for power 1), > 0.
        sigma_minor_px: standard deviation across it, > 0.
        angle: of the major axis.
        power: 1 is a Gaussian, smaller has longer tails, larger a flatter top.
        size: odd side of the kernel.

    Returns:
        (size, size) kernel.
    """
    y, x = _grid(size)
    u = x * math.cos(angle) + y * math.sin(angle)
    v = y * math.cos(angle) - x * math.sin(angle)
    # Below a fifth of a pixel the samples would miss the peak.
    r2 = (u / max(sigma_major_px, 0.2)).square() + (v / max(sigma_minor_px, 0.2)).square()
    return _finish(torch.exp(-(0.5 * r2).pow(power)))


def disk(
    radius_px: float,
    sides: int = 0,
    rotation: float = 0.0,
    cat_eye: tuple[float, float] = (0.0, 0.0),
    size: int = OPTICAL_SIZE,
) -> Tensor:
    """Defocus disk, optionally the polygon of an aperture's blades or clipped to a cat's eye.

    Args:
        radius_px: radius (circumscribed for a polygon), >= 0.
        sides: 0 for a circle, else the number of blades (>= 5).
        rotation: of the polygon.
        cat_eye: centre (y, x) of a second disk of the same radius, as a fraction of the radius, that clips the first.
        size: odd side of the kernel.

    Returns:
        (size, size) kernel.
    """
    y, x = _grid(size)
    radius = max(radius_px, 0.15)
    distance = torch.hypot(y, x)
    if sides:
        sector = 2 * math.pi / sides
        phi = torch.remainder(torch.atan2(y, x) - rotation, sector) - sector / 2
        distance = distance * torch.cos(phi) / math.cos(sector / 2)
    inside = (distance <= radius).float()
    if cat_eye != (0.0, 0.0):
        inside = inside * (torch.hypot(y - cat_eye[0] * radius, x - cat_eye[1] * radius) <= radius)
    return _finish(inside + 1e-12)


def stroke(length_px: float, angle: float, width_px: float = 1.0, size: int = OPTICAL_SIZE) -> Tensor:
    """Straight camera-motion stroke with a soft edge, centred.

    Args:
        length_px: from end to end, >= 0.
        angle: of the motion.
        width_px: full width.
        size: odd side of the kernel.

    Returns:
        (size, size) kernel.
    """
    half = length_px / 2
    dy, dx = math.sin(angle) * half, math.cos(angle) * half
    return path([(-dy, -dx), (dy, dx)], width_px, size)


def path(points: Sequence[tuple[float, float]], width_px: float = 1.0, size: int = OPTICAL_SIZE) -> Tensor:
    """Camera-shake kernel: equal time along a polyline, shifted so that its centroid is the centre.

    Args:
        points: (y up, x right) corners in px; at least two.
        width_px: standard deviation x 2 of the Gaussian pen.
        size: odd side of the kernel.

    Returns:
        (size, size) kernel.
    """
    corners = torch.tensor(points, dtype=torch.float32)
    steps = torch.linspace(0, len(points) - 1, 12 * (len(points) - 1) + 1)
    low = steps.floor().clamp_max(len(points) - 2).long()
    trail = torch.lerp(corners[low], corners[low + 1], (steps - low)[:, None])
    trail = trail - trail.mean(0)
    axis = torch.arange(size, dtype=torch.float32) - size // 2
    spread = 2 * max(width_px / 2, 0.3) ** 2
    rows = torch.exp(-(-axis[None] - trail[:, :1]).square() / spread)
    columns = torch.exp(-(axis[None] - trail[:, 1:]).square() / spread)
    kernel = rows.T @ columns
    return kernel / kernel.sum()


def convolve(first: Tensor, second: Tensor) -> Tensor:
    """Convolution of two odd (k, k) kernels cut to the first one's size and normalised."""
    pad = second.shape[-1] // 2
    out = torch.nn.functional.conv2d(first[None, None], second.flip(0, 1)[None, None], padding=pad)[0, 0]
    return out / out.sum()
