"""Reading photos: upright, all bits, with what they carry; everything not supported is refused in a sentence."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from ssr_cli.errors import InputError
from ssr_cli.frames import Photo
from ssr_cli.image import deep as deep_png
from ssr_cli.image import heif, jxl, tiff
from ssr_cli.image.formats import JXL, RAW, READ, extra_of, load_extra
from ssr_cli.image.jpeg_rows import check_rows
from ssr_cli.image.lengths import check_length
from ssr_cli.image.metadata import collect, collect_tags, has_thumbnail, thumbnail_of
from ssr_cli.settings import MAX_PIXELS

_ORIENTATION = 0x0112
#: Rows that become floats at a time.
_ROWS = 256
#: Pillow's modes that are read as they are or turned into one that is.
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read_photo(path: Path, max_pixels: int = MAX_PIXELS, first_frame: bool = False) -> Photo:
    """Decode a photo, upright.

    Pixel values are kept as they are stored and the colour profile with them, for a trip through sRGB would clip what a
    wide gamut holds; only CMYK is converted, through its profile, and that is said.

    Args:
        path: JPEG, PNG, WebP, BMP, TIFF, AVIF or GIF with 8 bits per channel, PNG and TIFF also with 16; grey, RGB,
            palette or CMYK, with or without alpha; HEIC (8 to 12 bits), JPEG XL (8 to 16) and camera RAW where
            their extra is installed.
        max_pixels: refuse more.
        first_frame: read the first frame of what is animated or has several pages instead of refusing it.

    Returns:
        The photo; its metadata holds "exif", "xmp", "iptc", "icc", "dpi", "alpha" (h, w), "grey", "bits" (16) and
        "notes" where there are any.

    Raises:
        InputError: if it is missing, damaged, too large or of a kind not supported.
    """
    _find(path)
    try:
        with warnings.catch_warnings(), _pillow_limit_lifted():
            warnings.simplefilter("ignore")
            return _read(path, max_pixels, first_frame)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a photo ssr can read.", "Use JPEG, PNG, WebP, BMP, TIFF or AVIF.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read.", "Check its permissions.") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        RuntimeError,
        MemoryError,
        zlib.error,
    ) as error:
        # Decoders report damage with whatever exception they stumbled over.
        raise InputError(f"{path} is damaged or incomplete.", "Copy the photo again from its source.") from error


def _read(path: Path, max_pixels: int, first_frame: bool) -> Photo:
    """`read_photo`, where damage is whatever exception a decoder stumbles over."""
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty.", "Copy the photo again from its source.")
    if (extra := extra_of(path)) is not None:
        load_extra(path, extra)
    if extra is RAW:
        return _develop(path, max_pixels)
    if extra is JXL and jxl.is_jxl(path):
        return _read_jxl(path, max_pixels)
    if (page := tiff.look(path)) is not None:
        _refuse_extent(path, (page.width, page.height), max_pixels, page.pages, first_frame)
        if not page.whole:
            raise ValueError("pieces are missing")
        if page.deep:
            return _decode_deep_tiff(path, page)
    # as a file: a grey TIFF that Pillow maps into memory by its name is not stood upright
    with path.open("rb") as file, Image.open(file) as image:
        _refuse(path, image, max_pixels, first_frame)
        if image.format == "PNG":
            check_length(path)
        if (bits := _bits(path, image)) > 8:
            return _decode_deep(path, image, bits)
        image.load()
        if image.format in ("JPEG", "MPO"):
            check_rows(path, image)
        photo = _decode(image)
    return photo if page is None else replace(photo, metadata=photo.metadata | page.carried)


def _find(path: Path) -> None:
    """A file must be there.

    Raises:
        InputError: if it is not, or is a folder.
    """
    try:
        folder, there = path.is_dir(), path.exists()
    except OSError as error:
        raise InputError(f"{path} cannot be looked for: {error.strerror}.", "Check the path.") from error
    if folder:
        raise InputError(f"{path} is a folder.", "Use ssr batch for folders.")
    if not there:
        raise InputError(f"{path} does not exist.", "Check the path.")


@contextmanager
def _pillow_limit_lifted() -> Iterator[None]:
    """Without Pillow's own limit of pixels: ours is checked as soon as a header was read, and can be raised."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _refuse(path: Path, image: ImageFile.ImageFile, max_pixels: int, first_frame: bool) -> None:
    """What is not supported is refused, never silently mangled."""
    # an MPO's further pictures are previews and depth of the same photo
    pages = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    _refuse_extent(path, (image.width, image.height), max_pixels, pages, first_frame)
    if image.format not in READ:
        raise InputError(f"{path} is a {image.format} file, which is not supported.", "Save it as PNG first.")
    deep = _bits(path, image) > 8 or image.mode in _DEEP_MODES
    if deep and image.format != "HEIF" and not (image.format == "PNG" and deep_png.can_read(image)):
        raise _too_deep(path)
    if not deep and image.mode not in _MODES:
        raise InputError(f"{path} has {image.mode} colours, which are not supported.", "Save it as RGB first.")


def _too_deep(path: Path) -> InputError:
    """Samples of a kind that is not read."""
    return InputError(
        f"{path} has more than 8 bits per channel in a form that is not supported.",
        "Save it as PNG or TIFF with 16 bits, in grey or RGB, with or without alpha.",
    )


def _refuse_extent(path: Path, size: tuple[int, int], max_pixels: int, pages: int, first_frame: bool) -> None:
    """Too many pixels, or more than one picture."""
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"{path} has {size[0]} x {size[1]} pixels, more than the {max_pixels} allowed.",
            "Allow more with --max-pixels.",
        )
    if pages > 1 and not first_frame:
        raise InputError(f"{path} is animated or has several pages.", "Take the first one with --first-frame.")


def _bits(path: Path, image: ImageFile.ImageFile) -> int:
    """Bits per channel: Pillow's mode does not tell."""
    if image.format == "PNG":
        return deep_png.bit_depth(path)
    if image.format == "HEIF":
        return heif.bit_depth(image)
    bits = image.tag_v2.get(258, 8) if image.format == "TIFF" else 8  # type: ignore[attr-defined]
    return int(max(bits) if isinstance(bits, tuple) else bits)


def _from_cmyk(image: Image.Image, icc: bytes | None, notes: list[str]) -> Image.Image:
    """CMYK in sRGB, through its profile where there is a usable one."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                notes.append("CMYK was converted through its profile to sRGB")
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append("the embedded colour profile is damaged and was ignored")
    notes.append("CMYK without a usable profile was converted by the plain formula")
    return image.convert("RGB")


def _sound(icc: bytes) -> bool:
    """Whether a colour profile can be parsed."""
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(icc))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return False
    return True


def _decode(image: Image.Image, stands: bool = False) -> Photo:
    """Orientation (unless it stands upright already), colour, alpha and pixels."""
    notes: list[str] = []
    metadata: dict[str, Any] = {"notes": notes, **collect(image)}
    upright = image if stands else ImageOps.exif_transpose(image)
    if upright.mode == "CMYK":
        upright = _from_cmyk(upright, metadata.pop("icc", None), notes)
    elif "icc" in metadata and not _sound(metadata["icc"]):
        del metadata["icc"]
        notes.append("the embedded colour profile is damaged and was ignored")
    if has_thumbnail(image):
        metadata["thumbnail"] = thumbnail_of(upright)
    if upright.mode == "PA" or "transparency" in upright.info:
        upright = upright.convert("RGBA")
    elif upright.mode == "P":
        upright = upright.convert("RGB")
    if upright.mode in ("LA", "La", "RGBA", "RGBa"):
        upright = upright.convert("RGBA" if upright.mode.startswith("RGB") else "LA")
        metadata["alpha"] = torch.from_numpy(np.asarray(upright.getchannel("A"), dtype=np.float32) / 255)
        upright = upright.convert("RGB" if upright.mode == "RGBA" else "L")
    metadata["grey"] = upright.mode in ("1", "L")
    return Photo(_planes(np.asarray(upright.convert("L" if metadata["grey"] else "RGB")), 255), metadata)


def _planes(samples: npt.NDArray[Any], largest: int) -> torch.Tensor:
    """Samples (h, w) or (h, w, c) as three planes of float32 in 0..1, some rows at a time: there is no other copy."""
    height, width = samples.shape[:2]
    out = np.empty((3, height, width), np.float32)
    for top in range(0, height, _ROWS):
        rows = samples[top : top + _ROWS]
        rows = rows[..., None] if rows.ndim == 2 else rows
        np.divide(np.moveaxis(rows[..., :3], -1, 0), np.float32(largest), out=out[:, top : top + _ROWS])
    return torch.from_numpy(out)


def _decode_deep(path: Path, image: ImageFile.ImageFile, bits: int) -> Photo:
    """A PNG with 16 bits per channel, or a HEIC with 10 or 12."""
    samples = heif.read_samples(path, bits) if image.format == "HEIF" else deep_png.read_samples(path)
    return _deep_photo(samples, collect(image))


def _decode_deep_tiff(path: Path, page: tiff.Page) -> Photo:
    """A TIFF with 16 bits per channel."""
    tags = tiff.tags(path)
    samples = tiff.read_samples(path, int(tags.get(_ORIENTATION, 1)))
    return _deep_photo(samples, collect_tags(tags) | page.carried)


def _deep_photo(samples: npt.NDArray[Any], carried: dict[str, Any]) -> Photo:
    """A photo of 16-bit samples (h, w, c)."""
    metadata: dict[str, Any] = {"notes": [], "bits": 16, **carried}
    channels = samples.shape[-1]
    metadata["grey"] = channels < 3
    if channels in (2, 4):
        metadata["alpha"] = torch.from_numpy(samples[..., -1].astype(np.float32) / 65_535)
    return Photo(_planes(samples[..., :1] if channels < 3 else samples, 65_535), metadata)


def _read_jxl(path: Path, max_pixels: int) -> Photo:
    """A JPEG XL with 8 to 16 bits per channel; nothing is decoded before its header was looked at."""
    data = path.read_bytes()
    header = jxl.header(data)
    _refuse_extent(path, header.size, max_pixels, 1, False)
    if header.animated:
        raise InputError(f"{path} is animated, which is not supported.", "Save its first frame as PNG.")
    if header.bits > 16:
        raise _too_deep(path)
    samples, info = jxl.read(data)
    image = jxl.picture(samples, info)
    return _deep_photo(samples, collect(image)) if header.bits > 8 else _decode(image, stands=True)


def _develop(path: Path, max_pixels: int) -> Photo:
    """A camera's RAW, developed with its own white balance into 16-bit sRGB."""
    import rawpy

    try:
        with rawpy.imread(str(path)) as raw:
            if raw.sizes.width * raw.sizes.height > max_pixels:
                raise InputError(
                    f"{path} has more pixels than the {max_pixels} allowed.", "Allow more with --max-pixels."
                )
            pixels = raw.postprocess(use_camera_wb=True, output_bps=16)
    except rawpy.LibRawError as error:
        raise InputError(f"{path} is not a RAW file that can be developed.", "Develop it to TIFF first.") from error
    notes = ["RAW was developed with the camera's white balance"]
    return Photo(_planes(pixels, 65_535), {"notes": notes, "bits": 16, "grey": False})
