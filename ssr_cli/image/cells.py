"""Pictures in cells: blocks of s x s pixels as channels of one place, in the layout that convolutions like."""

from __future__ import annotations

from torch import Tensor


def in_cells(picture: Tensor, scale: int) -> Tensor:
    """(B, C, h s, w s) as (B, C s s, h, w) with channels last: what `F.pixel_unshuffle` gives, in one copy."""
    b, c, height, width = picture.shape
    h, w = height // scale, width // scale
    cells = picture.reshape(b, c, h, scale, w, scale).permute(0, 2, 4, 1, 3, 5)
    return cells.reshape(b, h, w, c * scale**2).permute(0, 3, 1, 2)
