"""sRGB transfer functions and resizing, in torch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

#: Where sRGB's straight part ends, encoded and in linear light, and the slope there; its curve begins at that value.
_KNEE, _KNEE_LINEAR, _SLOPE = 0.04045, 0.04045 / 12.92, 12.92
#: Of the curve `((value + offset) / (1 + offset)) ** power`.
_OFFSET, _POWER = 0.055, 2.4


def srgb_to_linear(encoded: Tensor) -> Tensor:
    """Decode sRGB (IEC 61966-2-1), values below 0 clamped to 0; safe for gradients.

    Both parts are computed as far as the knee and added, each step in the place of the last: choosing between them
    takes three times as long, and large pictures do not fit in a cache.
    """
    curve = encoded.clamp_min(_KNEE).add_(_OFFSET).div_(1 + _OFFSET).pow_(_POWER)
    curve.sub_(((_KNEE + _OFFSET) / (1 + _OFFSET)) ** _POWER)
    return curve.add_(encoded.clamp(0, _KNEE), alpha=1 / _SLOPE)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Encode sRGB (IEC 61966-2-1), values below 0 clamped to 0; safe for gradients."""
    curve = linear.clamp_min(_KNEE_LINEAR).pow_(1 / _POWER).mul_(1 + _OFFSET)
    curve.sub_((1 + _OFFSET) * _KNEE_LINEAR ** (1 / _POWER))
    return curve.add_(linear.clamp(0, _KNEE_LINEAR), alpha=_SLOPE)


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


def resized(bands: Iterator[Tensor], height: int, size: tuple[int, int]) -> Iterator[Tensor]:
    """`resize` of a picture that comes band after band, with the same result, clipped to 0..1.

    Args:
        bands: (C, b, w), float32, of any height, `height` rows in all.
        height: rows of all bands.
        size: (H, W).

    Yields:
        (C, B, W), as soon as the rows they depend on are there.
    """
    first, weights = _row_weights(height, size[0])
    taps = weights.shape[1]
    held: Tensor | None = None  # rows from `start`, already W wide
    start = row = 0
    for band in bands:
        wide = F.interpolate(
            band[None], size=(band.shape[1], size[1]), mode="bicubic", antialias=True, align_corners=False
        )[0]
        held = wide if held is None else torch.cat([held, wide], 1)
        seen = start + held.shape[1]
        ready = row
        while ready < size[0] and (first[ready] + taps <= seen or seen >= height):
            ready += 1
        if ready > row:
            out = torch.zeros(held.shape[0], ready - row, size[1])
            for tap in range(taps):
                places = (torch.tensor(first[row:ready]) + tap - start).clamp_max(held.shape[1] - 1)
                out += weights[row:ready, tap, None] * held[:, places]
            yield out.clamp_(0, 1)
            row = ready
            if row < size[0]:
                held, start = held[:, first[row] - start :].clone(), first[row]


def _row_weights(height: int, rows: int) -> tuple[list[int], Tensor]:
    """Where each of the new rows begins to look and how it weighs what it sees.

    The antialiased bicubic kernel (a = -0.5) as `torch.nn.functional.interpolate` has it, which follows Pillow.

    Returns:
        the first row each reads, and (rows, taps) weights.
    """
    ratio = height / rows
    stretch = max(ratio, 1.0)
    centres = (torch.arange(rows, dtype=torch.float64) + 0.5) * ratio
    begin = (centres - 2 * stretch + 0.5).long().clamp_min(0)
    end = (centres + 2 * stretch + 0.5).long().clamp_max(height)
    taps = int((end - begin).max())
    place = begin[:, None] + torch.arange(taps)
    x = ((place - centres[:, None] + 0.5) / stretch).abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    weights = torch.where(place < end[:, None], weights, torch.zeros_like(x))
    return begin.tolist(), (weights / weights.sum(1, keepdim=True)).float()
