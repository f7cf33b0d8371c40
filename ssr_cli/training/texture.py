"""How much detail a picture has at every fineness, held against its truth: a loss that patterns cannot please.

LPIPS rewards fine patterns that no photo has and misses coarser texture that every photo has: flows trained with it
alone drew 8 dB too much power at periods of two to three pixels and 3 to 7 dB too little at four to ten. Powers need no
agreement of phases, so a flow that cannot know where a leaf was is not asked to blur it.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ssr_cli.evaluation.patterns import patch_powers
from ssr_cli.physics.spectra import luma_of

#: Side of a patch, HR pixels.
_PATCH = 32
#: Rings of frequencies, cycles per pixel.
_RINGS = (0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
#: Power per pixel below which detail cannot be seen: a quarter of a grey level.
_UNSEEN = (0.25 / 255) ** 2


@lru_cache(maxsize=2)
def _rings(device: torch.device) -> tuple[Tensor, Tensor]:
    """The window (n, n), and 1 / count where a frequency of a real transform belongs to a ring, (F, R)."""
    side = torch.hann_window(_PATCH, periodic=False, device=device)
    window = side[:, None] * side
    window = window / window.square().mean().sqrt()
    down, right = torch.fft.fftfreq(_PATCH, device=device), torch.fft.rfftfreq(_PATCH, device=device)
    radius = torch.hypot(down[:, None], right[None]).flatten()
    bounds = zip(_RINGS, _RINGS[1:], strict=False)
    member = torch.stack([((radius >= low) & (radius < high)).float() for low, high in bounds], 1)
    return window, member / member.sum(0)


def log_powers(rgb: Tensor) -> Tensor:
    """Logarithm of the mean power of the luma of each picture in every ring, from fine patches side by side.

    Args:
        rgb: (B, 3, H, W), encoded, sides of at least 32.

    Returns:
        (B, R, ny, nx), nepers of power.
    """
    window, member = _rings(rgb.device)
    luma = luma_of(rgb)
    return (patch_powers(luma, window) @ member + _UNSEEN).log().movedim(-1, 1)


def texture_distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean difference of the log powers of two batches (B, 3, H, W), a number; 0 for equal ones."""
    return (log_powers(a) - log_powers(b)).abs().mean()
