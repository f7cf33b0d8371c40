"""What a camera's sharpening does to a photo after the optics, and how to take it back.

The model is unsharp masking, `S u = u + amount (u - G_sigma u)` on encoded values, known by its log gains at two
frequencies. Blur kernels explain a photo only before S: `y = S (A x) + n`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssr_cli.image.banded import along, banded

#: Frequencies at which sharpening is told, cycles per LR pixel along an axis.
GAIN_AT = (0.1, 0.3)
#: Reach of a bell, LR pixels.
_REACH = 6
#: Masks that are considered when gains are turned back into sharpening, sigma in LR pixels.
_SIGMAS = torch.linspace(0.4, 2.6, 45)
#: A sharpening that changes the finer frequency by less than this share is none.
_NEGLIGIBLE = 0.02
#: Doublings of the fixed-point iterations, 16 in all; the error falls by amount / (1 + amount) each time.
_DOUBLINGS = 4


def bells(sigmas: Tensor) -> Tensor:
    """Sampled Gaussians (B, 13) of unit sum, sigmas (B,) in pixels.

    Narrow ones fall between the samples: below half a pixel three taps of the right variance stand for them.
    """
    axis = torch.arange(-_REACH, _REACH + 1, device=sigmas.device, dtype=sigmas.dtype)
    values = torch.exp(-0.5 * (axis[None] / sigmas[:, None]).square())
    wide = values / values.sum(1, keepdim=True)
    side = sigmas.square()[:, None] / 2
    narrow = side * (axis.abs() == 1) + (1 - 2 * side) * (axis == 0)
    return torch.where(sigmas[:, None] < 0.5, narrow, wide)


def _banded(kernels: Tensor, size: int) -> Tensor:
    """Blur along an axis as matrices (B, size, size), borders repeated: faster on crops than grouped convolutions."""
    return banded(kernels, along(size, _REACH, kernels.device).clamp(0, size - 1))


def soften(rgb: Tensor, sigmas: Tensor) -> Tensor:
    """Gaussian blur of every picture (B, C, h, w) by its own sigma (B,), in pixels."""
    h, w = rgb.shape[-2:]
    kernels = bells(sigmas)
    return _banded(kernels, h)[:, None] @ rgb @ _banded(kernels, w)[:, None].mT


def sharpen(rgb: Tensor, sigmas: Tensor, amounts: Tensor) -> Tensor:
    """Unsharp masking of every picture with its own numbers, as cameras do before they save: halos included.

    Args:
        rgb: (B, C, h, w), encoded.
        sigmas: (B,), of the mask, LR pixels.
        amounts: (B,), how much of the difference is added; 0 leaves a picture as it is.

    Returns:
        (B, C, h, w), not clipped.
    """
    return rgb + amounts.view(-1, 1, 1, 1) * (rgb - soften(rgb, sigmas))


def _passed(sigmas: Tensor) -> Tensor:
    """What a bell lets through at `GAIN_AT`, (B, 2)."""
    axis = torch.arange(-_REACH, _REACH + 1, device=sigmas.device, dtype=sigmas.dtype)
    cosines = torch.stack([torch.cos(2 * torch.pi * f * axis) for f in GAIN_AT])
    return bells(sigmas) @ cosines.T


def log_gain(sigmas: Tensor, amounts: Tensor) -> Tensor:
    """Log gain (B, 2) of `sharpen` at `GAIN_AT`."""
    return torch.log1p(amounts[:, None] * (1 - _passed(sigmas)))


def sharpening_of(gain: Tensor) -> tuple[Tensor, Tensor]:
    """The unsharp mask whose gains come closest.

    Args:
        gain: (B, 2) log gains at `GAIN_AT`; below zero counts as zero.

    Returns:
        sigmas (B,) in LR pixels and amounts (B,) >= 0, exact at the finer frequency.
    """
    wanted = gain.clamp_min(0).exp() - 1
    lost = 1 - _passed(_SIGMAS.to(gain))  # (N, 2)
    amounts = wanted[:, 1:] / lost[None, :, 1]  # (B, N)
    best = (amounts * lost[None, :, 0] - wanted[:, :1]).abs().argmin(1)
    return _SIGMAS.to(gain)[best], amounts.gather(1, best[:, None])[:, 0]


def desharpen(rgb: Tensor, gain: Tensor) -> Tensor:
    """Take the camera's sharpening back: `u` with `S u = rgb`, by `u <- (rgb + amount G u) / (1 + amount)`.

    Args:
        rgb: (B, C, h, w), encoded.
        gain: (B, 2) log gains at `GAIN_AT`.

    Returns:
        (B, C, h, w); pictures that were not sharpened as they are.
    """
    sigmas, amounts = sharpening_of(gain)
    amounts = torch.where(gain[:, 1] < _NEGLIGIBLE, 0, amounts).view(-1, 1, 1, 1)
    kernels = bells(sigmas)
    h, w = rgb.shape[-2:]
    # n iterations are sum_{k < n} (share G)^k rgb / (1 + amount) + (share G)^n rgb, and twice as many the square.
    share = amounts / (1 + amounts)
    rows, columns = share * _banded(kernels, h)[:, None], _banded(kernels, w)[:, None].mT
    u = rgb / (1 + amounts)
    for _ in range(_DOUBLINGS):
        u = u + rows @ u @ columns
        rows, columns = rows @ rows, columns @ columns
    return u + rows @ rgb @ columns
