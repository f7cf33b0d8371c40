"""Whether a JPEG holds as many rows as its header says: decoders fill up what is missing with grey, without a word.

A decoder that has all rows does not care what else comes at the end of the coded bits; one that lacks some takes it for
them. So a second decoding, with something put there, tells the one from the other, whatever the photo shows.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image, ImageChops

#: Coded bits that are no marker, and enough of them to be seen.
_MORE = b"\x5a\xa5\x36" * 64
#: Rows that are compared at a time.
_ROWS = 256
#: A marker within coded bits that ends them: neither a stuffed byte nor a restart; and a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_START_OF_SCAN, _FIRST_RESTART = 0xDA, 0xD0


def first_scan(data: bytes) -> tuple[int, int] | None:
    """Where the coded bits of a JPEG's first scan begin and end, or None where there are none.

    A progressive JPEG has several scans; the first one holds the mean of every block.

    Args:
        data: the file.
    """
    place = 2
    while place + 4 <= len(data):
        behind = place + 2 + int.from_bytes(data[place + 2 : place + 4])
        if data[place + 1] == _START_OF_SCAN:
            end = _MARKER.search(data, behind)
            return None if end is None else (behind, end.start())
        place = behind
    return None


def _with_more(data: bytes, begin: int, end: int) -> bytes:
    """A JPEG with more coded bits, behind a restart marker where the scan has such."""
    restarts = _RESTART.findall(data, begin, end)
    following = (restarts[-1][1] - _FIRST_RESTART + 1) % 8 if restarts else 0
    marker = bytes((0xFF, _FIRST_RESTART + following)) if restarts else b""
    return data[:end] + marker + _MORE + data[end:]


def check_rows(path: Path, decoded: Image.Image) -> None:
    """Decode a JPEG again with more coded bits at the end of its first scan.

    Args:
        path: the file.
        decoded: what it gave, as it lies in the file.

    Raises:
        ValueError: if it holds fewer rows than its header says.
    """
    data = path.read_bytes()
    scan = first_scan(data)
    if scan is None:
        return
    with Image.open(io.BytesIO(_with_more(data, *scan))) as again:
        again.load()
        for top in range(0, decoded.height, _ROWS):
            rows = (0, top, decoded.width, min(top + _ROWS, decoded.height))
            if ImageChops.difference(again.crop(rows), decoded.crop(rows)).getbbox() is not None:
                raise ValueError("fewer rows than the header says")
