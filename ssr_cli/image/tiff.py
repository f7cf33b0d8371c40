"""TIFF by tifffile: 16 bits per channel, which Pillow cannot hold, and writing with everything a photo carries."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from ssr_cli.errors import InputError
from ssr_cli.frames import PhotoStream
from ssr_cli.image.metadata import TIFF_IPTC, TIFF_XMP, tidy_exif, tidy_xmp
from ssr_cli.image.rows import ROWS, Layout, Samples

_EXIF, _GPS = 34665, 34853
_UNDEFINED, _LONG, _TEXT, _BYTE = 7, 4, 2, 1
#: Flips and turns that make a stored picture upright, by EXIF orientation: (transpose, flip rows, flip columns).
_UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
# What tifffile has to say of a damaged file is said by us, in one sentence.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)
#: Plain TIFF ends at 4 GB.
_LARGE = 3_900_000_000


@dataclass(frozen=True)
class Page:
    """The first page of a TIFF.

    Attributes:
        width: columns.
        height: rows.
        pages: of the file.
        deep: it has 16 bits per channel in a form `read_samples` knows: grey or RGB, with at most one alpha.
    """

    width: int
    height: int
    pages: int
    deep: bool


def look(path: Path) -> Page | None:
    """What a file's first page is, or None if it is no TIFF."""
    with path.open("rb") as file:
        if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return None
    import tifffile

    try:
        with tifffile.TiffFile(path) as opened:
            page = opened.pages.first
            colours = {"MINISBLACK": (1, 2), "RGB": (3, 4)}.get(getattr(page.photometric, "name", ""), ())
            deep = page.dtype == np.uint16 and int(page.samplesperpixel) in colours
            return Page(int(page.imagewidth), int(page.imagelength), len(opened.pages), deep)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError, KeyError, struct.error):
        return None


def tags(path: Path) -> Image.Exif:
    """All tags of the first page as Pillow knows EXIF."""
    exif = Image.Exif()
    with path.open("rb") as file:
        exif.load_from_fp(file)
        for pointer in (_EXIF, _GPS):
            exif.get_ifd(pointer)  # read while the file is open
    return exif


def read_samples(path: Path, orientation: int) -> Samples:
    """All bits of the first page, upright, (h, w, c).

    Args:
        path: the file.
        orientation: EXIF's.

    Raises:
        InputError: when its compression needs an extra.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            samples: Any = page.asarray()
            planar = int(page.planarconfig or 1) == 2 and samples.ndim == 3
    except ValueError as error:
        if "imagecodecs" in str(error):
            raise InputError(
                f"{path} is compressed in a way that needs the extra 'tiff'.", 'pip install "ssr-cli[tiff]" brings it.'
            ) from error
        raise
    if samples.ndim == 2:
        samples = samples[..., None]
    elif planar:
        samples = np.moveaxis(samples, 0, -1)
    if turn := _UPRIGHT.get(orientation):
        transpose, rows, columns = turn
        samples = np.swapaxes(samples, 0, 1) if transpose else samples
        samples = samples[::-1] if rows else samples
        samples = samples[:, ::-1] if columns else samples
    upright: Samples = np.ascontiguousarray(samples)
    return upright


def write_tiff(blocks: Iterator[Samples], layout: Layout, path: Path, photo: PhotoStream) -> None:
    """Write a deflated TIFF, one strip after another, with profile, resolution, EXIF, XMP and IPTC.

    Args:
        blocks: `ROWS` rows (b, w, c) at a time, from the top; the last one may be lower.
        layout: of all of them; what would be larger than 4 GB undeflated becomes a BigTIFF.
        path: written in place, so give a temporary one.
        photo: whose metadata goes with it.
    """
    import tifffile

    exif = Image.Exif()
    if tidied := tidy_exif(photo):
        exif.load(tidied)
    inner = {pointer: dict(exif.get_ifd(pointer)) for pointer in (_EXIF, _GPS)}
    large = layout.size > _LARGE
    extra: list[tuple[int, int, int, Any, bool]] = []
    for tag, value in exif.items():
        if isinstance(value, str):
            extra.append((tag, _TEXT, 0, value.rstrip("\0"), True))
    # tifffile writes no such pointers: a tag that nobody uses, one below, keeps the place in the order
    extra += [(pointer - 1, _LONG, 1, 0, True) for pointer, ifd in inner.items() if ifd and not large]
    if xmp := tidy_xmp(photo):
        extra.append((TIFF_XMP, _BYTE, len(xmp), xmp, True))
    if iptc := photo.metadata.get("iptc"):
        extra.append((TIFF_IPTC, _UNDEFINED, len(iptc), iptc, True))
    channels = layout.channels
    given: dict[str, Any] = {
        "photometric": "rgb" if channels > 2 else "minisblack",
        "metadata": None,
        "software": False,
    }
    if channels in (2, 4):
        given |= {"extrasamples": ["unassalpha"], "planarconfig": "contig"}
    if dpi := photo.metadata.get("dpi"):
        given |= {"resolution": dpi, "resolutionunit": "INCH"}
    if icc := photo.metadata.get("icc"):
        given["iccprofile"] = icc
    extent = (layout.height, layout.width)
    tifffile.imwrite(
        path,
        # strips that are packed already: tifffile itself would want the whole page at once
        (zlib.compress(block.astype(block.dtype.newbyteorder("<")).tobytes()) for block in blocks),
        shape=extent if channels == 1 else (*extent, channels),
        dtype=np.uint8 if layout.bits == 8 else np.uint16,
        rowsperstrip=ROWS,
        byteorder="<",
        compression="zlib",
        extratags=extra,
        bigtiff=large,
        **given,
    )
    if not large:
        for pointer, ifd in inner.items():
            if ifd:
                _append_ifd(path, pointer, ifd)


def _append_ifd(path: Path, pointer: int, values: dict[int, Any]) -> None:
    """Put a directory of EXIF at a TIFF's end, and turn the tag that keeps its place into one that points there."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in values.items():
        directory[tag] = value
    with path.open("r+b") as file:
        place = file.seek(0, 2)
        place += place % 2
        file.seek(place)
        file.write(directory.tobytes(place))
        file.seek(4)
        (first,) = struct.unpack("<I", file.read(4))
        file.seek(first)
        (count,) = struct.unpack("<H", file.read(2))
        for i in range(count):
            entry = first + 2 + 12 * i
            file.seek(entry)
            if struct.unpack("<H", file.read(2))[0] == pointer - 1:
                file.seek(entry)
                file.write(struct.pack("<HHII", pointer, _LONG, 1, place))
