"""Writing photos: the format that was asked for, all bits it can hold, what the photo carried, atomically."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from ssr_cli.canvas import as_float
from ssr_cli.errors import OutputError
from ssr_cli.frames import Photo
from ssr_cli.image import deep as deep_png
from ssr_cli.image import tiff
from ssr_cli.image.color import resize
from ssr_cli.image.formats import DEEP, LONGEST, written_format
from ssr_cli.image.metadata import tidy_exif, tidy_xmp, with_iptc
from ssr_cli.paths import publish

_JPEG_SEGMENT = 65_500
#: Rows that are rounded at a time.
_ROWS = 256
#: What Pillow's encoders are told.
_ENCODING: dict[str, dict[str, Any]] = {
    "png": {"compress_level": 4},
    "webp": {"quality": 95, "exact": True},
    "jpg": {"quality": 95, "subsampling": 0},
    "avif": {"quality": 90, "subsampling": "4:4:4"},
}


def _eight_bits(planes: Tensor, dithered: bool) -> npt.NDArray[np.uint8]:
    """Planes (c, h, w) of any kind as bytes (h, w, c), some rows at a time.

    A photo that had more bits is dithered, or its gradients would show steps.
    """
    channels, height, width = planes.shape
    out = np.empty((height, width, channels), np.uint8)
    source = torch.Generator().manual_seed(0)
    for top in range(0, height, _ROWS):
        band = planes[:, top : top + _ROWS]
        if band.dtype != torch.uint8:
            values = as_float(band).clamp(0, 1) * 255
            if dithered:
                # triangular, so that the error's strength does not follow the picture
                noise = torch.rand((2, *values.shape), generator=source)
                values = values + noise[0] - noise[1]
            band = values.clamp(0, 255).round().byte()
        out[top : top + _ROWS] = band.permute(1, 2, 0).numpy()
    return out


def _grey(planes: Tensor) -> Tensor:
    """The mean of the channels (1, h, w), float32; a grey photo's differ by rounding alone."""
    return torch.cat([as_float(planes[:, i : i + _ROWS]).mean(0) for i in range(0, planes.shape[1], _ROWS)])[None]


def _alpha(photo: Photo) -> Tensor | None:
    """The transparency (1, H, W) at the photo's size, or None."""
    alpha = photo.metadata.get("alpha")
    if alpha is None:
        return None
    size = (photo.height, photo.width)
    return alpha[None] if tuple(alpha.shape) == size else resize(alpha[None], size).clamp(0, 1)


def to_image(photo: Photo) -> Image.Image:
    """The photo as an 8-bit picture: grey stays grey, alpha is attached."""
    dithered = photo.metadata.get("bits") == 16
    if photo.metadata.get("grey"):
        image = Image.fromarray(_eight_bits(_grey(photo.rgb), dithered)[..., 0])
    else:
        image = Image.fromarray(_eight_bits(photo.rgb, dithered))
    alpha = _alpha(photo)
    if alpha is not None:
        image.putalpha(Image.fromarray(_eight_bits(alpha, False)[..., 0]))
    return image


def _to_samples(photo: Photo) -> npt.NDArray[np.uint16]:
    """The photo as 16-bit samples (h, w, c), some rows at a time."""
    planes = [_grey(photo.rgb) if photo.metadata.get("grey") else photo.rgb]
    alpha = _alpha(photo)
    if alpha is not None:
        planes.append(alpha)
    out = np.empty((photo.height, photo.width, sum(len(p) for p in planes)), np.uint16)
    channel = 0
    for group in planes:
        for top in range(0, photo.height, _ROWS):
            band = group[:, top : top + _ROWS]
            if band.dtype != torch.uint16:
                band = (as_float(band).clamp(0, 1) * 65_535).round()
            out[top : top + _ROWS, :, channel : channel + len(group)] = band.permute(1, 2, 0).numpy()
        channel += len(group)
    return out


def check_format(photo: Photo, path: Path, scale: float = 1.0) -> None:
    """Refuse a result that the format cannot hold, before the work.

    Args:
        photo: the input.
        path: of the result.
        scale: how much larger the result will be.

    Raises:
        OutputError: for an unknown ending, alpha in a JPEG, or too many pixels.
    """
    kind = written_format(path)
    if kind == "jpg" and "alpha" in photo.metadata:
        raise OutputError(
            f"{path} is a JPEG, which cannot hold the photo's transparency.", "Write .png or .webp instead."
        )
    width, height = round(photo.width * scale), round(photo.height * scale)
    if max(width, height) > LONGEST.get(kind, 2**31 - 1):
        raise OutputError(f"{path} cannot hold {width} x {height} pixels.", "Write .png or .tif instead.")


def _options(photo: Photo, kind: str) -> dict[str, Any]:
    """What Pillow is told for a format."""
    options: dict[str, Any] = dict(_ENCODING[kind])
    if exif := tidy_exif(photo, _JPEG_SEGMENT if kind == "jpg" else None):
        options["exif"] = exif
    if dpi := photo.metadata.get("dpi"):
        options["dpi"] = dpi
    if icc := photo.metadata.get("icc"):
        options["icc_profile"] = icc
    xmp = tidy_xmp(photo)
    if kind == "png" and xmp:
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
        options["pnginfo"] = texts
    elif xmp and len(xmp) < _JPEG_SEGMENT:
        options["xmp"] = xmp
    return options


def write_photo(photo: Photo, path: Path, force: bool = False) -> None:
    """Encode a photo and put it in its place atomically.

    Args:
        photo: the photo with the metadata it was read with.
        path: its ending says the format.
        force: overwrite.

    Raises:
        OutputError: if the format cannot hold it, or it cannot be written.
    """
    check_format(photo, path)
    kind = written_format(path)
    with publish(path, force) as temporary:
        deep = photo.metadata.get("bits") == 16 and kind in DEEP
        if kind == "tif":
            samples = _to_samples(photo) if deep else np.asarray(to_image(photo))
            tiff.write_samples(samples if samples.ndim == 3 else samples[..., None], temporary, photo)
            return
        if deep:
            _write_deep_png(photo, temporary)
            return
        image, options = to_image(photo), _options(photo, kind)
        if kind == "jpg" and (iptc := photo.metadata.get("iptc")):
            encoded = io.BytesIO()
            image.save(encoded, "JPEG", **options)
            temporary.write_bytes(with_iptc(encoded.getvalue(), iptc))
        else:
            image.save(temporary, **options)


def _write_deep_png(photo: Photo, path: Path) -> None:
    """Sixteen bits per channel, by our own writer."""
    exif = tidy_exif(photo)
    deep_png.write_samples(
        _to_samples(photo),
        path,
        exif.removeprefix(b"Exif\0\0") if exif else None,
        photo.metadata.get("dpi"),
        photo.metadata.get("icc"),
        tidy_xmp(photo),
    )
