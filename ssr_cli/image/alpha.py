"""Transparency: colours under it are made to continue their surroundings, so that no halo is enlarged."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Above this a place's own colour counts fully.
_OPAQUE = 0.5


def within_neighbours(mask: Tensor, alpha: Tensor, top: int = 0, height: int | None = None) -> Tensor:
    """An enlarged mask kept between the least and the most transparent of the 3 x 3 pixels it came from.

    A net that sharpens an edge overshoots beside it; in a mask that is a ring around everything.

    Args:
        mask: (b, W), enlarged rows.
        alpha: (h, w), all of it, as it was.
        top: which row of the enlarged mask the first one is.
        height: rows of the whole enlarged mask; None for all of `mask`.

    Returns:
        (b, W).
    """
    rows = (torch.arange(top, top + mask.shape[0]) * alpha.shape[0]).div(height or mask.shape[0], rounding_mode="floor")
    columns = (torch.arange(mask.shape[1]) * alpha.shape[1]).div(mask.shape[1], rounding_mode="floor")
    first, last = max(0, int(rows[0]) - 1), min(alpha.shape[0], int(rows[-1]) + 2)
    given = F.pad(alpha[None, None, first:last], (1, 1, 1, 1), mode="replicate")
    least, most = -F.max_pool2d(-given, 3, 1), F.max_pool2d(given, 3, 1)
    low, high = (bound[0, 0, rows - first][:, columns] for bound in (least, most))
    return mask.clamp(low, high)


def bleed(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Colours of transparent places taken from the nearest visible ones, weighted by how visible these are.

    Args:
        rgb: (3, h, w), not premultiplied.
        alpha: (h, w), 0..1.

    Returns:
        (3, h, w): unchanged where alpha is at least a half; unchanged everywhere if nothing is visible.
    """
    weight = alpha[None, None]
    if not bool((weight > 0).any()):
        return rgb
    colour, rest = rgb[None] * weight, weight
    filled = torch.where(rest > 0, colour / rest.clamp_min(1e-6), colour)
    known = rest > 0
    side = 1
    while not bool(known.all()):
        window = 2 * side + 1
        near_weight = F.avg_pool2d(rest, window, 1, side, count_include_pad=False)
        near = F.avg_pool2d(colour, window, 1, side, count_include_pad=False) / near_weight.clamp_min(1e-9)
        new = ~known & (near_weight > 0)
        filled, known = torch.where(new, near, filled), known | new
        side *= 2
        if side > 2 * max(rgb.shape[-2:]):
            break
    share = (alpha / _OPAQUE).clamp(0, 1)[None]
    # a place that is hardly visible has a colour of little meaning: mix it with its surroundings
    near_weight = F.avg_pool2d(rest, 5, 1, 2, count_include_pad=False)
    around = F.avg_pool2d(colour, 5, 1, 2, count_include_pad=False) / near_weight.clamp_min(1e-6)
    soft = torch.where(near_weight > 1e-3, around, filled)[0]
    return torch.where(alpha[None] > 0, torch.lerp(soft, rgb, share), filled[0]).clamp(0, 1)
