"""Where finished tiles are put: float32 for what goes on being worked on, whole numbers for what will be written.

A large result in float32 is four times its file in memory, and needs as much again to be rounded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Canvas:
    """A picture that is put together from tiles.

    Args:
        height: rows.
        width: columns.
        bits: 8 or 16 to keep rounded numbers, None to keep float32.
        planes: of the picture.
    """

    def __init__(self, height: int, width: int, bits: int | None = None, planes: int = 3) -> None:
        self.largest = {None: None, 8: 255, 16: 65_535}[bits]
        kind = {None: np.float32, 8: np.uint8, 16: np.uint16}[bits]
        self.pixels = torch.from_numpy(np.empty((planes, height, width), dtype=kind))

    def put(self, rows: slice, columns: slice, core: Tensor) -> None:
        """Put a finished tile (planes, h, w), encoded, 0..1, into its place; what lies beyond the edge is cut off."""
        height, width = self.pixels.shape[-2:]
        rows, columns = slice(rows.start, min(rows.stop, height)), slice(columns.start, min(columns.stop, width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        core = core[:, : rows.stop - rows.start, : columns.stop - columns.start]
        if self.largest is not None:
            core = (core.clamp(0, 1) * self.largest).round()
        self.pixels.numpy()[:, rows, columns] = core.numpy()


def as_float(pixels: Tensor) -> Tensor:
    """Pixels of any kind a photo may have, as float32 in 0..1."""
    if pixels.dtype.is_floating_point:
        return pixels
    return pixels.float() / (255 if pixels.dtype == torch.uint8 else 65_535)
