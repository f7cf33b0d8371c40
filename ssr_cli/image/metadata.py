"""What a photo carries beside its pixels: EXIF, XMP, IPTC, colour profile, resolution; read, tidied, written back."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from typing import Any, TypeVar

from PIL import Image

from ssr_cli.frames import Photo, PhotoStream

P = TypeVar("P", Photo, PhotoStream)
_ORIENTATION = 0x0112
#: EXIF tags of a thumbnail.
_STALE = (0x0201, 0x0202)
_GPS_IFD = 0x8825
_EXIF_IFD, _EXIF_WIDTH, _EXIF_HEIGHT, _MAKER_NOTE = 0x8769, 0xA002, 0xA003, 0x927C
TIFF_XMP, TIFF_IPTC, _TIFF_ICC = 700, 33723, 34675
_IPTC_RESOURCE = 0x0404
#: Tags of a TIFF that say how its pixels are stored; in a TIFF they stand among those of EXIF.
_STRUCTURE = (
    *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291, 296),
    *(317, 318, 319, 320, 322, 323, 324, 325, 338, 339, 340, 341, 347, 529, 530, 531, 532),
    *(TIFF_XMP, TIFF_IPTC, 34377, _TIFF_ICC),
)
#: A JPEG segment holds this much.
_SEGMENT = 65_533
_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:="|>))\d')
#: Keys of what `--strip` drops.
CARRIED = ("exif", "xmp", "iptc", "icc", "dpi")


def without_structure(exif: Image.Exif) -> Image.Exif:
    """EXIF without the tags that say how a TIFF stores its pixels."""
    for tag in _STRUCTURE:
        exif.pop(tag, None)
    return exif


def collect(image: Image.Image) -> dict[str, Any]:
    """What an opened picture carries: "exif", "xmp", "iptc", "icc" and "dpi", as far as there is any."""
    found: dict[str, Any] = {}
    exif = without_structure(image.getexif())
    for pointer in (_EXIF_IFD, _GPS_IFD):
        exif.get_ifd(pointer)  # a TIFF's are read from the file, which must be open for it
    if len(exif):
        found["exif"] = exif
    if dpi := image.info.get("dpi"):
        found["dpi"] = tuple(float(d) for d in dpi)
    if icc := image.info.get("icc_profile"):
        found["icc"] = bytes(icc)
    tags = getattr(image, "tag_v2", {})
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or tags.get(TIFF_XMP)
    if xmp:
        found["xmp"] = xmp.encode() if isinstance(xmp, str) else bytes(xmp)
    blocks = image.info.get("photoshop")
    iptc = blocks.get(_IPTC_RESOURCE) if isinstance(blocks, dict) else tags.get(TIFF_IPTC)
    if iptc:
        found["iptc"] = bytes(iptc)
    return found


def collect_tags(tags: Image.Exif) -> dict[str, Any]:
    """The same from all tags of a TIFF."""
    found: dict[str, Any] = {}
    for tag, name in ((TIFF_XMP, "xmp"), (TIFF_IPTC, "iptc"), (_TIFF_ICC, "icc")):
        if isinstance(value := tags.get(tag), bytes):
            found[name] = value
    across, down, unit = tags.get(282), tags.get(283), tags.get(296, 2)
    if across and down and unit in (2, 3):
        found["dpi"] = tuple(float(d) * (2.54 if unit == 3 else 1.0) for d in (across, down))
    exif = without_structure(tags)
    if len(exif):
        found["exif"] = exif
    return found


def tidy_exif(photo: Photo | PhotoStream, most: int | None = None) -> bytes | None:
    """EXIF for the result: upright, with its size, without a thumbnail of the old one.

    Args:
        photo: the result.
        most: bytes the format can hold; the maker's note is dropped where there are more.
    """
    exif = photo.metadata.get("exif")
    if exif is None:
        return None
    out = Image.Exif()
    out.load(exif.tobytes())
    for tag in (_ORIENTATION, *_STALE):
        if tag in out:
            del out[tag]
    inner = out.get_ifd(_EXIF_IFD)
    if _EXIF_WIDTH in inner or _EXIF_HEIGHT in inner:
        inner[_EXIF_WIDTH], inner[_EXIF_HEIGHT] = photo.width, photo.height
    written = out.tobytes()
    if most is not None and len(written) > most:
        inner.pop(_MAKER_NOTE, None)
        written = out.tobytes()
        if len(written) > most:
            return None
    return written


def tidy_xmp(photo: Photo | PhotoStream) -> bytes | None:
    """XMP for the result: it stands upright."""
    xmp = photo.metadata.get("xmp")
    return None if xmp is None else _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def iptc_segment(iptc: bytes) -> bytes:
    """IPTC as a JPEG's APP13 segment (Adobe's image resource block 0x0404)."""
    block = b"8BIM" + struct.pack(">HHI", _IPTC_RESOURCE, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    body = b"Photoshop 3.0\0" + block
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body


def with_iptc(jpeg: bytes, iptc: bytes) -> bytes:
    """A JPEG with an IPTC segment behind its other application segments; unchanged where it would not fit."""
    segment = iptc_segment(iptc)
    if len(segment) > _SEGMENT:
        return jpeg
    place = 2
    while jpeg[place] == 0xFF and 0xE0 <= jpeg[place + 1] <= 0xEF:
        place += 2 + struct.unpack(">H", jpeg[place + 2 : place + 4])[0]
    return jpeg[:place] + segment + jpeg[place:]


def stripped(photo: P) -> P:
    """The photo without what it carried; how its pixels are to be written stays."""
    return replace(photo, metadata={k: v for k, v in photo.metadata.items() if k not in CARRIED})
