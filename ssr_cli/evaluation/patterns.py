"""Patterns that come back all over a picture: weaves, checkerboards, stairs. What they look like in its spectrum.

A net that answers in blocks of pixels can draw fine patterns of one period and direction everywhere. LPIPS likes them,
NIQE hardly minds, and rings of the spectrum hold so many frequencies that one may stand 10 dB above the others unseen.
Photos have detail in all directions; averaged over many patches their spectra are round and smooth.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from ssr_cli.physics.spectra import LUMA

#: Side of a patch, HR pixels. Patches lie side by side.
PATCH = 32
#: Frequencies of a patch that are left out as too coarse to be a pattern: below so many periods of it.
_COARSE = 5.0
#: Half the width of the rings that a frequency is held against, periods of a patch.
_RING = 1.0
#: Powers are averaged over patches by this exponent: a few strong patches must not speak for all, nor the emptiest.
_MEAN = 0.25
#: Power per pixel below which nothing can be seen: a tenth of a grey level.
_UNSEEN = (0.1 / 255) ** 2


@lru_cache(maxsize=2)
def _window(device: torch.device) -> Tensor:
    """The window (n, n) of mean square 1."""
    side = torch.hann_window(PATCH, device=device)
    window = side[:, None] * side
    return window / window.square().mean().sqrt()


@lru_cache(maxsize=1)
def _radius() -> Tensor:
    """Periods in a patch at every frequency of a real transform, (F,)."""
    down, across = torch.fft.fftfreq(PATCH), torch.fft.rfftfreq(PATCH)
    return PATCH * torch.hypot(down[:, None], across[None]).flatten()


@lru_cache(maxsize=2)
def _rings(device: torch.device) -> Tensor:
    """The mean over the ring of every fine frequency, (F, K): of all frequencies of a real transform, to those."""
    radius = _radius()
    member = ((radius[:, None] - radius[radius >= _COARSE]).abs() <= _RING).float()
    return (member / member.sum(0)).to(device)


@lru_cache(maxsize=2)
def _fine_places(device: torch.device) -> Tensor:
    """Numbers of the fine frequencies, (K,)."""
    return (_radius() >= _COARSE).nonzero()[:, 0].to(device)


def _opponents(rgb: Tensor) -> Tensor:
    """Luma, red against green and blue against green of a batch, (3, B, H, W)."""
    red, green, blue = rgb.float().unbind(1)
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return torch.stack((luma, red - green, blue - green))


def patch_powers(planes: Tensor, window: Tensor) -> Tensor:
    """Power at every frequency of a real transform of windowed patches side by side, without their means.

    Args:
        planes: (..., H, W), sides of at least n.
        window: (n, n).

    Returns:
        (..., ny, nx, F), power per pixel if the window's mean square is 1.
    """
    n = len(window)
    patches = planes.unfold(-2, n, n).unfold(-2, n, n)
    patches = patches - patches.mean((-2, -1), keepdim=True)
    spectrum = torch.view_as_real(torch.fft.rfft2(patches * window, norm="ortho"))
    return spectrum.square().sum(-1).flatten(-2)


def _powers(rgb: Tensor) -> Tensor:
    """Powers of the opponent colours of patches of a batch, (3, patches, F)."""
    return patch_powers(_opponents(rgb), _window(rgb.device)).flatten(1, 3) + _UNSEEN


def _fine(powers: Tensor) -> Tensor:
    """Those of the fine frequencies, (3, patches, K)."""
    return powers[..., _fine_places(powers.device)]


def pattern_distance(a: Tensor, b: Tensor) -> Tensor:
    """How differently two batches (B, 3, H, W) spread their power over fineness and direction; 0 for equal ones.

    Every patch counts alike, by the power that its own ring has in `b`; so do luma and the two differences of colours.

    Args:
        a: judged.
        b: true.

    Returns:
        A number, nepers of power, mean of all fine frequencies.
    """
    found, true = _powers(a), _powers(b).detach()
    around = true @ _rings(true.device)

    def mean(powers: Tensor) -> Tensor:
        return (_fine(powers) / around).pow(_MEAN).mean(1).log() / _MEAN

    return (mean(found) - mean(true)).abs().mean()


def strongest_pattern_db(photo: Tensor) -> float:
    """How far the strongest frequency of a photo (3, H, W) stands above others of its fineness, all over it, dB.

    Powers are averaged by their logarithms, so that edges, which are strong but few, do not look like patterns. Of luma
    and of the differences of colours, the stronger.

    3 to 7 for most photos; more for those of weaves and brick walls, and for pictures with patterns of a net's own.
    """
    mean = _powers(photo[None]).log().mean(1)
    return float((_fine(mean) - mean @ _rings(mean.device)).max()) * 10 / math.log(10)
