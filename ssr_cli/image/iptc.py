"""IPTC records (IIM): the blocks that JPEG and PNG keep them in, and what stands in them.

Source: IPTC-NAA Information Interchange Model 4.2; Adobe Photoshop File Formats, image resource 0x0404.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_RESOURCE = 0x0404
#: What a PNG keeps IPTC under, by the convention of ImageMagick and ExifTool.
PNG_NAME = "Raw profile type iptc"
#: A JPEG segment holds this much.
_SEGMENT = 65_533
#: Dataset 1:90 says the characters; this value means UTF-8.
_CHARACTERS, _UTF8 = (1, 90), b"\x1b%G"


def _block(iptc: bytes) -> bytes:
    """IPTC as one of Adobe's image resources."""
    return b"8BIM" + struct.pack(">HHI", _RESOURCE, 0, len(iptc)) + iptc + b"\0" * (len(iptc) % 2)


def iptc_of(resources: object) -> bytes | None:
    """IPTC among Adobe's image resources as Pillow gives them."""
    found = resources.get(_RESOURCE) if isinstance(resources, dict) else None
    return found if isinstance(found, bytes) else None


def iptc_chunk(iptc: bytes) -> bytes:
    """IPTC as the content of a PNG's zTXt chunk: the resource in hexadecimal digits."""
    digits = _block(iptc).hex()
    lines = [digits[i : i + 72] for i in range(0, len(digits), 72)]
    text = "\n".join(["", "iptc", f"{len(digits) // 2:8d}", *lines, ""])
    return PNG_NAME.encode() + b"\0\0" + zlib.compress(text.encode())


def iptc_from_chunk(text: object) -> bytes | None:
    """IPTC of such a chunk's text, or None if it is anything else."""
    lines = str(text or "").split()
    try:
        block = bytes.fromhex("".join(lines[2:]))
    except ValueError:
        return None
    if block[:6] == b"8BIM" + struct.pack(">H", _RESOURCE) and len(block) > 12:
        name = 1 + block[6] + (1 + block[6]) % 2  # a text with its length in front, of even size together
        (size,) = struct.unpack_from(">I", block.ljust(6 + name + 4, b"\0"), 6 + name)
        return block[10 + name : 10 + name + size] or None
    return block if block[:1] == b"\x1c" else None


def iptc_segment(iptc: bytes) -> bytes:
    """IPTC as a JPEG's APP13 segment; empty where it would not fit into one."""
    body = b"Photoshop 3.0\0" + _block(iptc)
    return b"\xff\xed" + struct.pack(">H", len(body) + 2) + body if len(body) + 4 <= _SEGMENT else b""


def with_iptc(jpeg: bytes, iptc: bytes) -> bytes:
    """A JPEG with an IPTC segment behind its other application segments; unchanged where it would not fit."""
    segment, place = iptc_segment(iptc), 2
    while jpeg[place] == 0xFF and 0xE0 <= jpeg[place + 1] <= 0xEF:
        place += 2 + struct.unpack(">H", jpeg[place + 2 : place + 4])[0]
    return jpeg[:place] + segment + jpeg[place:]


def datasets(iptc: bytes) -> dict[tuple[int, int], list[str]]:
    """What stands in IPTC records, by record and number; what follows a broken dataset is left out."""
    raw = [*_datasets(iptc)]
    utf8 = any(key == _CHARACTERS and value == _UTF8 for key, value in raw)
    found: dict[tuple[int, int], list[str]] = {}
    for key, value in raw:
        if key != _CHARACTERS:
            found.setdefault(key, []).append(_text(value, utf8))
    return found


def _datasets(iptc: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Record and number, and the bytes of each dataset."""
    place = 0
    while place + 5 <= len(iptc) and iptc[place] == 0x1C:
        record, number, size = struct.unpack_from(">BBH", iptc, place + 1)
        place += 5
        if size & 0x8000:  # so many bytes hold the length
            wide = size & 0x7FFF
            size = int.from_bytes(iptc[place : place + wide], "big")
            place += wide
        if place + size > len(iptc):
            return
        yield (record, number), iptc[place : place + size]
        place += size


def _text(value: bytes, utf8: bool) -> str:
    """Characters as stated, or else as most programs write them without a word."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode(errors="replace") if utf8 else value.decode("latin-1")
    return text.strip("\0 ")
