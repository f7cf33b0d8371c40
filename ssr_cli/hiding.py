"""Parts of a photo that are kept from an estimate, so that it can be judged by them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def without(planes: Tensor, places: Tensor) -> Tensor:
    """Planes (C, h, w) with some places (h, w) filled from their surroundings, so that they tell nothing."""
    known = (~places).float()[None, None]
    filled, rest = planes[None] * known, known
    # Wider and wider surroundings, until the middle of the largest hole has something to take from.
    for reach in (1, 2, 4, 8, 16, 32):
        if bool((rest > 0).all()):
            break
        side = 2 * reach + 1
        seen = F.avg_pool2d(rest, side, 1, reach, count_include_pad=False)
        near = F.avg_pool2d(filled, side, 1, reach, count_include_pad=False) / seen.clamp_min(1e-6)
        new = (rest == 0) & (seen > 0)
        filled, rest = torch.where(new, near, filled), torch.where(new, torch.ones_like(rest), rest)
    return filled[0]


def grown(places: Tensor, reach: int) -> Tensor:
    """Places (h, w) and all within `reach` pixels of them."""
    side = 2 * reach + 1
    return F.max_pool2d(places.float()[None, None], side, 1, reach)[0, 0] > 0


def fold(height: int, width: int, block: int, number: int) -> Tensor:
    """One quarter of all blocks: (h, w) bool, every second block of every second row, `number` 0..3 says which."""
    rows = torch.arange(height).div(block, rounding_mode="floor") % 2 == number // 2
    columns = torch.arange(width).div(block, rounding_mode="floor") % 2 == number % 2
    return rows[:, None] & columns[None]
