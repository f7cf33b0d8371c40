"""Kernel consistency: a sample is pulled to what re-blurs to the photo, only as far as the photo's noise allows.

The residual is judged in encoded light, where noise is roughly uniform, and corrected in linear light, where blur adds.
At every place it is shrunk by the part that noise explains (a local discrepancy principle): where its local root mean
square is below SVKR's noise level nothing is touched, above it just the excess is corrected.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.physics.kernels import KernelDictionary
from ssr_cli.physics.operators import SpatiallyVariantBlur, reduced_basis
from ssr_cli.physics.projection import chebyshev

#: Components of the dictionary used here; leading ones carry all but a sixth of the worst kernel's blur.
RANK = 16
_WINDOW = 7


@dataclass(frozen=True)
class ConsistencyConfig:
    """Numbers of the projection that belong to a checkpoint, chosen on held-out scenes.

    Where `y = A x` holds it pays to correct far below what SVKR cannot explain; where the camera sharpened or the photo
    is grainy it does not, and all that is unexplained is left alone.

    Attributes:
        level: share of SVKR's noise level that is left alone where the model holds.
        sharpened: log gain at 0.3 cycles per LR pixel at which the share begins to rise, and at which it is 1.
        grainy: the same of the photo's grain, standard deviation in encoded units.
        grain: share of the grain that is left alone in any case.
    """

    level: float = 0.25
    sharpened: tuple[float, float] = (0.2, 0.5)
    grainy: tuple[float, float] = (2.5 / 255, 4.5 / 255)
    grain: float = 0.7


def _ramp(value: Tensor, bounds: tuple[float, float]) -> Tensor:
    """0 up to the first bound, 1 from the second on."""
    return ((value - bounds[0]) / (bounds[1] - bounds[0])).clamp(0, 1)


def left_alone(unexplained: Tensor, gain: Tensor, grain: Tensor, config: ConsistencyConfig) -> Tensor:
    """The noise level below which nothing is corrected.

    Args:
        unexplained: (B, 1, h, w) SVKR's noise level, encoded units.
        gain: (B, 2) log gains of the camera's sharpening.
        grain: (B,) standard deviation of the photos' own noise, encoded units.
        config: see there.

    Returns:
        (B, 1, h, w), encoded units.
    """
    doubt = torch.maximum(_ramp(gain[:, 1], config.sharpened), _ramp(grain, config.grainy))
    share = (config.level + (1 - config.level) * doubt).view(-1, 1, 1, 1)
    return torch.maximum(share * unexplained, config.grain * grain.view(-1, 1, 1, 1))


@dataclass(frozen=True)
class Projected:
    """A projected sample and how well it explained the photo before and after.

    Attributes:
        image: (B, 3, H, W) encoded, 0..1.
        before: (B, 3, h, w) residual `y - enc(A dec(x))` of the sample, encoded units.
        after: (B, 3, h, w) the same of the projected one.
    """

    image: Tensor
    before: Tensor
    after: Tensor


@lru_cache(maxsize=4)
def _basis(dictionary: KernelDictionary) -> tuple[Tensor, Tensor]:
    """The reduced basis of a dictionary, found once."""
    return reduced_basis(dictionary.atoms, RANK)


def field_operator(weights: Tensor, dictionary: KernelDictionary) -> SpatiallyVariantBlur:
    """A of a field (B, L, h, w), on the reduced basis."""
    components, mapping = _basis(dictionary)
    coefficients = torch.einsum("blhw,lr->brhw", weights.float(), mapping.to(weights.device))
    return SpatiallyVariantBlur(components, coefficients, dictionary.scale)


def excess(residual: Tensor, noise: Tensor) -> Tensor:
    """The share 0..1 of the residual that noise does not explain.

    Args:
        residual: (B, 3, h, w), encoded units.
        noise: (B, 1, h, w), standard deviation expected, encoded units.

    Returns:
        (B, 1, h, w): `max(0, 1 - noise / rms)` with both averaged (in energy) over 7 x 7 places.
    """
    pad = _WINDOW // 2

    def smooth(energy: Tensor) -> Tensor:
        return F.avg_pool2d(F.pad(energy, (pad,) * 4, mode="replicate"), _WINDOW, 1)

    found = smooth(residual.square().mean(1, keepdim=True))
    allowed = smooth(noise.square())
    return (1 - (allowed / found.clamp_min(1e-12)).sqrt()).clamp_min(0.0)


def project(x: Tensor, y: Tensor, operator: SpatiallyVariantBlur, noise: Tensor, steps: int = 3) -> Projected:
    """Pull a sample onto the photo.

    Args:
        x: (B, 3, H, W) encoded sample.
        y: (B, 3, h, w) encoded photo.
        operator: A of the photo's kernels.
        noise: (B, 1, h, w) standard deviation of what the kernels leave unexplained, encoded units.
        steps: Chebyshev iterations.

    Returns:
        The projected sample and both residuals.
    """
    linear = srgb_to_linear(x.clamp(0, 1))
    seen = operator.forward(linear)
    before = y - linear_to_srgb(seen)
    target = (srgb_to_linear(y) - seen) * excess(before, noise)
    corrected = (linear + chebyshev(operator, target, steps)).clamp(0, 1)
    after = y - linear_to_srgb(operator.forward(corrected))
    return Projected(linear_to_srgb(corrected).clamp(0, 1), before, after)


def first_guess(y: Tensor, operator: SpatiallyVariantBlur, noise: Tensor) -> Tensor:
    """What the kernels alone make of a photo: interpolated, then pulled onto it.

    Args:
        y: (B, 3, h, w) encoded photo, as it was before the camera sharpened it.
        operator: A of the photo's kernels.
        noise: (B, 1, h, w) standard deviation that is left alone, encoded units.

    Returns:
        (B, 3, H, W) encoded, 0..1.
    """
    return project(upscale_bicubic(y, operator.scale).clamp(0, 1), y, operator, noise).image
