"""What of a result the photo determines, and what the prior invented: range and null space of the blur.

`x = x_d + x_i` with `A x_i = 0`: the photo would have been the same whatever `x_i` is. And how sure each place is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ssr_cli.models.blocks import mean_around
from ssr_cli.physics.light import decoded, encoded
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.physics.projection import chebyshev

#: Side of the neighbourhood whose mean is no detail, HR px.
_DETAIL = 9
#: Iterations of the split; with fewer, fine detail that the photo does determine counts as invented.
_STEPS = 12

#: Sides of the neighbourhoods that the spread of samples and slopes are averaged over, HR px.
_SPREAD_WINDOW, _SLOPE_WINDOW = 9, 21
#: How much of a radius' error shows in the slopes' square, chosen on rendered scenes.
_SLOPE_SHARE = 0.5


@dataclass(frozen=True)
class Split:
    """A picture in two parts.

    Attributes:
        determined: (B, 3, H, W) encoded, what the photo says.
        invented: (B, 3, H, W) encoded units, the rest; positive and negative.
    """

    determined: Tensor
    invented: Tensor

    @property
    def energy(self) -> tuple[float, float]:
        """Sums of squares of the invented part, and of it and the detail that is determined together."""
        invented = float(self.invented.double().square().sum())
        known = self.determined - mean_around(self.determined, _DETAIL)
        return invented, invented + float(known.double().square().sum())


def split(image: Tensor, operator: SpatiallyVariantBlur, light: Tensor | None = None) -> Split:
    """Split a picture by the kernels of its photo.

    Args:
        image: (B, 3, H, W) encoded, 0..1.
        operator: A.
        light: (B,) share of linear light that it adds in, see `physics.light`; None for linear.

    Returns:
        The least-norm picture that the photo could be of, `S At (A S At)^-1 A x`, and the rest.
    """
    linear = decoded(image.clamp(0, 1), light)
    determined = chebyshev(operator, operator.forward(linear), _STEPS).clamp(0, 1)
    shown = encoded(determined, light)
    return Split(shown, image - shown)


def expected_error(mean: Tensor, samples: Tensor, confidence_px: Tensor, noise: Tensor) -> Tensor:
    """Root mean square error that each pixel of a result may have.

    Three doubts add in quadrature: the prior's (the spread of its samples), the kernels' (a radius that is wrong by a
    pixel misplaces a share of the slopes around), and the photo's own noise. Few samples say little of one pixel, and
    an edge may be as far away as kernels reach: both are means over neighbours.

    Args:
        mean: (B, 3, H, W) posterior mean, encoded.
        samples: (N, B, 3, H, W) results of different seeds, N >= 2.
        confidence_px: (B, 1, h, w) expected error of the blur radius, HR px.
        noise: (B, 1, h, w) standard deviation of what the kernels leave unexplained, encoded units.

    Returns:
        (B, 1, H, W), encoded units.
    """
    spread = mean_around(samples.var(0, unbiased=True).mean(1, keepdim=True), _SPREAD_WINDOW)
    grey = F.pad(mean.mean(1, keepdim=True), (1,) * 4, mode="replicate")
    dy = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) / 2
    dx = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) / 2
    slope = mean_around(dy.square() + dx.square(), _SLOPE_WINDOW)

    def up(plane: Tensor) -> Tensor:
        return F.interpolate(plane.float(), size=mean.shape[-2:], mode="bilinear")

    return (spread + _SLOPE_SHARE * slope * up(confidence_px).square() + up(noise).square()).sqrt()


def confidence(error: Tensor) -> Tensor:
    """Expected errors as confidence 0..1: 1 where nothing is in doubt, one half at 8/255."""
    return 1 / (1 + error * 255 / 8)
