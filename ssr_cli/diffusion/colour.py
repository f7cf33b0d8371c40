"""Colours stay the photo's: over a few pixels, the result has the photo's mean values, channel by channel.

Which mean, depends on what the pixels have gone through. Blur keeps light, so pictures that were made smaller, and raw
ones, keep their means of linear light; encoded means are then lower where there is more detail. Cameras that sharpen
keep encoded means instead, and a network that has learnt the former darkens their photos by 3/255 on average (measured
on RealSR and DRealSR).

A clipped value says only that there was no less light, or no more. A result that draws the glow of a lamp back into it
cannot put it there, and its loss is no cast: around clipped places nothing is compared.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.diffusion.gauss import gaussian, reach_of
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear

#: LR pixels over which means are kept: standard deviation of a Gaussian.
_SIGMA = 5.0
#: LR pixels around a clipped value that are not compared.
_GLOW = 3
#: Share of a surrounding that must be comparable for its shift to count in full.
_ENOUGH = 0.2
#: Values from here on outwards are clipped: the file's last steps.
_BLACK, _WHITE = 1.5 / 255, 253.5 / 255
#: Linear light that is nothing beside what surroundings are compared by.
_DARK = 1e-3


def _mirrored(length: int, device: torch.device) -> Tensor:
    """Where the values of an axis lie, however short, that is mirrored at its ends as far as the Gaussian reads."""
    reach = reach_of(_SIGMA)
    places = torch.arange(-reach, length + reach, device=device) % (2 * length)
    return torch.minimum(places, 2 * length - 1 - places)


def _coarse(plane: Tensor) -> Tensor:
    """A Gaussian mean of (B, C, h, w); mirrored beyond the border, so that the mean of all of it stays what it is."""
    height, width = plane.shape[-2:]
    return gaussian(plane[:, :, _mirrored(height, plane.device)][..., _mirrored(width, plane.device)], _SIGMA)


def _comparable(y: Tensor) -> Tensor:
    """1 where no value of a channel is clipped nearby, else 0, (B, C, h, w)."""
    clipped = ((y < _BLACK) | (y > _WHITE)).to(y)
    return 1 - F.max_pool2d(clipped, 2 * _GLOW + 1, 1, _GLOW)


def _spread(plane: Tensor, scale: int) -> Tensor:
    """(B, C, h, w) to the size of the result."""
    return F.interpolate(plane, scale_factor=float(scale), mode="bilinear", align_corners=False)


def keep_colour(image: Tensor, y: Tensor, processed: float) -> Tensor:
    """Give a result the photo's colours back.

    Args:
        image: (B, 3, h s, w s), encoded, 0..1.
        y: (B, 3, h, w) photo, encoded, 0..1.
        processed: probability 0..1 that these are a camera's pixels, which it processed.

    Returns:
        (B, 3, h s, w s), encoded, 0..1. Its coarse means are the photo's, encoded or of light, but for values that
        would leave 0..1 and for what lies around clipped ones.
    """
    compared = _comparable(y)
    encoded = _keep_encoded(image, y, compared) if processed > 0 else image
    light = _keep_light(image, y, compared) if processed < 1 else image
    return torch.lerp(light, encoded, processed)


def _keep_encoded(image: Tensor, y: Tensor, compared: Tensor) -> Tensor:
    """Shift encoded values to the photo's means."""
    scale = image.shape[-1] // y.shape[-1]
    shift = _coarse(compared * (y - F.avg_pool2d(image, scale))) / _coarse(compared).clamp_min(_ENOUGH)
    return (image + _spread(shift, scale)).clamp(0, 1)


def _keep_light(image: Tensor, y: Tensor, compared: Tensor) -> Tensor:
    """Give linear light the photo's means, by a factor: what is black stays black."""
    scale = image.shape[-1] // y.shape[-1]
    light = srgb_to_linear(image)
    wanted, found = _coarse(compared * srgb_to_linear(y)), _coarse(compared * F.avg_pool2d(light, scale))
    factor = 1 + (wanted - found) / (found + _DARK) * (_coarse(compared) / _ENOUGH).clamp(0, 1)
    return linear_to_srgb((light * _spread(factor, scale)).clamp(0, 1))
