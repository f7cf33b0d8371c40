"""What the sensor and the file format add after the optics: noise, quantisation, JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ssr_cli.physics import shapes


def add_noise(rgb: Tensor, gaussian: float, poisson: float, rng: np.random.Generator, grey: bool = False) -> Tensor:
    """Poisson-Gaussian noise on encoded values.

    Args:
        rgb: (3, h, w), 0..1.
        gaussian: standard deviation at black.
        poisson: variance added per unit of value.
        rng: source of the noise.
        grey: the same noise in all channels.

    Returns:
        (3, h, w), not clipped.
    """
    shape = (1 if grey else 3, *rgb.shape[1:])
    normal = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    return rgb + normal * (gaussian**2 + poisson * rgb.clamp(0, 1)).sqrt()


def jpeg(rgb: Tensor, quality: int, subsampling: int) -> Tensor:
    """Encode and decode as JPEG.

    Args:
        rgb: (3, h, w), 0..1.
        quality: 1-100.
        subsampling: 0 is 4:4:4, 2 is 4:2:0.

    Returns:
        (3, h, w), multiples of 1/255.
    """
    pixels = (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    decoded = np.asarray(Image.open(buffer), dtype=np.float32) / 255
    return torch.from_numpy(decoded.copy()).permute(2, 0, 1)


def _softened(rgb: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (3, h, w), sigma in LR pixels."""
    kernel = shapes.gaussian(sigma, sigma, size=9)[None, None]
    return F.conv2d(F.pad(rgb[:, None], (4, 4, 4, 4), mode="replicate"), kernel)[:, 0]


def sharpen(rgb: Tensor, sigma: float, amount: float) -> Tensor:
    """Unsharp masking, as cameras do before they save: halos included.

    Args:
        rgb: (3, h, w), encoded.
        sigma: of the mask, LR pixels.
        amount: how much of the difference is added.

    Returns:
        (3, h, w), not clipped.
    """
    return rgb + amount * (rgb - _softened(rgb, sigma))


def degrade(rgb: Tensor, rng: np.random.Generator) -> Tensor:
    """A random mild mix: most photos fairly clean, some sharpened by the camera, half JPEG, one in ten twice.

    Args:
        rgb: (3, h, w), encoded, 0..1.
        rng: source of all choices.

    Returns:
        (3, h, w), multiples of 1/255.
    """
    if rng.random() < 0.85:
        gaussian = float(np.abs(rng.normal(0, 3.0)) if rng.random() < 0.75 else rng.uniform(0, 15)) / 255
        poisson = float(rng.uniform(0, 2.5e-4)) if rng.random() < 0.4 else 0.0
        rgb = add_noise(rgb, min(gaussian, 15 / 255), poisson, rng, grey=rng.random() < 0.25)
    processed = rng.random()
    if processed < 0.10:
        rgb = _softened(rgb, float(rng.uniform(0.3, 0.8)))
    elif processed < 0.60:
        rgb = sharpen(rgb, float(rng.uniform(0.5, 1.8)), float(rng.uniform(0.1, 1.5)))
    passes = int(rng.choice([0, 1, 2], p=[0.5, 0.4, 0.1]))
    for _ in range(passes):
        rgb = jpeg(rgb, int(rng.integers(50, 101)), int(rng.choice([0, 2])))
    return (rgb.clamp(0, 1) * 255).round() / 255
