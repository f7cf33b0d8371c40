"""Solvers that pull a picture onto the set of pictures whose photograph is the one at hand."""

from __future__ import annotations

import torch
from torch import Tensor

from ssr_cli.physics.operators import SpatiallyVariantBlur


def _normal(operator: SpatiallyVariantBlur, z: Tensor, damping: float) -> Tensor:
    """`(A At + damping) z`, times s^2 so that its largest eigenvalue is about 1."""
    return operator.forward(operator.adjoint(z)) * operator.scale**2 + damping * z


def conjugate_gradients(
    operator: SpatiallyVariantBlur, residual: Tensor, steps: int, damping: float = 0.0, stop_rms: float = 0.0
) -> Tensor:
    """Correction `dx = At (A At + lam I)^-1 r` by conjugate gradients (Hestenes and Stiefel 1952).

    Args:
        operator: A.
        residual: (B, C, h, w), `y - A x`.
        steps: most iterations.
        damping: lam times s^2.
        stop_rms: stop as soon as the root mean square of the remaining residual is below (discrepancy principle).

    Returns:
        (B, C, H, W) to be added to x. Inner products run over everything given, so this is for whole photos.
    """
    z = torch.zeros_like(residual)
    r = residual.clone()
    direction = r.clone()
    energy = r.square().sum()
    for _ in range(steps):
        if float(r.square().mean().sqrt()) <= stop_rms or float(energy) < 1e-20:
            break
        image = _normal(operator, direction, damping)
        step = energy / (direction * image).sum().clamp_min(1e-20)
        z = z + step * direction
        r = r - step * image
        fresh = r.square().sum()
        direction = r + (fresh / energy) * direction
        energy = fresh
    return operator.adjoint(z) * operator.scale**2


def chebyshev(
    operator: SpatiallyVariantBlur, residual: Tensor, steps: int, low: float = 0.08, high: float = 1.25
) -> Tensor:
    """The same correction by Chebyshev semi-iteration, whose coefficients are constants (Golub and Varga 1961).

    No inner products: every place depends on its neighbourhood alone, so tiles agree with the whole photo. Components
    of `s^2 A At` with eigenvalues far below `low` are corrected partly, which keeps noise from being amplified.

    Args:
        operator: A.
        residual: (B, C, h, w), `y - A x`.
        steps: iterations, each one A and one At.
        low: smallest eigenvalue treated fully.
        high: bound on the largest eigenvalue.

    Returns:
        (B, C, H, W) to be added to x.
    """
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
        r = r - _normal(operator, direction, 0.0)
        fresh = 1.0 / (2 * sigma - rho)
        direction = fresh * rho * direction + (2 * fresh / half) * r
        rho = fresh
    return operator.adjoint(z) * operator.scale**2
