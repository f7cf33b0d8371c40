"""Directories of tags, as TIFF and EXIF lay them out in bytes: what Pillow and tifffile leave to be done.

Follows TIFF 6.0, EXIF 2.32 (a thumbnail is the second directory) and the BigTIFF design (counts and places of 8 bytes).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from PIL import TiffImagePlugin, TiffTags

#: Bytes of a value by its type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SHORT, _LONG, _LONG8 = 3, 4, 16
_BYTE, _TEXT, _RATIONAL, _UNDEFINED = 1, 2, 5, 7
#: A directory within EXIF's.
_INTEROP = 0xA005
_COMPRESSION, _JPEG_PLACE, _JPEG_LENGTH = 0x0103, 0x0201, 0x0202
_OLD_JPEG = 6

#: A tag as tifffile wants it: number, type, count, value, only once.
Extra = tuple[int, int, int, Any, bool]


def extra_tag(tag: int, value: Any) -> Extra | None:
    """A tag of a first directory for tifffile, or None for a kind it cannot be told."""
    if isinstance(value, str):
        return tag, _TEXT, 0, value.rstrip("\0"), True
    if isinstance(value, bytes):
        known = TiffTags.lookup(tag).type
        return tag, _BYTE if known == _BYTE else _UNDEFINED, len(value), value, True
    numbers = value if isinstance(value, tuple) else (value,)
    if numbers and all(isinstance(n, int) and 0 <= n < 2**32 for n in numbers):
        kind = TiffTags.lookup(tag).type or (_SHORT if max(numbers) < 2**16 else _LONG)
        kind = kind if kind in (_BYTE, _SHORT, _LONG) and max(numbers) < 256 ** _SIZES[kind] else _LONG
        return tag, kind, len(numbers), numbers if len(numbers) > 1 else numbers[0], True
    if numbers and all(isinstance(n, TiffImagePlugin.IFDRational) and n.denominator for n in numbers):
        parts = tuple(int(part) for n in numbers for part in (n.numerator, n.denominator))
        return (tag, _RATIONAL, len(numbers), parts, True) if 0 <= min(parts) <= max(parts) < 2**32 else None
    return None


def _classic(values: dict[int, Any], place: int) -> bytes:
    """A directory, little-endian, for a place in a file."""
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    for tag, value in values.items():
        directory[tag] = value
    return directory.tobytes(place)


def _large(classic: bytes, at: int, place: int) -> bytes:
    """A directory as BigTIFF has it.

    Args:
        classic: made for place 0, little-endian.
        at: where in it the directory begins.
        place: in the file it is for.
    """
    (count,) = struct.unpack_from("<H", classic, at)
    data = bytearray()
    entries = [struct.pack("<Q", count)]
    behind = place + 8 + 20 * count + 8
    for i in range(count):
        tag, kind, number, inline = struct.unpack_from("<HHI4s", classic, at + 2 + 12 * i)
        size = _SIZES[kind] * number
        (offset,) = struct.unpack("<I", inline)
        if tag == _INTEROP:
            kind, number = _LONG8, 1
            value = struct.pack("<Q", behind + len(data))
            data += _large(classic, offset, behind + len(data))
        elif size <= 8:
            value = (inline[:size] if size <= 4 else classic[offset : offset + size]).ljust(8, b"\0")
        else:
            value = struct.pack("<Q", behind + len(data))
            data += classic[offset : offset + size]
            data += b"\0" * (-len(data) % 8)
        entries.append(struct.pack("<HHQ", tag, kind, number) + value)
    return b"".join(entries) + b"\0" * 8 + bytes(data)


def append_directory(path: Path, instead: int, pointer: int, values: dict[int, Any], large: bool) -> None:
    """Put a directory at a TIFF's end, and turn a tag that keeps its place into one that points there.

    Args:
        path: of a little-endian TIFF.
        instead: the tag that keeps the place, with one whole number.
        pointer: the tag it becomes.
        values: of the directory.
        large: it is a BigTIFF.
    """
    head, entry, number, where = (8, 20, "<Q", "<HHQQ") if large else (4, 12, "<H", "<HHII")
    with path.open("r+b") as file:
        place = file.seek(0, 2)
        place += place % 2
        file.seek(place)
        file.write(_large(_classic(values, 0), 0, place) if large else _classic(values, place))
        file.seek(head)
        (first,) = struct.unpack("<Q" if large else "<I", file.read(8 if large else 4))
        file.seek(first)
        (count,) = struct.unpack(number, file.read(struct.calcsize(number)))
        begin = first + struct.calcsize(number)
        for i in range(count):
            file.seek(begin + entry * i)
            if struct.unpack("<H", file.read(2))[0] == instead:
                file.seek(begin + entry * i)
                file.write(struct.pack(where, pointer, _LONG8 if large else _LONG, 1, place))


def with_thumbnail(exif: bytes, jpeg: bytes) -> bytes:
    """EXIF with a thumbnail.

    Args:
        exif: with its marker, with no second directory.
        jpeg: a small JPEG.
    """
    marker, body = exif[:6], bytearray(exif[6:])
    order = "<" if body[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", body, 4)
    (count,) = struct.unpack_from(order + "H", body, first)
    body += b"\0" * (len(body) % 2)
    place = len(body)
    struct.pack_into(order + "I", body, first + 2 + 12 * count, place)
    body += struct.pack(order + "HHHIHH", 3, _COMPRESSION, _SHORT, 1, _OLD_JPEG, 0)
    body += struct.pack(order + "HHII", _JPEG_PLACE, _LONG, 1, place + 2 + 3 * 12 + 4)
    body += struct.pack(order + "HHII", _JPEG_LENGTH, _LONG, 1, len(jpeg))
    return marker + bytes(body) + b"\0" * 4 + jpeg
