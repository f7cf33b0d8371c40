"""sRGB transfer functions and resizing, in torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def srgb_to_linear(encoded: Tensor) -> Tensor:
    """Decode sRGB (IEC 61966-2-1), values below 0 clamped to 0; safe for gradients."""
    value = encoded.clamp_min(0.0)
    return torch.where(value <= 0.04045, value / 12.92, ((value.clamp_min(0.04045) + 0.055) / 1.055).pow(2.4))


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Encode sRGB (IEC 61966-2-1), values below 0 clamped to 0; safe for gradients."""
    value = linear.clamp_min(0.0)
    low = 0.0031308
    return torch.where(value <= low, value * 12.92, 1.055 * value.clamp_min(low).pow(1 / 2.4) - 0.055)


def resize(image: Tensor, size: tuple[int, int], kind: str = "bicubic") -> Tensor:
    """Resize with half-pixel centres, antialiased when shrinking.

    Args:
        image: (C, h, w).
        size: (H, W).
        kind: "bicubic", "bilinear" or "area".

    Returns:
        (C, H, W), not clipped.
    """
    if kind == "area":
        return F.interpolate(image[None], size=size, mode="area")[0]
    return F.interpolate(image[None], size=size, mode=kind, antialias=True, align_corners=False)[0]
