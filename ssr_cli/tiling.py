"""Tiles of a photo: pure plans whose cores partition the photo, and how a tile becomes narrower or is divided.

No blending window is needed: with enough overlap the core of a tile is what the whole photo gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

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

    def narrow(self, around: int) -> Tile:
        """The same core with fewer surroundings, LR pixels, a multiple of the alignment."""
        core, padded = self.core, self.padded
        return Tile(
            core,
            Box(
                max(padded.top, core.top - around),
                max(padded.left, core.left - around),
                min(padded.bottom, _aligned(core.bottom) + around),
                min(padded.right, _aligned(core.right) + around),
            ),
        )

    def within(self, outer: Tile, scale: int = 1) -> tuple[slice, slice]:
        """Slices of this padded box inside another's, at `scale` pixels per LR pixel."""
        top, left = self.padded.top - outer.padded.top, self.padded.left - outer.padded.left
        rows = slice(top * scale, (top + self.padded.height) * scale)
        return rows, slice(left * scale, (left + self.padded.width) * scale)


def part_of(plane: Tensor, box: tuple[slice, slice]) -> Tensor:
    """A part of a plane (..., h, w) that does not keep the rest in memory; the plane itself where it is all of it."""
    part = plane[(..., *box)]
    return plane if part.shape == plane.shape else part.clone()


def side_that_fits(height: int, width: int, asked: int | None, overlap: int, whole: int, most: int) -> int:
    """The tile to plan with: what was asked for, or less where its surroundings would not fit.

    Args:
        height: LR rows.
        width: LR columns.
        asked: side of a core; 0 or None for as large as fits.
        overlap: LR pixels read around a core.
        whole: LR pixels of a photo that fits at a time.
        most: LR pixels of a tile that fits, the surroundings included.

    Returns:
        The side of a core, or 0 for the whole photo.
    """
    if height * width <= whole and (not asked or asked >= max(height, width)):
        return 0
    fitting = max(SMALLEST, (math.isqrt(most) - 2 * _aligned(overlap)) // ALIGNMENT * ALIGNMENT)
    return min(asked or fitting, fitting)


def plan_tiles(height: int, width: int, tile: int, overlap: int) -> list[Tile]:
    """Cut a photo into tiles.

    Args:
        height: LR rows, >= 1.
        width: LR columns, >= 1.
        tile: longest side of a core in LR pixels, rounded up to a multiple of 8; 0 means one tile. Cores are as equal
            as multiples of 8 can be.
        overlap: LR pixels read around a core, rounded up likewise.

    Returns:
        Tiles in reading order; cores partition the photo.
    """
    if tile <= 0 or (tile >= height and tile >= width):
        whole = Box(0, 0, height, width)
        return [Tile(whole, whole)]
    return _cut(Box(0, 0, height, width), _even(height, tile), _even(width, tile), overlap, (height, width))


def divided(tile: Tile, size: tuple[int, int], overlap: int) -> list[Tile]:
    """A tile as up to four smaller ones, or as itself alone where it is too small for that.

    Args:
        tile: to be divided.
        size: of the photo, LR pixels.
        overlap: LR pixels read around a core.
    """

    def half(length: int) -> int:
        return _aligned(-(-length // 2)) if length // 2 >= SMALLEST else _aligned(length)

    return _cut(tile.core, half(tile.core.height), half(tile.core.width), overlap, size)


def sample_windows(height: int, width: int, side: int, overlap: int, area: int) -> list[Tile]:
    """Windows spread evenly over a photo that together have about an area.

    Args:
        height: LR rows, a multiple of 8.
        width: LR columns, a multiple of 8.
        side: of a window, a multiple of 8.
        overlap: LR pixels read around it.
        area: LR pixels of all windows.

    Returns:
        Windows that do not share pixels, in reading order.
    """
    count = area / side**2
    down = min(max(1, round(math.sqrt(count * height / width))), max(1, height // side))
    across = min(max(1, math.ceil(count / down)), max(1, width // side))
    windows = []
    for top in _spread(height, side, down):
        for left in _spread(width, side, across):
            core = Box(top, left, min(top + side, height), min(left + side, width))
            windows += _cut(core, side, side, overlap, (height, width))
    return windows


def _spread(length: int, side: int, count: int) -> list[int]:
    """Where `count` windows begin that share a length evenly, aligned."""
    places = [(2 * i + 1) * length // (2 * count) - side // 2 for i in range(count)]
    return [max(0, min(place, length - side)) // ALIGNMENT * ALIGNMENT for place in places]


def _cut(area: Box, down: int, across: int, overlap: int, size: tuple[int, int]) -> list[Tile]:
    """Cores of `down` x `across` pixels that partition an area, with their surroundings in a photo of a size."""
    around, tiles = _aligned(overlap), []
    for top in range(area.top, area.bottom, down):
        for left in range(area.left, area.right, across):
            core = Box(top, left, min(top + down, area.bottom), min(left + across, area.right))
            padded = Box(
                max(0, core.top - around),
                max(0, core.left - around),
                min(size[0], _aligned(core.bottom) + around),
                min(size[1], _aligned(core.right) + around),
            )
            tiles.append(Tile(core, padded))
    return tiles


def _even(length: int, most: int) -> int:
    """The side of pieces of a length that are as equal as multiples of 8 can be, and not above `most` rounded up."""
    most = _aligned(most)
    return _aligned(-(-length // -(-length // most)))


def _aligned(n: int) -> int:
    """The next multiple of the alignment."""
    return -(-n // ALIGNMENT) * ALIGNMENT
