"""Solvers that pull a picture onto the set of pictures whose photograph is the one at hand.

Both solve `(A S At) z = r` and return `dx = S At z`. `S = 1 / (At 1)` evens out how often an HR pixel is looked at
(at the photo's border replicated pixels count many times). Since rows of A sum to one, `A S At` then has no eigenvalue
above 1 whatever the kernels are, which is what lets an iteration with constant coefficients be safe.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssr_cli.physics.operators import SpatiallyVariantBlur, per_photo

#: HR pixels looked at less often than this share of the average are not corrected more for it.
_LEAST = 0.25


class _Normal:
    """`A S At` of an operator, or of its rough version, and the way back to the picture."""

    def __init__(self, operator: SpatiallyVariantBlur, free: Tensor | None = None, rough: bool = False) -> None:
        self.operator = operator.rough if rough else operator
        even = 1.0 / self.operator.coverage.to(operator.weights).clamp_min(_LEAST / operator.scale**2)
        even = even[:, None]  # (B, 1, s s, h, w), or of every channel
        if free is not None:
            even = even * per_photo(operator.blocks(free), len(free))
        self.even = even.to(self.operator.filters.dtype)

    def _back(self, z: Tensor) -> Tensor:
        """`S At z` in blocks."""
        return (per_photo(self.operator.spread(z), len(z)) * self.even).flatten(0, 1)

    def back(self, z: Tensor) -> Tensor:
        """`S At z`, (B, C, H, W)."""
        return self.operator.picture(self._back(z)).to(z)

    def __call__(self, z: Tensor) -> Tensor:
        """`A S At z`, (B, C, h, w)."""
        return self.operator.see(self._back(z))


def conjugate_gradients(
    operator: SpatiallyVariantBlur, residual: Tensor, steps: int, damping: float = 0.0, stop_rms: float = 0.0
) -> Tensor:
    """Correction `dx = S At (A S At + damping)^-1 r` by conjugate gradients (Hestenes and Stiefel 1952).

    Args:
        operator: A.
        residual: (B, C, h, w), `y - A x`.
        steps: most iterations.
        damping: added to eigenvalues that lie in 0..1.
        stop_rms: stop as soon as the root mean square of the remaining residual is below (discrepancy principle).

    Returns:
        (B, C, H, W) to be added to x. Inner products run over everything given, so this is for whole photos.
    """
    normal = _Normal(operator)
    z = torch.zeros_like(residual)
    r = residual.clone()
    direction = r.clone()
    energy = r.square().sum()
    for _ in range(steps):
        if float(r.square().mean().sqrt()) <= stop_rms or float(energy) < 1e-20:
            break
        image = normal(direction) + damping * direction
        step = energy / (direction * image).sum().clamp_min(1e-20)
        z = z + step * direction
        r = r - step * image
        fresh = r.square().sum()
        direction = r + (fresh / energy) * direction
        energy = fresh
    return normal.back(z)


def chebyshev(
    operator: SpatiallyVariantBlur,
    residual: Tensor,
    steps: int,
    low: float = 0.08,
    high: float = 1.05,
    free: Tensor | None = None,
) -> Tensor:
    """The same correction, undamped, by Chebyshev semi-iteration with constant coefficients (Golub and Varga 1961).

    No inner products: every place depends on its neighbourhood alone, so tiles agree with the whole photo. Components
    with eigenvalues far below `low` are corrected partly, which keeps noise from being amplified.

    Args:
        operator: A; its rough version is iterated.
        residual: (B, C, h, w), `y - A x`.
        steps: iterations, each one A and one At.
        low: smallest eigenvalue treated fully.
        high: bound on the largest eigenvalue; above 1 because reduced dictionaries have small negative lobes.
        free: (B, C, H, W), 1 where a value may be changed, 0 where not, or between; eigenvalues only become smaller.

    Returns:
        (B, C, H, W) to be added to x.
    """
    normal = _Normal(operator, free, rough=True)
    centre, half = (high + low) / 2, (high - low) / 2
    z = torch.zeros_like(residual)
    r = residual
    direction = r / centre
    rho = half / centre
    sigma = centre / half
    for i in range(steps):
        z = z + direction
        if i + 1 == steps:
            break
        r = r - normal(direction)
        fresh = 1.0 / (2 * sigma - rho)
        direction = fresh * rho * direction + (2 * fresh / half) * r
        rho = fresh
    return normal.back(z)
