"""Where a photo's pixels come from: straight out of a camera, which processed them, or not.

A camera's pixels are soft (lens, low-pass filter, demosaicing), sharpened, and clean of coloured noise. Raw ones have
noise that differs from channel to channel; it would not have survived. Pictures that were made smaller have finer
detail than any camera's pixels have, but most were sharpened or compressed afterwards, so that alone proves little.
Blur means another thing in the one case than in the other, so the models are told which it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssr_cli.physics.noise import estimate_noise

#: Share of places with the strongest second differences, which show the finest detail there is.
_STRONGEST = 0.003
#: Second differences over 1 px by those over 2 px at such places, at which a camera's pixels begin to be doubtful, and
#: from which no more they are none. Measured: RealSR 0.39-0.60 (median 0.46), DRealSR 0.32-0.43, photos made smaller
#: 0.53-0.86 (median 0.70).
_FINE = (0.48, 0.60)
#: The same of noise that the channels do not share, standard deviation, encoded units. Measured: RealSR and DRealSR 0.1
#: to 0.6 of 255, scenes with noise of 2/255 1.8 to 2.0.
_COLOURED = (0.9 / 255, 1.6 / 255)
#: Probability where nothing but fine detail speaks against a camera. Pictures from the web, made smaller and sharpened,
#: come out as harsh as woodcuts when that is taken for proof.
_FINE_ALONE = 0.7


def _strength(differences: Tensor) -> float:
    """The value that the strongest places of a plane exceed."""
    flat = differences.flatten()
    return float(flat.topk(max(1, int(_STRONGEST * flat.numel()))).values[-1])


def fineness(rgb: Tensor) -> float:
    """How fine a photo's finest detail is: 0.32 for very soft pixels, 0.7 for pictures that were made smaller.

    Args:
        rgb: (3, h, w), encoded, 0..1, h and w >= 5.
    """
    grey = rgb.mean(0)
    near, far = [], []
    for plane in (grey, grey.T):
        near.append((plane[:, 1:-3] + plane[:, 3:-1] - 2 * plane[:, 2:-2]).abs().flatten())
        far.append((plane[:, :-4] + plane[:, 4:] - 2 * plane[:, 2:-2]).abs().flatten())
    return _strength(torch.cat(near)) / max(_strength(torch.cat(far)), 1e-6)


def coloured_noise(rgb: Tensor) -> float:
    """Standard deviation of noise that the channels do not share, encoded units, per channel.

    Args:
        rgb: (3, h, w), encoded, 0..1, h and w >= 3.
    """
    return float(min(estimate_noise(difference[None]) for difference in rgb - rgb.roll(1, 0)) / 2**0.5)


def _falling(value: float, bounds: tuple[float, float]) -> float:
    """1 up to the first bound, 0 from the second on."""
    return min(1.0, max(0.0, (bounds[1] - value) / (bounds[1] - bounds[0])))


def processed_by_camera(rgb: Tensor) -> float:
    """Probability 0..1 that these are a camera's pixels, which it processed.

    Args:
        rgb: (3, h, w), encoded, 0..1; half for photos too small to tell.
    """
    if min(rgb.shape[-2:]) < 16:
        return 0.5
    soft = _FINE_ALONE + (1 - _FINE_ALONE) * _falling(fineness(rgb), _FINE)
    return soft * _falling(coloured_noise(rgb), _COLOURED)
