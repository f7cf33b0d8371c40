"""Colours stay the photo's: over a few pixels, the result has the photo's mean values, channel by channel.

Light is kept by blur, encoded values are not: a picture with more detail has lower encoded means. Cameras that sharpen
keep encoded means instead, and a network that learnt the former darkens their photos by 3/255 on average (measured on
RealSR and DRealSR, whose true photos lie between). What people see and compare are encoded values, so these are kept.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.diffusion.gauss import gaussian, reach_of

#: LR pixels over which means are kept: standard deviation of a Gaussian.
_SIGMA = 5.0


def _mirrored(length: int, device: torch.device) -> Tensor:
    """Where the values of an axis lie, however short, that is mirrored at its ends as far as the Gaussian reads."""
    reach = reach_of(_SIGMA)
    places = torch.arange(-reach, length + reach, device=device) % (2 * length)
    return torch.minimum(places, 2 * length - 1 - places)


def _coarse(plane: Tensor) -> Tensor:
    """A Gaussian mean of (B, C, h, w); mirrored beyond the border, so that the mean of all of it stays what it is."""
    height, width = plane.shape[-2:]
    return gaussian(plane[:, :, _mirrored(height, plane.device)][..., _mirrored(width, plane.device)], _SIGMA)


def keep_colour(image: Tensor, y: Tensor) -> Tensor:
    """Give a result the photo's colours back.

    Args:
        image: (B, 3, h s, w s), encoded, 0..1.
        y: (B, 3, h, w) photo, encoded, 0..1.

    Returns:
        (B, 3, h s, w s), encoded, 0..1; its coarse means are the photo's but for values that would leave 0..1.
    """
    scale = image.shape[-1] // y.shape[-1]
    shift = _coarse(y - F.avg_pool2d(image, scale))
    spread = F.interpolate(shift, scale_factor=float(scale), mode="bilinear", align_corners=False)
    return (image + spread).clamp(0, 1)
