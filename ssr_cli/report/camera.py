"""Focal length, f-number, subject distance and pixel size, from a photo's EXIF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ssr_cli.frames import Photo
from ssr_cli.physics.optics import Camera

if TYPE_CHECKING:
    from PIL import Image

_EXIF_IFD = 0x8769
_MAKE, _MODEL = 271, 272
_F_NUMBER, _FOCAL, _SUBJECT, _FOCAL_35 = 33437, 37386, 37382, 41989
_WIDTH, _HEIGHT, _PLANE_X, _PLANE_UNIT = 40962, 40963, 41486, 41488
#: Millimetres of EXIF's units of focal-plane resolution.
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
#: Diagonal of a 24 x 36 mm frame.
_FULL_FRAME_MM = math.hypot(24, 36)
#: EXIF's subject distance of 0xFFFFFFFF means infinity, 0 unknown.
_INFINITE = 0xFFFFFFFF


def _number(value: Any) -> float | None:
    """A positive, finite number, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def _distance(value: Any) -> float | None:
    """EXIF's subject distance in m, infinite where it says so."""
    if getattr(value, "numerator", None) == _INFINITE:
        return math.inf
    return _number(value)


def _pixel_um(inner: dict[int, Any], photo: Photo, focal: float | None) -> tuple[float | None, str | None]:
    """Distance of the photo's pixels on the sensor, and what says so."""
    longest = max(photo.height, photo.width)
    resolution = _number(inner.get(_PLANE_X))
    unit = _UNIT_MM.get(int(_number(inner.get(_PLANE_UNIT)) or 2))
    if resolution and unit:
        # EXIF keeps the size the camera wrote; a photo made smaller since has larger pixels
        taken = max(_number(inner.get(_WIDTH)) or 0.0, _number(inner.get(_HEIGHT)) or 0.0)
        return 1000 * unit / resolution * max(1.0, taken / longest), "FocalPlaneXResolution"
    equivalent = _number(inner.get(_FOCAL_35))
    if equivalent and focal:
        diagonal_mm = _FULL_FRAME_MM * focal / equivalent
        length_mm = diagonal_mm * longest / math.hypot(photo.height, photo.width)
        return 1000 * length_mm / longest, "the 35 mm equivalent"
    return None, None


def camera_of(photo: Photo) -> Camera:
    """What EXIF says of how a photo was taken; pixel sizes assume that it was resized at most, not cropped.

    Args:
        photo: as it was read.
    """
    exif: Image.Exif | None = photo.metadata.get("exif")
    if exif is None:
        return Camera()
    inner = exif.get_ifd(_EXIF_IFD)
    words = [str(exif[tag]).strip().strip("\0") for tag in (_MAKE, _MODEL) if exif.get(tag)]
    focal = _number(inner.get(_FOCAL))
    pixel, source = _pixel_um(inner, photo, focal)
    name = " ".join(words[1:] if len(words) == 2 and words[1].startswith(words[0]) else words)
    return Camera(name or None, focal, _number(inner.get(_F_NUMBER)), _distance(inner.get(_SUBJECT)), pixel, source)
