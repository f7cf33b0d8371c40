"""Writing photos: the format that was asked for, all bits it can hold, what the photo carried, atomically.

PNG, TIFF and JPEG are written as rows come; WebP and AVIF, whose encoders want the whole picture, are held in 8 bits.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from ssr_cli.errors import OutputError
from ssr_cli.frames import Photo, PhotoStream
from ssr_cli.image import tiff
from ssr_cli.image.formats import DEEP, LONGEST, written_format
from ssr_cli.image.holding import carried_xmp
from ssr_cli.image.jpeg import write_jpeg
from ssr_cli.image.metadata import JPEG_SEGMENT, tidy_exif
from ssr_cli.image.png import Carried, write_png
from ssr_cli.image.rows import Layout, layout_of, samples_of, stream_of
from ssr_cli.paths import publish

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
#: What Pillow's encoders are told.
_ENCODING: dict[str, dict[str, Any]] = {
    "webp": {"quality": 95, "exact": True},
    "jpg": {"quality": 95, "subsampling": 0},
    "avif": {"quality": 90, "subsampling": "4:4:4"},
}


def _gathered(stream: PhotoStream, layout: Layout) -> Image.Image:
    """All rows as one 8-bit picture."""
    image = Image.new(_MODES[layout.channels], (layout.width, layout.height))
    top = 0
    for block in samples_of(stream, layout):
        image.paste(Image.fromarray(block[..., 0] if layout.channels == 1 else block), (0, top))
        top += len(block)
    return image


def to_image(photo: Photo) -> Image.Image:
    """The photo as an 8-bit picture: grey stays grey, alpha is attached."""
    return _gathered(stream_of(photo), layout_of(photo, deep=False))


def check_format(photo: Photo, path: Path, scale: float = 1.0) -> None:
    """Refuse a result that the format cannot hold, before the work.

    Args:
        photo: the input.
        path: of the result.
        scale: how much larger the result will be.

    Raises:
        OutputError: for an unknown ending, alpha in a JPEG, or too many pixels.
    """
    _check(path, max(1, round(photo.width * scale)), max(1, round(photo.height * scale)), "alpha" in photo.metadata)


def _check(path: Path, width: int, height: int, transparent: bool) -> None:
    kind = written_format(path)
    if kind == "jpg" and transparent:
        raise OutputError(
            f"{path} is a JPEG, which cannot hold the photo's transparency.", "Write .png or .webp instead."
        )
    if max(width, height) > LONGEST.get(kind, 2**31 - 1):
        raise OutputError(f"{path} cannot hold {width} x {height} pixels.", "Write .png or .tif instead.")


def _options(photo: PhotoStream, kind: str) -> dict[str, Any]:
    """What Pillow is told for a format."""
    options: dict[str, Any] = dict(_ENCODING[kind])
    if exif := tidy_exif(photo, JPEG_SEGMENT if kind == "jpg" else None, resolution=kind != "jpg"):
        options["exif"] = exif
    if dpi := photo.metadata.get("dpi"):
        options["dpi"] = dpi
    if icc := photo.metadata.get("icc"):
        options["icc_profile"] = icc
    if xmp := carried_xmp(photo, kind):
        options["xmp"] = xmp
    return options


def write_photo(photo: Photo | PhotoStream, path: Path, force: bool = False) -> None:
    """Encode a photo and put it in its place atomically; a stream is made as it is written.

    Args:
        photo: the photo with the metadata it was read with.
        path: its ending says the format.
        force: overwrite.

    Raises:
        OutputError: if the format cannot hold it, or it cannot be written.
    """
    _check(path, photo.width, photo.height, "alpha" in photo.metadata)
    kind = written_format(path)
    with publish(path, force) as temporary:
        stream = stream_of(photo) if isinstance(photo, Photo) else photo
        layout = layout_of(stream, deep=kind in DEEP)
        if kind == "png":
            write_png(samples_of(stream, layout), layout, temporary, _carried(stream))
        elif kind == "tif":
            tiff.write_tiff(samples_of(stream, layout), layout, temporary, stream)
        elif kind == "jpg":
            iptc = stream.metadata.get("iptc")
            write_jpeg(samples_of(stream, layout), layout, temporary, _options(stream, kind), iptc)
        else:
            _gathered(stream, layout).save(temporary, **_options(stream, kind))


def _carried(photo: PhotoStream) -> Carried:
    """What goes into a PNG."""
    exif = tidy_exif(photo)
    given = photo.metadata
    return Carried(
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        dpi=given.get("dpi"),
        icc=given.get("icc"),
        xmp=carried_xmp(photo, "png"),
        iptc=given.get("iptc"),
    )
