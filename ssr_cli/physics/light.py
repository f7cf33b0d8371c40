"""The light that blur happened in: linear where optics blurred, encoded values where a program did, or between.

Most programs that make pictures smaller average encoded values, so their blur adds in these and not in light. Undone
in the wrong light, edges keep a shadow on one side: of MANet's spatially variant photos, blurred in encoded values,
corrections in linear light take 0.05 to 0.08 dB, and such in their own give up to 0.07.

The share of linear light is 0 for encoded values and 1 for linear light. Between lie parabolas, `(1 - b) x + b x^2`,
whose inverse is a square root: that is quicker than sRGB's curve, and what it lacks in likeness blur does not show.
"""

from __future__ import annotations

from torch import Tensor

from ssr_cli.image.color import linear_to_srgb, srgb_to_linear

#: Gamma that counts as linear light: that of sRGB's curve.
_GAMMA = 2.4
#: Bend of the parabola that stands for it: as steep at black as sRGB, so that noise there is not made more of.
_BEND = 0.92


def share_of_gamma(gamma: float) -> float:
    """The share of linear light of values whose gamma is 1 (as encoded) or more."""
    return min(1.0, max(0.0, (gamma - 1) / (_GAMMA - 1)))


def _bend(share: Tensor, like: Tensor) -> Tensor:
    """Of photos (B,), beside their planes."""
    return (_BEND * share).to(like).view(-1, 1, 1, 1)


def decoded(rgb: Tensor, share: Tensor | None = None) -> Tensor:
    """Encoded values in the light they were blurred in.

    Args:
        rgb: (B, C, h, w), encoded; values below 0 count as 0.
        share: (B,) of linear light, 0..1; None for sRGB's linear light to the bit.

    Returns:
        (B, C, h, w), 0..1 where the values were.
    """
    if share is None:
        return srgb_to_linear(rgb)
    positive, bend = rgb.clamp_min(0), _bend(share, rgb)
    return positive * (1 - bend + bend * positive)


def encoded(light: Tensor, share: Tensor | None = None) -> Tensor:
    """The inverse of `decoded`.

    Args:
        light: (B, C, h, w), 0..1; values below 0 count as 0.
        share: (B,) of linear light, 0..1; None for sRGB's linear light to the bit.
    """
    if share is None:
        return linear_to_srgb(light)
    positive, bend = light.clamp_min(0), _bend(share, light)
    straight = 1 - bend
    return 2 * positive / (straight + (straight.square() + 4 * bend * positive).sqrt())
