"""What stays out of focus: where a photographer meant blur, the result keeps it at the size it has in the photo.

Blur that a whole photo shares was not meant (missed focus, shake, a soft lens) and is always undone. Blur of a place is
taken as meant by how much larger it is than at the photo's sharpest places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.models.blocks import upscale_bicubic

#: Blur radii beyond the sharpest place's at which keeping begins and is complete, HR px: up to the first the blur of a
#: lens in focus wanders, beyond the second no eye takes a place for sharp.
_BEGINS_PX, _COMPLETE_PX = 1.5, 3.5
#: Side of the window that calms the mask, LR pixels.
_WINDOW = 5


def meant(radius_px: Tensor, sharpest_px: Tensor) -> Tensor:
    """How surely the blur of every place was meant.

    Args:
        radius_px: (B, 1, h, w) blur radii, HR px.
        sharpest_px: (B,) blur radius of the photo's sharpest places, HR px.

    Returns:
        (B, 1, h, w), 0 (in focus) to 1.
    """
    beyond = radius_px - sharpest_px.view(-1, 1, 1, 1)
    ramp = ((beyond - _BEGINS_PX) / (_COMPLETE_PX - _BEGINS_PX)).clamp(0, 1)
    calm = F.avg_pool2d(F.pad(ramp, (_WINDOW // 2,) * 4, mode="replicate"), _WINDOW, 1)
    return calm * calm * (3 - 2 * calm)


def keep_focus(image: Tensor, y: Tensor, radius_px: Tensor, sharpest_px: Tensor, strength: float) -> Tensor:
    """Give places whose blur was meant their blur back, at the size it has in the photo.

    Interpolation of the photo has just that blur and no detail of its own, so it is what such places become.

    Args:
        image: (B, 3, h s, w s), encoded, restored everywhere.
        y: (B, 3, h, w), encoded photo.
        radius_px: (B, 1, h, w) blur radii, HR px.
        sharpest_px: (B,) blur radius of the photo's sharpest places, HR px.
        strength: 0 keeps no blur, 1 all of it.

    Returns:
        (B, 3, h s, w s), encoded, 0..1.
    """
    scale = image.shape[-1] // y.shape[-1]
    share = strength * F.interpolate(meant(radius_px, sharpest_px), size=image.shape[-2:], mode="bilinear")
    return torch.lerp(image, upscale_bicubic(y, scale).to(image).clamp(0, 1), share.to(image))
