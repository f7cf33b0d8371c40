"""Colours stay the photo's: over a few pixels, the result has the photo's mean values, channel by channel.

Light is kept by blur, encoded values are not: a picture with more detail has lower encoded means. Cameras that sharpen
keep encoded means instead, and a network that learnt the former darkens their photos by 3/255 on average (measured on
RealSR and DRealSR, whose true photos lie between). What people see and compare are encoded values, so these are kept:
exactly where a camera processed the photo, within half a step of the file elsewhere.

Where nobody processed it and light was blurred, the truth is darker than the photo wherever detail was lost, by 2 to
5/255 in rendered defocus, and the posterior mean knows of it: there its coarse means are kept, as far as blur explains
them (`dimming`).

A clipped value says only that there was no less light, or no more. A result that draws the glow of a lamp back into it
cannot put it there, and its loss is no cast: around clipped places nothing is compared.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.diffusion.gauss import bell, reach_of
from ssr_cli.image.banded import along, banded
from ssr_cli.models.blocks import largest_around

#: LR pixels over which means are kept: standard deviation of a Gaussian.
_SIGMA = 5.0
#: LR pixels around clipped areas that are not compared, and the share of 3 x 3 that must be clipped: no mere dot is a
#: lamp.
_GLOW, _LAMP = 3, 0.6
#: Share of a surrounding that must be comparable for its shift to count in full.
_ENOUGH = 0.2
#: Values from here on outwards are clipped: the file's last steps.
_BLACK, _WHITE = 1.5 / 255, 253.5 / 255
#: What means may be off by where no camera processed the photo, encoded units.
_SLACK = 0.35 / 255
#: What is explained at most by blur of linear light, encoded units: rendered defocus has up to 16/255 in places.
_DARKEST = 16 / 255
#: How often colours are given back: what was cut off at 0 and 1 the first time is made up for by what was not.
_TURNS = 2


def _averaging(length: int, like: Tensor) -> Tensor:
    """Gaussian means along an axis as a matrix (length, length), mirrored at both ends however short it is."""
    places = along(length, reach_of(_SIGMA), like.device) % (2 * length)
    return banded(bell(_SIGMA, like)[None], torch.minimum(places, 2 * length - 1 - places))[0]


def _coarse(plane: Tensor) -> Tensor:
    """A Gaussian mean of (B, C, h, w); mirrored beyond the border, so that the mean of all of it stays what it is."""
    height, width = plane.shape[-2:]
    return _averaging(height, plane) @ plane @ _averaging(width, plane).mT


def _comparable(y: Tensor) -> tuple[Tensor, Tensor]:
    """1 where a channel has no clipped area nearby, else 0, (B, C, h, w); and what of a surrounding is comparable."""
    clipped = ((y < _BLACK) | (y > _WHITE)).to(y)
    area = (F.avg_pool2d(clipped, 3, 1, 1) > _LAMP).to(y)
    compared = torch.ones_like(y)
    if bool(area.any()):
        compared -= largest_around(area, _GLOW + 1)  # the middle of an area lies within its rim
    return compared, _coarse(compared).clamp_min(_ENOUGH)


def dimming(mean: Tensor, y: Tensor, light: Tensor) -> Tensor:
    """How much darker than a photo its posterior mean is, coarsely, as far as the light that was blurred explains it.

    The curve from light to encoded values is concave, so the mean of blurred light is at least as bright as the mean of
    what was there. Never the other way round, and in encoded values not at all.

    Args:
        mean: (B, 3, h s, w s), encoded.
        y: (B, 3, h, w) photo, encoded, 0..1.
        light: (B,) share of linear light that the blur happened in, see `physics.light`.

    Returns:
        (B, 3, h, w), encoded units, not above 0.
    """
    shift = -_cast(mean, y, *_comparable(y))
    return torch.maximum(shift.clamp_max(0), -_DARKEST * light.view(-1, 1, 1, 1))


def _cast(image: Tensor, y: Tensor, compared: Tensor, weight: Tensor) -> Tensor:
    """What coarse means (B, 3, h, w) of a result lack of the photo's, by the places that are compared."""
    return _coarse(compared * (y - F.avg_pool2d(image, image.shape[-1] // y.shape[-1]))) / weight


def keep_colour(image: Tensor, y: Tensor, processed: float, dimmed: Tensor | None = None) -> Tensor:
    """Give a result the photo's colours back.

    Args:
        image: (B, 3, h s, w s), encoded, 0..1.
        y: (B, 3, h, w) photo, encoded, 0..1.
        processed: probability 0..1 that these are a camera's pixels, which it processed.
        dimmed: (B, 3, h, w) what is added to the photo's coarse means, see `dimming`; None for nothing.

    Returns:
        (B, 3, h s, w s), encoded, 0..1. Its coarse means are these, within 0.35/255 the less likely that is, but
        for values that would leave 0..1 and for what lies around clipped ones.
    """
    scale = image.shape[-1] // y.shape[-1]
    (compared, weight), slack = _comparable(y), _SLACK * (1 - processed)
    for _ in range(_TURNS):
        cast = _cast(image, y, compared, weight)
        if dimmed is not None:
            cast = cast + dimmed
        shift = cast - cast.clamp(-slack, slack)
        spread = F.interpolate(shift, scale_factor=float(scale), mode="bilinear", align_corners=False)
        image = spread.add_(image).clamp_(0, 1)
    return image
