"""HEIC with more than 8 bits per channel, which the plugin for Pillow would round to 8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ImageFile


def bit_depth(image: ImageFile.ImageFile) -> int:
    """Bits per channel of a HEIF file that Pillow has opened."""
    return int(image.info.get("bit_depth", 8))


def read_samples(path: Path, bits: int) -> npt.NDArray[Any]:
    """All bits of the first picture, upright, (h, w, c) uint16 from 0 to 65,535.

    Args:
        path: the file; its extra is loaded.
        bits: see `bit_depth`, more than 8.
    """
    import pi_heif

    file = pi_heif.open_heif(path, convert_hdr_to_8bit=False)
    samples = np.array(file)  # a copy: what `asarray` gives is the file's own memory, and gone with it
    samples = samples[..., None] if samples.ndim == 2 else samples
    # The decoder shifts samples to the top of 16 bits, so that white is a little less than all ones.
    white = (1 << 16) - (1 << (16 - bits))
    scaled: npt.NDArray[Any] = np.rint(samples * (65_535 / white)).clip(0, 65_535).astype(np.uint16)
    return scaled
