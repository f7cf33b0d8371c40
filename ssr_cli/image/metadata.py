"""What a photo carries beside its pixels: EXIF, XMP, IPTC, colour profile, resolution; read, tidied, written back."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any, TypeVar

from PIL import ExifTags, Image

from ssr_cli.frames import Photo, PhotoStream
from ssr_cli.image.directories import with_thumbnail
from ssr_cli.image.iptc import PNG_NAME, iptc_from_chunk, iptc_of

P = TypeVar("P", Photo, PhotoStream)
_ORIENTATION = 0x0112
#: EXIF tags of a thumbnail: its place and length.
_STALE = (0x0201, 0x0202)
#: Longest side of a thumbnail, as EXIF recommends.
_THUMBNAIL = 160
_ACROSS, _DOWN, _UNIT, _INCH, _CENTIMETRE = 282, 283, 296, 2, 3
_GPS_IFD = 0x8825
_EXIF_IFD, _EXIF_WIDTH, _EXIF_HEIGHT, _MAKER_NOTE = 0x8769, 0xA002, 0xA003, 0x927C
TIFF_XMP, TIFF_IPTC, _TIFF_ICC = 700, 33723, 34675
#: Tags of a TIFF that say how its pixels are stored; in a TIFF they stand among those of EXIF.
_STRUCTURE = (
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 296),
    *(317, 318, 319, 320, 322, 323, 324, 325, 338, 339, 340, 341, 347, 529, 530, 531, 532),
    *(TIFF_XMP, TIFF_IPTC, 34377, _TIFF_ICC),
)
#: EXIF and XMP of a JPEG stand in one segment each, which holds this much beside its name.
JPEG_SEGMENT = 65_500
_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:="|>))\d')
#: Keys of what `--strip` drops.
CARRIED = ("exif", "xmp", "iptc", "icc", "dpi", "thumbnail")


def without_structure(exif: Image.Exif) -> Image.Exif:
    """EXIF without the tags that say how a TIFF stores its pixels."""
    for tag in _STRUCTURE:
        exif.pop(tag, None)
    return exif


def collect(image: Image.Image) -> dict[str, Any]:
    """What an opened picture carries: "exif", "xmp", "iptc" (not a TIFF's), "icc" and "dpi", as far as there is any."""
    found: dict[str, Any] = {}
    exif = image.getexif()
    for pointer in (_EXIF_IFD, _GPS_IFD):
        exif.get_ifd(pointer)  # a TIFF's are read from the file, which must be open for it
    if dpi := image.info.get("dpi") or _resolution(exif):
        found["dpi"] = tuple(float(d) for d in dpi)
    exif = without_structure(exif)
    if len(exif):
        found["exif"] = exif
    if icc := image.info.get("icc_profile"):
        found["icc"] = bytes(icc)
    tags = getattr(image, "tag_v2", {})
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or tags.get(TIFF_XMP)
    if xmp:
        found["xmp"] = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    if iptc := iptc_of(image.info.get("photoshop")) or iptc_from_chunk(image.info.get(PNG_NAME)):
        found["iptc"] = iptc
    return found


def _resolution(exif: Image.Exif) -> tuple[float, float] | None:
    """Pixels per inch that EXIF states."""
    across, down, unit = exif.get(_ACROSS), exif.get(_DOWN), exif.get(_UNIT, _INCH)
    if not (across and down and unit in (_INCH, _CENTIMETRE)):
        return None
    factor = 2.54 if unit == _CENTIMETRE else 1.0
    return float(across) * factor, float(down) * factor


def has_thumbnail(image: Image.Image) -> bool:
    """Whether a picture's EXIF holds a small one."""
    return bool(image.getexif().get_ifd(ExifTags.IFD.IFD1).get(_STALE[0]))


def thumbnail_of(upright: Image.Image) -> bytes:
    """A small JPEG of a picture."""
    small = upright.convert("RGB")
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def collect_tags(tags: Image.Exif) -> dict[str, Any]:
    """The same from all tags of a TIFF but its IPTC, which Pillow may cut short."""
    found: dict[str, Any] = {}
    for tag, name in ((TIFF_XMP, "xmp"), (_TIFF_ICC, "icc")):
        if isinstance(value := tags.get(tag), bytes):
            found[name] = value
    if dpi := _resolution(tags):
        found["dpi"] = dpi
    exif = without_structure(tags)
    if len(exif):
        found["exif"] = exif
    return found


def tidy_exif(photo: Photo | PhotoStream, most: int | None = None, resolution: bool = False) -> bytes | None:
    """EXIF for the result: upright, with its size, and with a thumbnail if the photo had one.

    Args:
        photo: the result.
        most: bytes the format can hold; the thumbnail and then the maker's note are dropped where there are more.
        resolution: it is written here, for formats that have no other place for it.
    """
    exif, dpi = photo.metadata.get("exif"), photo.metadata.get("dpi") if resolution else None
    if exif is None and dpi is None:
        return None
    out = Image.Exif()
    if exif is not None:
        out.load(exif.tobytes())
    for tag in (_ORIENTATION, *_STALE):
        if tag in out:
            del out[tag]
    if dpi:
        out[_ACROSS], out[_DOWN], out[_UNIT] = dpi[0], dpi[1], _INCH
    inner = out.get_ifd(_EXIF_IFD)
    if _EXIF_WIDTH in inner or _EXIF_HEIGHT in inner:
        inner[_EXIF_WIDTH], inner[_EXIF_HEIGHT] = photo.width, photo.height
    written = out.tobytes()
    small = photo.metadata.get("thumbnail")
    illustrated = with_thumbnail(written, small) if small else written
    if most is None or len(illustrated) <= most:
        return illustrated
    if len(written) > most:
        inner.pop(_MAKER_NOTE, None)
        written = out.tobytes()
    return written if len(written) <= most else None


def tidy_xmp(photo: Photo | PhotoStream) -> bytes | None:
    """XMP for the result: it stands upright."""
    xmp = photo.metadata.get("xmp")
    return None if xmp is None else _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def stripped(photo: P) -> P:
    """The photo without what it carried; how its pixels are to be written stays."""
    return replace(photo, metadata={k: v for k, v in photo.metadata.items() if k not in CARRIED})
