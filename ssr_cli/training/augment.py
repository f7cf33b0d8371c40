"""What is done to a batch as it is drawn: cheap on any device, different at every step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.training.pool import Crops

#: How often a photo is sharpened once more, as cameras and people do who never think of it as a degradation.
_SHARE = 0.6
_REACH = 6


def sharpen_batch(lr: Tensor, sigmas: Tensor, amounts: Tensor) -> Tensor:
    """Unsharp masking of every photo with its own numbers, written with 8 bits.

    Args:
        lr: (B, 3, h, w), encoded, 0..1.
        sigmas: (B,), LR pixels.
        amounts: (B,), 0 leaves a photo as it is.

    Returns:
        (B, 3, h, w), multiples of 1/255.
    """
    axis = torch.arange(-_REACH, _REACH + 1, device=lr.device, dtype=lr.dtype)
    bells = torch.exp(-0.5 * (axis[None] / sigmas[:, None]).square())
    bells = (bells / bells.sum(1, keepdim=True)).repeat_interleave(3, 0)  # (3 B, k)
    b, _, h, w = lr.shape
    padded = F.pad(lr, (_REACH,) * 4, mode="replicate").reshape(1, 3 * b, h + 2 * _REACH, w + 2 * _REACH)
    rows = F.conv2d(padded, bells[:, None, :, None], groups=3 * b)
    soft = F.conv2d(rows, bells[:, None, None, :], groups=3 * b).reshape(lr.shape)
    crisp = lr + amounts.view(-1, 1, 1, 1) * (lr - soft)
    return (crisp.clamp(0, 1) * 255).round() / 255


def augment(crops: Crops, seed: tuple[int, ...]) -> Crops:
    """The batch with some of its photos sharpened; a pure function of the seed. The truth stays what it was."""
    rng = np.random.default_rng((*seed, 31))
    count = len(crops.lr)
    amounts = np.where(rng.random(count) < _SHARE, rng.uniform(0.1, 1.6, count), 0.0).astype(np.float32)
    sigmas = rng.uniform(0.6, 2.2, count).astype(np.float32)
    device = crops.lr.device
    return replace(
        crops, lr=sharpen_batch(crops.lr, torch.from_numpy(sigmas).to(device), torch.from_numpy(amounts).to(device))
    )
