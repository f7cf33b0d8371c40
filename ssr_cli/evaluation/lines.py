"""How far a picture's power at the periods of the pixels' grid stands above its neighbours: what a weave looks like.

A net that answers in blocks of LR pixels can draw patterns of a period of four and of two HR pixels. LPIPS likes them,
NIQE does not mind them, and rings of the spectrum hold so many frequencies that one may stand 5 dB above the others
unseen. Real photos have no such lines, wherever their detail is.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from ssr_cli.physics.spectra import LUMA

#: Side of a patch, HR pixels: the periods below are whole frequencies of it. Patches lie side by side.
PATCH = 32
#: Frequencies of a patch at periods of four and two pixels, and the ones beside them that the window leaves apart.
_LINES: tuple[tuple[int, tuple[int, ...]], ...] = ((8, (5, 6, 10, 11)), (16, (13, 14)))
#: Power per pixel below which nothing can be seen: a tenth of a grey level.
_UNSEEN = (0.1 / 255) ** 2


@lru_cache(maxsize=2)
def _window(device: torch.device) -> Tensor:
    """The window (n, n) of mean square 1."""
    side = torch.hann_window(PATCH, device=device)
    window = side[:, None] * side
    return window / window.square().mean().sqrt()


def line_heights(rgb: Tensor) -> Tensor:
    """Height of the lines at periods of four and of two pixels above their neighbours, of a batch as a whole.

    Args:
        rgb: (B, 3, H, W), encoded, sides of at least 32.

    Returns:
        (4,), nepers of power: down and across at four pixels, down and across at two. About 0 for photos.
    """
    luma = (rgb.float() * rgb.new_tensor(LUMA, dtype=torch.float32)[:, None, None]).sum(1)
    patches = luma.unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
    patches = (patches - patches.mean((-2, -1), keepdim=True)) * _window(rgb.device)
    heights = []
    for line, beside in _LINES:
        for axis in (-2, -1):
            spectrum = torch.view_as_real(torch.fft.rfft(patches, dim=axis, norm="ortho")).square().sum(-1)
            power = spectrum.mean(-1 if axis == -2 else -2) + _UNSEEN  # (B, ny, nx, frequency)
            around = power[..., list(beside)].log().mean(-1).exp()
            # Of each patch apart, so that the finest-grained ones do not speak for all.
            heights.append((power[..., line] / around).mean().log())
    return torch.stack(heights)


def line_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean difference of the heights of two batches (B, 3, H, W), a number; 0 for equal ones."""
    return (line_heights(a) - line_heights(b)).abs().mean()


def strongest_line_db(photo: Tensor) -> float:
    """Height of the strongest of a photo's (3, H, W) four lines, dB; about 0 for photos, more for weaves and stairs."""
    return float(line_heights(photo[None]).max()) * 10 / math.log(10)
