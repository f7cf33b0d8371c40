"""A scene as layers, back to front, and what rendering it gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Layer:
    """One opaque object or the background, known also where something nearer hides it.

    Attributes:
        rgb: (3, H, W), linear light, >= 0 (highlights may exceed 1).
        alpha: (H, W), 0..1 coverage.
        disparity: (H, W), relative inverse depth 0..1, defined everywhere.
    """

    rgb: Tensor
    alpha: Tensor
    disparity: Tensor


@dataclass(frozen=True)
class LocalKernels:
    """Continuous kernels of one layer and how they mix at every LR pixel.

    Attributes:
        kernels: (n, k, k), the sensor's box included, unit sum.
        weights: (n, h, w), sum 1 over n.
    """

    kernels: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Rendered:
    """A sharp picture, its photograph, and the truth about what lies between.

    Attributes:
        hr: (3, H, W) encoded, 0..1.
        lr: (3, h, w) encoded, 0..1 (noise and compression included once degraded).
        code: (P, h, w) kernel codes of the true local kernels.
        covariance: (3, h, w) their optical second moments yy, xx, yx in HR px^2.
        disparity: (h, w) true relative inverse depth.
        alpha_beta: thin lens used (radius_px = |alpha d + beta|), or None.
        camera: whether the blur is that of a camera's own pixels, which it goes on to process.
        light: share of linear light that the blur happened in, see `physics.light`.
    """

    hr: Tensor
    lr: Tensor
    code: Tensor
    covariance: Tensor
    disparity: Tensor
    alpha_beta: tuple[float, float] | None = None
    camera: bool = False
    light: float = 1.0
