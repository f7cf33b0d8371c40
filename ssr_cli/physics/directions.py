"""Directions of kernels by their second moments: how elongated, which way, and whether two fields agree on it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssr_cli.physics import spectra
from ssr_cli.physics.kinds import axes_of

#: Variance, HR px^2, that is added to kernels' own: of tiny ones the shape hardly matters.
_TINY = 0.5
#: Root mean square elongation from which a field has a direction at all, and the share of it that another field must
#: have along the same directions not to contradict it. Networks see about half of an elongation, and of round kernels
#: 0.02 to 0.13.
_DIRECTED, _SHARED = 0.09, 0.05
#: Directions that kernels are stretched along, evenly over half a turn.
COUNT = 8


def mapped(covariance: Tensor, change: spectra.Map) -> Tensor:
    """Second moments (3, P) yy, xx, yx of kernels under a map."""
    (a, b), (c, d) = change
    yy, xx, yx = covariance
    return torch.stack(
        [
            c * c * xx + d * d * yy + 2 * c * d * yx,
            a * a * xx + b * b * yy + 2 * a * b * yx,
            a * c * xx + b * d * yy + (a * d + b * c) * yx,
        ]
    )


def elongation(covariance: Tensor) -> Tensor:
    """Elongation (2, P) of second moments (3, P) along the axes and between them; its length is 0 for round kernels."""
    yy, xx, yx = covariance
    size: Tensor = yy + xx + _TINY
    return torch.stack([yy - xx, 2 * yx]).div(size)


def number_of(covariance: Tensor) -> Tensor:
    """Which of `COUNT` directions, counter-clockwise from horizontal, the long axes of kernels (3, P) have, (P,)."""
    numbers: Tensor = (axes_of(covariance).angle / (math.pi / COUNT)).round().long() % COUNT
    return numbers


def contradicted(claimed: Tensor, seen: Tensor) -> bool:
    """Whether places show a direction that a claim has nothing of, by second moments (3, P) each."""
    says, shown = elongation(claimed), elongation(seen)
    energy = float(shown.square().sum(0).mean())
    return energy > _DIRECTED**2 and float((says * shown).sum(0).mean()) < _SHARED * energy
