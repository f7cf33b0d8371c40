"""Depth maps of the user's own: grey pictures of any size, 8 or 16 bit, nearer is brighter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ssr_cli.errors import InputError

#: Grey modes of Pillow that keep all bits of a depth map.
_GREY = ("L", "I", "I;16", "I;16B", "F")
#: A map whose shape differs by more belongs to another photo.
_SHAPE_TOLERANCE = 0.03


def missing_map(path: Path | str) -> InputError:
    """What to raise where a depth map does not exist."""
    return InputError(f"The depth map {path} does not exist.", "Check the path after --depth.")


def read_depth(path: Path, height: int, width: int, invert: bool = False) -> Tensor:
    """A depth map at a photo's size.

    Args:
        path: grey PNG or TIFF; only the order and ratios of its values mean anything.
        height: of the photo.
        width: of the photo.
        invert: larger values are farther away (millimetres, say).

    Returns:
        (height, width), disparity: 0 farthest, 1 nearest; 0.5 everywhere if the map has one value.

    Raises:
        InputError: if it is missing, unreadable, coloured, not finite or of another shape than the photo.
    """
    try:
        with Image.open(path) as image:
            if image.mode not in _GREY:
                raise InputError(f"{path} is not a grey picture.", "Give depth as a grey PNG, 8 or 16 bit.")
            values = torch.from_numpy(np.asarray(image).astype(np.float32))
    except FileNotFoundError as error:
        raise missing_map(path) from error
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"The depth map {path} cannot be read.", "Give it as a grey PNG, 8 or 16 bit.") from error
    if not bool(values.isfinite().all()):
        raise InputError(f"{path} has values that are no numbers.", "Fill them before giving the map.")
    expected = values.shape[0] * width / height
    if abs(values.shape[1] - expected) > max(1.0, _SHAPE_TOLERANCE * expected):  # a pixel may be rounding
        raise InputError(
            f"{path} is {values.shape[1]}x{values.shape[0]} and the photo {width}x{height}.",
            "Give the depth of the whole photo, turned as the photo is.",
        )
    low, high = values.min(), values.max()
    values = (values - low) / (high - low) if float(high) > float(low) else torch.full_like(values, 0.5)
    resized = F.interpolate(values[None, None], size=(height, width), mode="bilinear", antialias=True)[0, 0]
    return 1 - resized if invert else resized
