"""PNG, written row by row: 8 and 16 bits, with everything a photo carries, never whole in memory.

Follows the PNG specification (W3C, third edition): rows are filtered as its heuristic recommends (the filter whose
signed differences are smallest in sum) and go through one zlib stream.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ssr_cli.image.iptc import iptc_chunk
from ssr_cli.image.rows import Layout, Samples

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Colour type in the header by number of channels: grey, grey and alpha, RGB, RGBA.
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_LEVEL = 4
_Octets = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Carried:
    """What goes with the pixels.

    Attributes:
        exif: TIFF structure without the "Exif" marker.
        dpi: pixels per inch, horizontal and vertical.
        icc: colour profile.
        xmp: an XMP packet.
        iptc: an IPTC record.
    """

    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def _paeth(left: _Octets, above: _Octets, corner: _Octets) -> _Octets:
    """The one of the three neighbours that is nearest to `left + above - corner`."""
    a, b, c = (plane.astype(np.int16) for plane in (left, above, corner))
    to_left, to_above = np.abs(b - c), np.abs(a - c)
    to_corner = np.abs(a + b - 2 * c)
    nearest = np.where(to_above <= to_corner, above, corner)
    chosen: _Octets = np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)
    return chosen


def filtered(octets: _Octets, before: _Octets, step: int) -> _Octets:
    """Rows with their filter's number in front, each by the filter that leaves least.

    Args:
        octets: (b, n) bytes of the rows.
        before: (n,) the row above the first.
        step: bytes of a pixel.

    Returns:
        (b, n + 1).
    """
    above = np.concatenate([before[None], octets[:-1]])
    left, corner = np.zeros_like(octets), np.zeros_like(octets)
    left[:, step:], corner[:, step:] = octets[:, :-step], above[:, :-step]
    out = np.empty((octets.shape[0], octets.shape[1] + 1), np.uint8)
    least = np.full(len(octets), np.iinfo(np.int64).max)
    for number, guess in ((1, left), (2, above), (4, _paeth(left, above, corner))):
        rest = octets - guess
        # a byte's distance from nothing, either way round
        cost = np.minimum(rest, np.uint8(0) - rest).sum(1, dtype=np.int64)
        better = cost < least
        out[better, 0], out[better, 1:] = number, rest[better]
        least = np.minimum(least, cost)
    return out


def _packed(blocks: Iterable[Samples], layout: Layout) -> Iterator[bytes]:
    """The deflated stream, piece by piece."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
    step = layout.channels * layout.bits // 8
    before = np.zeros(layout.width * step, np.uint8)
    for block in blocks:
        flat = np.ascontiguousarray(block, dtype=">u2" if layout.bits == 16 else np.uint8)
        octets = flat.reshape(len(block), -1).view(np.uint8)
        yield packer.compress(filtered(octets, before, step).tobytes())
        before = octets[-1]
    yield packer.flush()


def write_png(blocks: Iterable[Samples], layout: Layout, path: Path, carried: Carried = Carried()) -> None:  # noqa: B008
    """Write a PNG.

    Args:
        blocks: rows (b, w, c) from the top, of the layout's kind.
        layout: of all of them.
        path: where to; written in place, so give a temporary one.
        carried: what goes with the pixels.
    """
    with path.open("wb") as file:
        file.write(_SIGNATURE)
        kind = _COLOUR_TYPE[layout.channels]
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", layout.width, layout.height, layout.bits, kind, 0, 0, 0))
        if carried.icc:
            _chunk(file, b"iCCP", b"ICC Profile\0\0" + zlib.compress(carried.icc))
        if carried.dpi:
            _chunk(file, b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in carried.dpi), 1))
        if carried.exif:
            _chunk(file, b"eXIf", carried.exif)
        if carried.xmp:
            _chunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + carried.xmp)
        if carried.iptc:
            _chunk(file, b"zTXt", iptc_chunk(carried.iptc))
        for data in _packed(blocks, layout):
            if data:
                _chunk(file, b"IDAT", data)
        _chunk(file, b"IEND", b"")


def write_samples(samples: Samples, path: Path, carried: Carried = Carried()) -> None:  # noqa: B008
    """Write whole samples (h, w, c) as a PNG of their depth."""
    height, width, channels = samples.shape
    write_png([samples], Layout(height, width, channels, 8 * samples.dtype.itemsize), path, carried)
