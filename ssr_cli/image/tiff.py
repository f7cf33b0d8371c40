"""TIFF by tifffile: 16 bits per channel, which Pillow cannot hold, and writing with everything a photo carries."""

from __future__ import annotations

import logging
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ssr_cli.errors import InputError
from ssr_cli.frames import PhotoStream
from ssr_cli.image.directories import append_directory, extra_tag
from ssr_cli.image.metadata import TIFF_IPTC, TIFF_XMP, tidy_exif, tidy_xmp
from ssr_cli.image.rows import ROWS, Layout, Samples

_EXIF, _GPS, _INTEROP = 34665, 34853, 40965
#: An extra sample that the colours were multiplied by.
_ASSOCIATED = 1
_UNDEFINED, _LONG8, _LONG, _BYTE = 7, 16, 4, 1
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
        whole: it has all the pieces that its size asks for; what is missing would be filled up without a word.
        carried: its "iptc", if it has one. Many programs write it as 32-bit numbers, of which Pillow keeps the first.
    """

    width: int
    height: int
    pages: int
    deep: bool
    whole: bool
    carried: dict[str, bytes]


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
            sizes = page.databytecounts
            whole = len(page.dataoffsets) >= math.prod(page.chunked) and min(sizes, default=0) > 0
            if page.compression == tifffile.COMPRESSION.NONE:
                whole = whole and 8 * sum(sizes) >= page.size * int(page.bitspersample)
            iptc = page.tags.valueof(TIFF_IPTC)
            carried = {"iptc": iptc} if isinstance(iptc, bytes) and iptc else {}
            return Page(int(page.imagewidth), int(page.imagelength), len(opened.pages), deep, whole, carried)
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
            premultiplied = tuple(page.extrasamples) == (_ASSOCIATED,)
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
    if premultiplied:
        samples = _divided_by_alpha(samples)
    if turn := _UPRIGHT.get(orientation):
        transpose, rows, columns = turn
        samples = np.swapaxes(samples, 0, 1) if transpose else samples
        samples = samples[::-1] if rows else samples
        samples = samples[:, ::-1] if columns else samples
    upright: Samples = np.ascontiguousarray(samples)
    return upright


def _divided_by_alpha(samples: Samples) -> Samples:
    """Colours as they were before they were multiplied by their alpha, the last channel."""
    alpha = samples[..., -1:].astype(np.float32)
    colours = samples[..., :-1] * np.float32(65_535) / np.maximum(alpha, 1)
    out = samples.copy()
    out[..., :-1] = np.minimum(colours + 0.5, 65_535)
    return out


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
    inner = {pointer: ifd for pointer in (_EXIF, _GPS) if (ifd := dict(exif.get_ifd(pointer)))}
    if _INTEROP in inner.get(_EXIF, {}):
        inner[_EXIF][_INTEROP] = dict(exif.get_ifd(_INTEROP))
    large = layout.size > _LARGE
    given_tags = (extra_tag(tag, value) for tag, value in exif.items() if tag not in (_EXIF, _GPS))
    extra = [tag for tag in given_tags if tag is not None]
    # tifffile writes no such pointers: a tag that nobody uses, one below, keeps the place in the order
    extra += [(pointer - 1, _LONG8 if large else _LONG, 1, 0, True) for pointer in inner]
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
    for pointer, ifd in inner.items():
        append_directory(path, pointer - 1, pointer, ifd, large)
