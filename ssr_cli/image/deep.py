"""Reading PNG with 16 bits per channel: Pillow alone keeps the upper eight bits of colour without a word.

The file is decoded twice with Pillow, once for the upper and once for the lower bytes of its big-endian samples.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageOps

Samples = npt.NDArray[np.uint16]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def bit_depth(path: Path) -> int:
    """Bits per channel that a PNG's header states; 8 for other files."""
    with path.open("rb") as file:
        header = file.read(26)
    return header[24] if header[:8] == _SIGNATURE and len(header) > 24 else 8


def can_read(image: ImageFile.ImageFile) -> bool:
    """Whether an opened 16-bit PNG is of a kind `read_samples` knows: with or without alpha, no colour key."""
    raw = str(image.tile[0].args) if image.tile else ""
    return raw in ("I;16B", "LA;16B", "RGB;16B", "RGBA;16B") and "transparency" not in image.info


def read_samples(path: Path) -> Samples:
    """All 16 bits of a PNG that `can_read` accepts, upright.

    Args:
        path: the file.

    Returns:
        (h, w, c) with c = 1 to 4.
    """
    with Image.open(path) as image:
        if image.mode == "I;16":
            upright = ImageOps.exif_transpose(image)
            return np.array(upright, dtype=np.uint16)[..., None]
        if str(image.tile[0].args) == "LA;16B":
            # Four bytes a pixel, like RGBA with 8 bits: upper and lower byte of grey, then of alpha.
            image.tile = [image.tile[0]._replace(args="RGBA")]
            octets = np.asarray(ImageOps.exif_transpose(image), dtype=np.uint16)
            paired: Samples = octets[..., 0::2] * np.uint16(256) + octets[..., 1::2]
            return paired
        upper = np.asarray(ImageOps.exif_transpose(image), dtype=np.uint16)
    with Image.open(path) as image:
        tile = image.tile[0]
        # The little-endian reading of big-endian samples takes their lower bytes for the upper ones.
        image.tile = [tile._replace(args=str(tile.args).replace("16B", "16L"))]
        lower = np.asarray(ImageOps.exif_transpose(image), dtype=np.uint16)
    joined: Samples = upper * np.uint16(256) + lower
    return joined
