"""What is known of a depth before any kernel is: our own estimate beside it, and what it looks like by itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssr_cli.models.blocks import largest_around, local_gradient, ramp
from ssr_cli.physics.spectra import luma_of

#: Spread of a depth below which it is as good as flat.
_FLAT = 1e-3
#: LR pixels within which a step of depth and one of the photo count as one.
_NEAR = (1, 4)
#: LR pixels over which a slope is looked for, and the least there is.
_OVER, _SLOPE = 8, 1e-3
#: Share of places with a slope, down and across alike, from which a depth begins to be flat nowhere, and is for sure.
#: What was drawn or measured of things that people made has flat places, as have outlines that were moved or softened;
#: estimates have hardly any (ours 0.75 to 0.87; with waves over it 0.83 to 0.96, displaced 0.17 to 0.60).
_NOWHERE = (0.75, 0.85)


@dataclass(frozen=True)
class Opinion:
    """What is known of a depth before any kernel is: our own estimate, and how far that and the photo agree with it.

    A depth of another scene cannot be told from within: it has crisp outlines and no waves.

    Attributes:
        estimate: (B, 1, h, w) our own estimate with the mean and spread of the given depth; the depth itself where
            that is our own.
        agreement: (B, 3) over whole photos, -1..1: correlation of depth and estimate; of the steps of depth and photo,
            within 1 LR pixel of each other and within 4 (outlines in the wrong place are near the right one).
        sloping: (B,) 0..1, how surely whole depths are flat nowhere; see `flat_nowhere`.
    """

    estimate: Tensor
    agreement: Tensor
    sloping: Tensor


def second_opinion(y: Tensor, depth: Tensor, estimate: Tensor) -> Opinion:
    """Our own estimate beside a given depth.

    Args:
        y: (B, 3, h, w) whole photos, encoded.
        depth: (B, 1, h, w) as given, disparity.
        estimate: (B, 1, h, w) of our own.
    """
    return Opinion(in_units_of(depth, estimate), agreement(y, depth, estimate), flat_nowhere(depth))


def in_units_of(depth: Tensor, estimate: Tensor) -> Tensor:
    """An estimate with the mean and spread of a depth, all (B, 1, h, w): no photo fixes either."""
    dims = (1, 2, 3)
    spread, own = (plane.std(dims, correction=0, keepdim=True) for plane in (depth, estimate))
    stretched = (estimate - estimate.mean(dims, keepdim=True)) / own.clamp_min(_FLAT) * spread
    return stretched + depth.mean(dims, keepdim=True)


def agreement(y: Tensor, depth: Tensor, estimate: Tensor) -> Tensor:
    """How far a depth, our own estimate and the photo agree, (B, 3), see `Opinion`; told as `second_opinion` is."""
    steps = [local_gradient(plane).sum(1, keepdim=True) for plane in (depth, luma_of(y)[:, None])]
    found = [_correlation(depth, estimate)]
    for reach in _NEAR:
        found.append(_correlation(*(largest_around(step, reach).sqrt() for step in steps)))
    return torch.stack(found, 1)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, (B,), of planes (B, 1, h, w); 0 where one is flat."""
    a, b = (plane.flatten(1) - plane.flatten(1).mean(1, keepdim=True) for plane in (a, b))
    scale = (a.square().mean(1) * b.square().mean(1)).sqrt()
    return (a * b).mean(1) / scale.clamp_min(_FLAT**2)


def flat_nowhere(depth: Tensor) -> Tensor:
    """How surely depths (B, 1, h, w) slope everywhere, as estimates do, (B,) 0..1."""
    if min(depth.shape[-2:]) <= _OVER:
        return depth.new_zeros(len(depth))
    down, across = (depth[:, :, _OVER:] - depth[:, :, :-_OVER], depth[..., _OVER:] - depth[..., :-_OVER])
    shares = [(step.abs() > _SLOPE).float().mean((1, 2, 3)) for step in (down, across)]
    return ramp(torch.minimum(*shares), _NOWHERE)
