"""JPEG XL, decoded by its reference library: 8 and 16 bits, upright, with its tags and its colour profile."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

#: How a bare codestream begins, and how a file of boxes does.
_BARE, _BOXED = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"
#: How EXIF begins; a box has four bytes before it.
_EXIF = (b"II*\x00", b"MM\x00*")
#: (bits, offset) of a number by its two leading bits: sizes of a picture, of a preview whose sides are multiples of
#: eight, of another preview (ISO/IEC 18181-1, annex D).
_SIZES = ((9, 1), (13, 1), (18, 1), (30, 1))
_EIGHTHS = ((0, 16), (0, 32), (5, 1), (9, 33))
_PREVIEWS = ((6, 1), (8, 65), (10, 321), (12, 1345))


@dataclass(frozen=True)
class Header:
    """What a file says of its picture before it is decoded.

    Attributes:
        size: width and height, upright.
        bits: per channel.
        animated: whether there are more frames to be shown.
    """

    size: tuple[int, int]
    bits: int
    animated: bool


def is_jxl(path: Path) -> bool:
    """Whether a file is what its ending says."""
    with path.open("rb") as file:
        return file.read(len(_BOXED)).startswith((_BARE, _BOXED))


def header(data: bytes) -> Header:
    """Size and depth, read without decoding anything.

    Args:
        data: the file's; its extra is installed.

    Raises:
        RuntimeError: if it is damaged.
    """
    import pyjpegxl

    told = pyjpegxl.probe(data)
    return Header((told.width, told.height), told.bits_per_sample, _is_animated(_codestream(data)))


def read(data: bytes) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """All bits of the picture, and what it carries under the names Pillow has for it.

    The decoder has stood the picture upright by what the codestream says, which is what counts: the orientation that
    EXIF still states is not to be applied again.

    Args:
        data: the file's; its extra is installed.

    Returns:
        (h, w, c) with c = 1 to 4, uint8 or, with more than 8 bits, uint16 up to 65,535; "exif", "xmp", "icc_profile".

    Raises:
        RuntimeError: if it is damaged or cut.
    """
    import pyjpegxl

    told, samples = pyjpegxl.decode_to_numpy(data)
    exif = told.exif or b""
    exif = exif if exif[:4] in _EXIF else exif[4:]
    carried = {"exif": exif if exif[:4] in _EXIF else None, "xmp": told.xmp, "icc_profile": told.icc}
    return samples, {name: bytes(value) for name, value in carried.items() if value}


def picture(samples: npt.NDArray[Any], info: dict[str, Any]) -> Image.Image:
    """8-bit samples as Pillow's picture; of deeper ones the tags alone, on one black pixel."""
    pixels = samples if samples.dtype == np.uint8 else np.zeros((1, 1, 1), np.uint8)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.info.update(info)
    return image


def _codestream(data: bytes) -> bytes:
    """The beginning of the codestream, from the box it stands in.

    Raises:
        ValueError: if there is none.
    """
    at = 0
    while not data.startswith(_BARE):
        length, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if length == 1:
            length, begin = struct.unpack_from(">Q", data, begin)[0], begin + 8
        if kind in (b"jxlc", b"jxlp"):
            return data[begin + 4 * (kind == b"jxlp") :]
        if length < 8:
            raise ValueError("no codestream")
        at += length
    return data


def _is_animated(stream: bytes) -> bool:
    """Whether a codestream has frames to be shown one after another; the decoder would give the last of them."""
    bits = _Bits(stream[len(_BARE) :])
    bits.size()
    if bits.take(1) or not bits.take(1):  # all as usual, or nothing but the depth and the colours is not
        return False
    bits.take(3)  # orientation
    if bits.take(1):
        bits.size()  # as it is meant to be shown
    if bits.take(1):
        bits.preview()
    return bool(bits.take(1))


class _Bits:
    """Numbers out of a string of bits, lowest first."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data[:64], "little")

    def take(self, count: int) -> int:
        """The next number of so many bits."""
        value = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return value

    def one_of(self, kinds: tuple[tuple[int, int], ...]) -> int:
        """A number whose length its first two bits tell."""
        count, offset = kinds[self.take(2)]
        return offset + self.take(count)

    def size(self) -> None:
        """Pass over the size of a picture."""
        eighths = self.take(1)
        self._sides((lambda: self.take(5)) if eighths else lambda: self.one_of(_SIZES))

    def preview(self) -> None:
        """Pass over the size of a preview."""
        eighths = self.take(1)
        self._sides(lambda: self.one_of(_EIGHTHS if eighths else _PREVIEWS))

    def _sides(self, side: Callable[[], int]) -> None:
        """Pass over a height, and the width where no ratio tells it."""
        side()
        if self.take(3) == 0:
            side()
