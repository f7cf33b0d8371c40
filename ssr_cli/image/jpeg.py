"""JPEG, written some rows at a time: bands encoded by Pillow are joined at restart markers into one scan.

A restart marker after every row of blocks makes rows independent of each other (ITU-T T.81, E.1.4), so the scans of
bands that share their tables can follow one another. Markers are numbered modulo 8, so a band is 8 rows of blocks high.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from ssr_cli.image.iptc import with_iptc
from ssr_cli.image.rows import ROWS, Layout, Samples

_START_OF_FRAME, _START_OF_SCAN = 0xC0, 0xDA
_JOINT, _END = b"\xff\xd7", b"\xff\xd9"


def _encoded(block: Samples, options: dict[str, Any]) -> bytes:
    """A band as a JPEG of its own."""
    buffer = io.BytesIO()
    picture = block[..., 0] if block.shape[-1] == 1 else block
    Image.fromarray(picture).save(buffer, "JPEG", restart_marker_rows=1, **options)
    return buffer.getvalue()


def _segments(jpeg: bytes) -> tuple[int, int]:
    """Where the frame's header and the scan's data begin."""
    place, frame = 2, 0
    while True:
        kind = jpeg[place + 1]
        (length,) = struct.unpack(">H", jpeg[place + 2 : place + 4])
        if kind == _START_OF_FRAME:
            frame = place
        place += 2 + length
        if kind == _START_OF_SCAN:
            return frame, place


def write_jpeg(
    blocks: Iterable[Samples], layout: Layout, path: Path, options: dict[str, Any], iptc: bytes | None = None
) -> None:
    """Write a baseline JPEG without chroma subsampling.

    Args:
        blocks: `ROWS` rows (b, w, 1 or 3) at a time, uint8, from the top; the last one may be lower.
        layout: of all of them.
        path: where to; written in place, so give a temporary one.
        options: for Pillow: quality, subsampling 0, and what goes with the pixels.
        iptc: goes into a segment of its own.
    """
    assert ROWS % 64 == 0
    coding = {key: options[key] for key in ("quality", "subsampling")}
    with path.open("wb") as file:
        for number, block in enumerate(blocks):
            data = _encoded(block, coding if number else options)
            frame, scan = _segments(data)
            if number == 0:
                # the height is the whole picture's
                header = data[: frame + 5] + struct.pack(">H", layout.height) + data[frame + 7 : scan]
                file.write(header if iptc is None else with_iptc(header, iptc))
            else:
                file.write(_JOINT)
            file.write(data[scan : -len(_END)])
        file.write(_END)
