"""What a format cannot hold of what a photo carries: said before the work, never dropped in silence."""

from __future__ import annotations

from pathlib import Path

from ssr_cli.frames import Photo, PhotoStream
from ssr_cli.image.formats import written_format
from ssr_cli.image.iptc import iptc_segment
from ssr_cli.image.iptc_xmp import as_xmp
from ssr_cli.image.metadata import JPEG_SEGMENT, tidy_exif, tidy_xmp


def carried_xmp(photo: Photo | PhotoStream, kind: str) -> bytes | None:
    """XMP as a result of a format carries it: with IPTC in it where there is no other place for that."""
    xmp, iptc = tidy_xmp(photo), photo.metadata.get("iptc")
    if kind in ("webp", "avif") and iptc:
        return as_xmp(iptc, xmp).xmp
    return None if kind == "jpg" and xmp and len(xmp) > JPEG_SEGMENT else xmp


def notes_on(photo: Photo, target: Path, strip: bool) -> tuple[str, ...]:
    """What is to be said about a photo and its result: how it was read, and what it carries that will be missing.

    Args:
        photo: the input.
        target: the result's file.
        strip: nothing of it is wanted.
    """
    read = tuple(photo.metadata["notes"])
    return read if strip else (*read, *_missing(photo, written_format(target)))


def _missing(photo: Photo, kind: str) -> list[str]:
    """Sentences about what a format does not hold."""
    iptc = photo.metadata.get("iptc")
    if kind in ("webp", "avif") and iptc:
        lost = as_xmp(iptc, tidy_xmp(photo)).lost
        names = f", but for {', '.join(lost)}, which XMP has no name for" if lost else ""
        return [f"IPTC is kept as XMP{names}: {'WebP' if kind == 'webp' else 'AVIF'} has no place for it"]
    if kind != "jpg":
        return []
    said = []
    whole, held = tidy_exif(photo), tidy_exif(photo, JPEG_SEGMENT)
    if whole and (held is None or len(held) < len(whole)):
        what = "EXIF is" if held is None else "EXIF's thumbnail or the maker's note is"
        said.append(f"{what} left out: a JPEG has no room for it")
    if carried_xmp(photo, kind) != tidy_xmp(photo):
        said.append("XMP is left out: a JPEG has no room for so much")
    if iptc and not iptc_segment(iptc):
        said.append("IPTC is left out: a JPEG has no room for so much")
    return said
