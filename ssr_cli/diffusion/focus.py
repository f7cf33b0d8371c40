"""What stays out of focus: where a photographer meant blur, the result keeps it at the size it has in the photo.

Blur that a whole photo shares was not meant (missed focus, shake, a soft lens) and is always undone. Blur of a place is
taken as meant by how much larger it is than at the photo's sharpest places.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.diffusion.gauss import gaussian, reach_of
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.models.blocks import mean_around, ramp, upscale_bicubic

#: Estimated blur radii beyond the sharpest place's at which keeping begins and is complete, HR px. Where it is hard to
#: tell, estimates lie near the photo's mean, so a background that is 4 px wider may be found 1 px wider. Chosen on
#: scenes made of training photos, 28 with background and subject: with 0.5 and 1.2, 46 of 100 backgrounds have at most
#: 1.1 of the interpolated photo's fine energy, with these 71, with 0.2 and 0.5 86; but of RealSR's photos, which are
#: sharp all over, 2, 11 and 31 % are kept soft.
_BEGINS_PX, _COMPLETE_PX = 0.3, 0.8
#: Share of a radius that is the lens's word. Of 46 scenes made of training photos 91 of 100 backgrounds have at most
#: 1.1 of the interpolated photo's fine energy by it (83 without), 89 of 100 subjects lose less than 0.2 dB (93), and
#: 1.8 % of the places of RealSR's photos are kept soft (2.8 %).
_BY_LENS = 0.5
#: Side of the window that calms the mask, LR pixels.
_WINDOW = 5
#: Sigma of the Gaussian that looks as soft as a disk of radius 1; with the second moment alone it would be a half.
_SIGMA_OF_RADIUS = 0.54
#: Sigmas of the levels that blur is mixed from, px; the largest is that of the dictionary's widest disk.
_LEVELS = (0.0, 0.7, 1.2, 1.8, 2.6, 3.6, 4.8, 6.0)


def told_by_depth(radius_px: Tensor, lens_px: Tensor) -> Tensor:
    """Blur radii (B, 1, h, w), HR px, as meant blur is judged by.

    Where detail is scarce a radius is found near the photo's mean, whatever it is; the lens knows it from the distance.

    Args:
        radius_px: (B, 1, h, w) radii that were found, HR px.
        lens_px: (B, 1, h, w) those that the photo's lens predicts for its depth, HR px.
    """
    return torch.lerp(radius_px.float(), lens_px.float(), _BY_LENS)


def meant(radius_px: Tensor, sharpest_px: Tensor) -> Tensor:
    """How surely the blur of every place was meant.

    Args:
        radius_px: (B, 1, h, w) blur radii, HR px.
        sharpest_px: (B,) blur radius of the photo's sharpest places, HR px.

    Returns:
        (B, 1, h, w), 0 (in focus) to 1.
    """
    beyond = radius_px - sharpest_px.view(-1, 1, 1, 1)
    calm = mean_around(ramp(beyond, (_BEGINS_PX, _COMPLETE_PX)), _WINDOW)
    return calm * calm * (3 - 2 * calm)


def reblurred(image: Tensor, sigma_px: Tensor) -> Tensor:
    """Blur every place by its own round Gaussian.

    A few levels of blur are mixed so that the variance of each place is right.

    Args:
        image: (B, 3, H, W).
        sigma_px: (B, 1, H, W), pixels; more than the largest level counts as that.

    Returns:
        (B, 3, H, W).
    """
    wanted, out = sigma_px.square(), torch.zeros_like(image)
    for i, level in enumerate(_LEVELS):
        below = 1.0 if i == 0 else (wanted - _LEVELS[i - 1] ** 2) / (level**2 - _LEVELS[i - 1] ** 2)
        last = i + 1 == len(_LEVELS)
        above = 1.0 if last else (_LEVELS[i + 1] ** 2 - wanted) / (_LEVELS[i + 1] ** 2 - level**2)
        weight = torch.minimum(torch.ones_like(wanted) * below, torch.ones_like(wanted) * above).clamp(0, 1)
        if bool(weight.any()):
            out = out + weight * _gaussian(image, level)
    return out


def _gaussian(image: Tensor, sigma: float) -> Tensor:
    """Round Gaussian blur, borders repeated."""
    if not sigma:
        return image
    return gaussian(F.pad(image, (reach_of(sigma),) * 4, mode="replicate"), sigma)


def keep_focus(image: Tensor, y: Tensor, radius_px: Tensor, sharpest_px: Tensor, strength: float) -> Tensor:
    """Give places whose blur was meant a share of their blur back.

    All of it is what interpolation of the photo has: just that blur, and no detail of its own. Of less, the restored
    picture is blurred anew, by that share of the radius; mixing it with the photo would leave its finest detail visible
    through the blur.

    Args:
        image: (B, 3, h s, w s), encoded, restored everywhere.
        y: (B, 3, h, w), encoded photo.
        radius_px: (B, 1, h, w) blur radii, HR px.
        sharpest_px: (B,) blur radius of the photo's sharpest places, HR px.
        strength: 0 keeps no blur, 1 all of it.

    Returns:
        (B, 3, h s, w s), encoded, 0..1.
    """
    if not strength:
        return image
    scale, size = image.shape[-1] // y.shape[-1], image.shape[-2:]
    sure = F.interpolate(meant(radius_px, sharpest_px), size=size, mode="bilinear").to(image)
    if strength == 1:
        return torch.lerp(image, upscale_bicubic(y, scale).to(image).clamp(0, 1), sure)
    sigma = _SIGMA_OF_RADIUS * strength * F.interpolate(radius_px, size=size, mode="bilinear").to(image)
    soft = linear_to_srgb(reblurred(srgb_to_linear(image), sure.sqrt() * sigma)).clamp(0, 1)
    return torch.where(sure > 0, soft, image)
