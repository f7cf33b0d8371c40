"""JPEG files that say they are taller than what they hold, beside honest ones of every make."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssr_cli.errors import InputError
from ssr_cli.image.reading import read_photo


def _file(height: int, bottom: int | None, mode: str = "RGB", **how: object) -> bytes:
    """A JPEG 160 wide, coarse texture, its lower half one value if that is given."""
    rng = np.random.default_rng(height)
    coarse = Image.fromarray(rng.integers(0, 255, (height // 8 + 1, 21, 3), dtype=np.uint8))
    pixels = np.array(coarse.resize((160, height)))
    if bottom is not None:
        pixels[height // 2 :] = bottom
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", quality=85, **how)
    return buffer.getvalue()


def _claiming(data: bytes, height: int) -> bytes:
    """The file with another height in its frame header."""
    out, place = bytearray(data), 2
    while out[place + 1] not in (0xC0, 0xC2):
        place += 2 + struct.unpack(">H", out[place + 2 : place + 4])[0]
    out[place + 5 : place + 7] = struct.pack(">H", height)
    return bytes(out)


MAKES = {
    "4:4:4": {"subsampling": 0},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_rows": 1},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
    "grey": {"mode": "L"},
    "CMYK": {"mode": "CMYK"},
}


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("bottom", [None, 255, 128, 37])
def test_missing_rows_are_found_and_honest_files_are_not_suspected(
    make: str, bottom: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    for height in (33, 200, 203):
        data = _file(height, bottom, **MAKES[make])
        path.write_bytes(data)
        assert read_photo(path).rgb.shape == (3, height, 160)
        path.write_bytes(data + b"a phone's film, appended \xff\xd8\xff\xd9")
        assert read_photo(path).rgb.shape == (3, height, 160)
        for claim in (height + 17, height + 40, 2 * height):
            path.write_bytes(_claiming(data, claim))
            with pytest.raises(InputError, match="damaged or incomplete"):
                read_photo(path)
