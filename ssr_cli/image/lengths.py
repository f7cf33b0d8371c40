"""Whether a PNG holds as many pixels as its header says: Pillow fills up what is missing without a word."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Interlaced pictures are seven smaller ones: where each begins and how far its pixels are apart, (x, y, dx, dy).
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20


def _expected(header: bytes) -> int:
    """Bytes of all rows with their filters, by the content of an IHDR chunk."""
    width, height, bits, kind, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    pixel = bits * _CHANNELS[kind]
    total = 0
    for x, y, across, down in _PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = max(0, -(-(width - x) // across)), max(0, -(-(height - y) // down))
        total += rows * (1 + -(-columns * pixel // 8)) if columns else 0
    return total


def _pieces(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kinds and contents of a PNG's chunks that matter, the pixels' piece by piece."""
    file.seek(8)
    while len(begin := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", begin)
        behind = file.tell() + size + 4
        if kind in (b"IHDR", b"IDAT"):
            while size > 0 and (data := file.read(min(size, _PIECE))):
                size -= len(data)
                yield kind, data
        file.seek(behind)


def check_length(path: Path) -> None:
    """Inflate a PNG, a piece at a time.

    Raises:
        ValueError: if it holds fewer pixels than its header says.
        zlib.error: if it is damaged.
    """
    missing, unpacker = 0, zlib.decompressobj()
    with path.open("rb") as file:
        for kind, data in _pieces(file):
            if kind == b"IHDR":
                missing = _expected(data)
            while data and missing > 0 and kind == b"IDAT" and not unpacker.eof:
                missing -= len(unpacker.decompress(data, _PIECE))
                data = unpacker.unconsumed_tail
            if missing <= 0:
                return
    raise ValueError("fewer pixels than the header says")
