"""Tiles of a photo: a pure plan whose cores partition the photo, and a run that halves tiles when memory runs out.

No blending window is needed: with enough overlap the core of a tile is what the whole photo gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

#: Tile origins are multiples of this, so that strided convolutions fall on the same pixels in every tile.
ALIGNMENT = 8
#: Smallest tile worth trying after an out-of-memory, LR pixels.
SMALLEST = 32


@dataclass(frozen=True)
class Box:
    """Half-open rectangle in LR pixels."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left


@dataclass(frozen=True)
class Tile:
    """One piece of work.

    Attributes:
        core: what this tile contributes.
        padded: what it reads, the core plus the overlap, clipped to the photo.
    """

    core: Box
    padded: Box

    def inner(self, scale: int = 1) -> tuple[slice, slice]:
        """Slices of the core inside the padded box, at `scale` pixels per LR pixel."""
        top, left = self.core.top - self.padded.top, self.core.left - self.padded.left
        rows = slice(top * scale, (top + self.core.height) * scale)
        return rows, slice(left * scale, (left + self.core.width) * scale)

    def outer(self, scale: int = 1) -> tuple[slice, slice]:
        """Slices of the core inside the photo, at `scale` pixels per LR pixel."""
        rows = slice(self.core.top * scale, self.core.bottom * scale)
        return rows, slice(self.core.left * scale, self.core.right * scale)

    def read(self) -> tuple[slice, slice]:
        """Slices of the padded box inside the photo."""
        return slice(self.padded.top, self.padded.bottom), slice(self.padded.left, self.padded.right)


def plan_tiles(height: int, width: int, tile: int, overlap: int) -> list[Tile]:
    """Cut a photo into tiles.

    Args:
        height: LR rows, >= 1.
        width: LR columns, >= 1.
        tile: side of a core in LR pixels, rounded up to a multiple of 8; 0 means one tile.
        overlap: LR pixels read around a core, rounded up likewise.

    Returns:
        Tiles in reading order; cores partition the photo.
    """
    if tile <= 0 or (tile >= height and tile >= width):
        whole = Box(0, 0, height, width)
        return [Tile(whole, whole)]
    step, around = _aligned(tile), _aligned(overlap)
    tiles = []
    for top in range(0, height, step):
        for left in range(0, width, step):
            core = Box(top, left, min(top + step, height), min(left + step, width))
            padded = Box(
                max(0, core.top - around),
                max(0, core.left - around),
                min(height, _aligned(core.bottom) + around),
                min(width, _aligned(core.right) + around),
            )
            tiles.append(Tile(core, padded))
    return tiles


def _aligned(n: int) -> int:
    """The next multiple of the alignment."""
    return -(-n // ALIGNMENT) * ALIGNMENT


def with_halving(
    tile: int, largest: int, attempt: Callable[[int], T], is_out_of_memory: Callable[[BaseException], bool]
) -> T:
    """Try a tile size, then halves of it, until the memory suffices.

    Args:
        tile: first core side in LR pixels; 0 means the whole photo.
        largest: longest side of the photo, where halving starts from when `tile` is 0.
        attempt: does all the work at a tile size, from the start.
        is_out_of_memory: tells running out of memory from every other failure, which is raised.

    Returns:
        What the first successful attempt returned.
    """
    while True:
        try:
            return attempt(tile)
        except (RuntimeError, MemoryError) as error:
            half = (tile or largest) // 2
            if not is_out_of_memory(error) or half < SMALLEST:
                raise
            tile = half
