"""PNG with 16 bits per channel, whole: Pillow alone keeps the upper eight bits of colour without a word.

Reading decodes the file twice with Pillow, once for the upper and once for the lower bytes of its big-endian samples.
Writing follows the PNG specification (W3C, third edition): filter type 2 ("up") and one zlib stream.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

Samples = npt.NDArray[np.uint16]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Colour type in the header by number of channels: grey, grey and alpha, RGB, RGBA.
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
_ROWS_AT_ONCE = 64


def bit_depth(path: Path) -> int:
    """Bits per channel that a PNG's header states; 8 for other files."""
    with path.open("rb") as file:
        header = file.read(26)
    return header[24] if header[:8] == _SIGNATURE and len(header) > 24 else 8


def can_read(image: ImageFile.ImageFile) -> bool:
    """Whether an opened 16-bit PNG is of a kind `read_samples` knows: with or without alpha, no colour key."""
    raw = str(image.tile[0].args) if image.tile else ""
    return raw in ("I;16B", "LA;16B", "RGB;16B", "RGBA;16B") and "transparency" not in image.info


def read_samples(path: Path) -> Samples:
    """All 16 bits of a PNG that `can_read` accepts, upright.

    Args:
        path: the file.

    Returns:
        (h, w, c) with c = 1 to 4.
    """
    with Image.open(path) as image:
        if image.mode == "I;16":
            upright = ImageOps.exif_transpose(image)
            return np.array(upright, dtype=np.uint16)[..., None]
        if str(image.tile[0].args) == "LA;16B":
            # Four bytes a pixel, like RGBA with 8 bits: upper and lower byte of grey, then of alpha.
            image.tile = [image.tile[0]._replace(args="RGBA")]
            octets = np.asarray(ImageOps.exif_transpose(image), dtype=np.uint16)
            paired: Samples = octets[..., 0::2] * np.uint16(256) + octets[..., 1::2]
            return paired
        upper = np.asarray(ImageOps.exif_transpose(image), dtype=np.uint16)
    with Image.open(path) as image:
        tile = image.tile[0]
        # The little-endian reading of big-endian samples takes their lower bytes for the upper ones.
        image.tile = [tile._replace(args=str(tile.args).replace("16B", "16L"))]
        lower = np.asarray(ImageOps.exif_transpose(image), dtype=np.uint16)
    joined: Samples = upper * np.uint16(256) + lower
    return joined


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def _filtered(samples: Samples) -> Iterator[bytes]:
    """Rows with filter type 2 before each, some at a time: every byte less the one above it."""
    previous = np.zeros((1, samples.shape[1] * samples.shape[2] * 2), np.uint8)
    for top in range(0, len(samples), _ROWS_AT_ONCE):
        rows = samples[top : top + _ROWS_AT_ONCE].astype(">u2").reshape(-1, samples.shape[1] * samples.shape[2])
        octets = rows.view(np.uint8)
        above = np.concatenate([previous, octets[:-1]])
        marked = np.full((len(octets), octets.shape[1] + 1), 2, np.uint8)
        marked[:, 1:] = octets - above
        previous = octets[-1:]
        yield marked.tobytes()


def write_samples(
    samples: Samples,
    path: Path,
    exif: bytes | None = None,
    dpi: tuple[float, float] | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
) -> None:
    """Write a 16-bit PNG.

    Args:
        samples: (h, w, c), c = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
        path: where to; written in place, so give a temporary one.
        exif: TIFF structure without the "Exif" marker.
        dpi: pixels per inch, horizontal and vertical.
        icc: colour profile.
        xmp: an XMP packet.
    """
    h, w, c = samples.shape
    with path.open("wb") as file:
        file.write(_SIGNATURE)
        _chunk(file, b"IHDR", struct.pack(">IIBBBBB", w, h, 16, _COLOUR_TYPE[c], 0, 0, 0))
        if icc:
            _chunk(file, b"iCCP", b"profile\0\0" + zlib.compress(icc))
        if dpi:
            _chunk(file, b"pHYs", struct.pack(">IIB", *(round(d / 0.0254) for d in dpi), 1))
        if exif:
            _chunk(file, b"eXIf", exif)
        if xmp:
            _chunk(file, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
        packer = zlib.compressobj(6)
        for rows in _filtered(samples):
            if data := packer.compress(rows):
                _chunk(file, b"IDAT", data)
        _chunk(file, b"IDAT", packer.flush())
        _chunk(file, b"IEND", b"")
