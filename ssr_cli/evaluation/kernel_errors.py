"""How far an estimated kernel field is from the true one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssr_cli.evaluation.rows import Row
from ssr_cli.evaluation.scenes import Scene
from ssr_cli.frames import KernelField
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.operators import SpatiallyVariantBlur

#: Below this ratio of axes a kernel has no direction worth the name.
_DIRECTED = 1.25
#: Standard deviation of the short axis, HR px, below which a ratio says nothing: where light was sampled without a
#: pixel's box, as MANet's modes are, the moments less the box fall to nothing and below, and ratios are what they are
#: clamped to.
_THIN = 0.5


def _axes(covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviations of the long and the short axis (HR px) and the long one's angle, each (h, w)."""
    yy, xx, yx = covariance
    middle, half = (yy + xx) / 2, torch.hypot((xx - yy) / 2, yx)
    # Where light was sampled without a pixel's box, moments less the box can fall below nothing.
    long, short = (middle + half).clamp_min(0.04).sqrt(), (middle - half).clamp_min(0.04).sqrt()
    return long, short, 0.5 * torch.atan2(2 * yx, xx - yy)


def sigma_error_px(covariance: Tensor, true: Tensor) -> float:
    """Mean absolute error of the local blur's standard deviation, HR px, both covariances (3, h, w)."""
    found, wanted = ((0.5 * (c[0] + c[1])).clamp_min(0).sqrt() for c in (covariance, true))
    return float((found - wanted).abs().mean())


def shape_errors(covariance: Tensor, true: Tensor) -> Row:
    """Mean absolute error of the ratio long : short where the true one means something, and of the angle (degrees)
    where the truth has a direction; NaN where that is nowhere.
    """
    long, short, angle = _axes(covariance)
    true_long, true_short, true_angle = _axes(true)
    directed = true_long / true_short > _DIRECTED
    turn = torch.remainder(angle - true_angle + math.pi / 2, math.pi) - math.pi / 2
    degrees = float(turn[directed].abs().mean() * 180 / math.pi) if bool(directed.any()) else math.nan
    wide = true_short > _THIN
    ratio = (long / short - true_long / true_short)[wide]
    return {
        "axis_ratio_error": float(ratio.abs().mean()) if bool(wide.any()) else math.nan,
        "angle_error_deg": degrees,
    }


def blur_errors(field: KernelField, scene: Scene) -> Row:
    """What blurring the sharp photo with the field misses of the clean photograph, relative to the photograph's detail.

    Returns:
        `blur_error`: norm of the difference over the norm of the photograph less its mean; `blur_error_single`: the
        same for the best one atom for the whole photo.
    """
    dictionary = default_dictionary()
    sharp = scene.decode(scene.truth.hr)[None]
    operator = SpatiallyVariantBlur(dictionary.atoms, field.weights[None], dictionary.scale)
    seen = operator.responses(sharp)[0]  # (3, L, h, w)
    detail = (scene.clean - scene.clean.mean((1, 2), keepdim=True)).square().sum().sqrt()
    mixed = (seen * field.weights).sum(1)
    singles = (seen - scene.clean[:, None]).square().sum((0, 2, 3)).sqrt()
    return {
        "blur_error": float((mixed - scene.clean).square().sum().sqrt() / detail),
        "blur_error_single": float(singles.min() / detail),
    }


def kernel_figures(field: KernelField, scene: Scene) -> Row:
    """All errors of one round's field."""
    covariance = scene.truth.covariance
    return {
        "sigma_error_px": sigma_error_px(field.covariance, covariance),
        **shape_errors(field.covariance, covariance),
        **blur_errors(field, scene),
    }
