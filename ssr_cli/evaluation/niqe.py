"""NIQE, the natural image quality evaluator (Mittal, Soundararajan, Bovik 2013): how far a photo's local statistics are
from those of sharp photos. No reference is needed; lower is better.

The pristine model is ours, fitted to this repository's training photos, so figures compare among themselves and with
the true photos' own, not with values published elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.errors import InputError
from ssr_cli.evaluation.metrics import luma

#: Side of a patch at full size; half of it at half size.
PATCH = 96
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
#: Pristine patches are those at least this sharp, as a share of their photo's sharpest.
_SHARP = 0.75
MODEL_FILE = Path(__file__).parents[1] / "assets" / "niqe.safetensors"


@dataclass(frozen=True)
class NiqeModel:
    """Multivariate Gaussian of sharp patches.

    Attributes:
        mean: (36,) float64.
        covariance: (36, 36) float64.
    """

    mean: Tensor
    covariance: Tensor


@lru_cache(maxsize=1)
def _shapes() -> tuple[Tensor, Tensor]:
    """Shape parameters and the moment ratio of the generalised Gaussian that each has."""
    alpha = torch.arange(0.2, 10.001, 0.001, dtype=torch.float64)
    ratio = (2 * torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha)).exp()
    return alpha, ratio


def fit_asymmetric(samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Moment fit of asymmetric generalised Gaussians (Lasmar, Stitou, Berthoumieu 2009).

    Args:
        samples: (N, M), one distribution a row.

    Returns:
        shape, left scale and right scale, each (N,).
    """
    x = samples.double()

    def spread(side: Tensor) -> Tensor:
        inside = torch.where(side, x.square(), 0.0).sum(1)
        return (inside / side.sum(1).clamp_min(1)).sqrt().clamp_min(1e-12)

    left, right = spread(x < 0), spread(x > 0)
    skew = left / right
    peak = x.abs().mean(1).square() / x.square().mean(1).clamp_min(1e-24)
    wanted = peak * (skew**3 + 1) * (skew + 1) / (skew**2 + 1).square()
    alphas, ratios = _shapes()
    index = torch.searchsorted(ratios, wanted.clamp(float(ratios[0]), float(ratios[-1]))).clamp_max(len(alphas) - 1)
    alpha = alphas[index]
    scale = (0.5 * (torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha))).exp()
    return alpha, left * scale, right * scale


def _normalised(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Mean-subtracted contrast-normalised values and local deviations of luma (1, 1, H, W)."""
    axis = torch.arange(-3, 4, dtype=grey.dtype)
    bell = torch.exp(-0.5 * (axis / (7 / 6)).square())
    window = (bell[:, None] * bell[None] / bell.sum().square())[None, None]

    def smooth(plane: Tensor) -> Tensor:
        return F.conv2d(F.pad(plane, (3, 3, 3, 3), mode="replicate"), window)

    mean = smooth(grey)
    deviation = (smooth(grey.square()) - mean.square()).abs().sqrt()
    return (grey - mean) / (deviation + 1), deviation


def _patches(plane: Tensor, side: int) -> Tensor:
    """Whole patches (N, side, side) of (1, 1, H, W)."""
    h, w = (n // side * side for n in plane.shape[-2:])
    cut = plane[0, 0, :h, :w].reshape(h // side, side, w // side, side)
    return cut.permute(0, 2, 1, 3).reshape(-1, side, side)


def _features(values: Tensor) -> Tensor:
    """18 numbers of each patch (N, s, s): shape and scale of the values, and of products with four neighbours."""
    alpha, left, right = fit_asymmetric(values.flatten(1))
    columns = [alpha, (left + right) / 2]
    for dy, dx in _SHIFTS:
        product = values * torch.roll(values, (dy, dx), (1, 2))
        alpha, left, right = fit_asymmetric(product.flatten(1))
        mean = (right - left) * (torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha)).exp()
        columns += [alpha, mean, left, right]
    return torch.stack(columns, 1)


def patch_features(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """Features and sharpness of every patch of a photo.

    Args:
        rgb: (3, H, W), encoded, 0..1, at least 96 pixels a side.

    Returns:
        (N, 36) float64 and (N,).

    Raises:
        InputError: if the photo holds no patch.
    """
    if min(rgb.shape[-2:]) < PATCH:
        raise InputError(f"A photo of {rgb.shape[-1]}x{rgb.shape[-2]} is too small for NIQE.", f"Give {PATCH} a side.")
    h, w = (n // PATCH * PATCH for n in rgb.shape[-2:])
    grey = luma(rgb)[None, None, :h, :w]
    values, deviation = _normalised(grey)
    half = F.interpolate(grey, scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False)
    coarse, _ = _normalised(half)
    features = torch.cat([_features(_patches(values, PATCH)), _features(_patches(coarse, PATCH // 2))], 1)
    return features, _patches(deviation, PATCH).mean((1, 2))


def fit_niqe(photos: Iterable[Tensor]) -> NiqeModel:
    """Model of the sharp patches of sharp photos (each (3, H, W), encoded)."""
    kept = []
    for rgb in photos:
        features, sharpness = patch_features(rgb)
        kept.append(features[sharpness > _SHARP * sharpness.max()])
    rows = torch.cat(kept)
    return NiqeModel(rows.mean(0), torch.cov(rows.T))


@lru_cache(maxsize=1)
def bundled_model() -> NiqeModel:
    """The model fitted to the training photos."""
    from safetensors.torch import load_file

    data = load_file(MODEL_FILE)
    return NiqeModel(data["mean"].double(), data["covariance"].double())


def niqe(rgb: Tensor, model: NiqeModel | None = None) -> float:
    """NIQE of a photo (3, H, W), encoded, 0..1, at least 96 pixels a side; lower is better."""
    model = model or bundled_model()
    features, _ = patch_features(rgb)
    covariance = torch.cov(features.T) if len(features) > 1 else torch.zeros_like(model.covariance)
    difference = model.mean - features.mean(0)
    joint = torch.linalg.pinv((model.covariance + covariance) / 2)
    return float((difference @ joint @ difference).clamp_min(0).sqrt())
