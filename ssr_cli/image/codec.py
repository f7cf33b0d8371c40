"""Reading and writing photos: EXIF, alpha and 16-bit PNG kept, everything not supported refused in a sentence."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

from ssr_cli.errors import InputError, OutputError
from ssr_cli.frames import Photo
from ssr_cli.image import deep as deep_png
from ssr_cli.image.color import resize
from ssr_cli.paths import publish

_ORIENTATION = 0x0112
#: EXIF tags that state the size or hold a thumbnail; Pillow rewrites what matters.
_STALE = (0x0100, 0x0101, 0x0201, 0x0202)
_EXIF_IFD, _EXIF_WIDTH, _EXIF_HEIGHT = 0x8769, 0xA002, 0xA003
#: A photo may have this many pixels unless more are allowed.
MAX_PIXELS = 100_000_000
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read_photo(path: Path, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo, upright, in sRGB.

    Args:
        path: JPEG, PNG, WebP, BMP or TIFF with 8 bits per channel, PNG also with 16; grey, RGB, palette or CMYK, with
            or without alpha.
        max_pixels: refuse more.

    Returns:
        The photo; its metadata holds "exif", "alpha" (h, w), "grey", "dpi", "bits" (16), "icc" and "notes" where there
        are any. Eight-bit photos are converted to sRGB; deeper ones keep their values and their profile.

    Raises:
        InputError: if it is missing, damaged, too large or of a kind not supported.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder.", "Use ssr batch for folders.")
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check the path.")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty.", "Copy the photo again from its source.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                _refuse(path, image, max_pixels)
                if _bits(path, image) == 16:
                    return _decode_deep(path, image)
                image.load()
                return _decode(image)
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a photo ssr can read.", "Use JPEG, PNG, WebP, BMP or TIFF.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} has more pixels than allowed.", "Make it smaller first.") from error
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
        MemoryError,
    ) as error:
        # Decoders report damage with whatever exception they stumbled over.
        raise InputError(f"{path} is damaged or incomplete.", "Copy the photo again from its source.") from error


def _refuse(path: Path, image: ImageFile.ImageFile, max_pixels: int) -> None:
    """What is not supported is refused, never silently mangled."""
    if image.width * image.height > max_pixels:
        raise InputError(
            f"{path} has {image.width} x {image.height} pixels, more than the {max_pixels} allowed.",
            "Make it smaller first.",
        )
    if getattr(image, "n_frames", 1) > 1:
        raise InputError(f"{path} is animated or has several pages.", "Save the frame you want as PNG first.")
    if image.format not in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "MPO"):
        raise InputError(f"{path} is a {image.format} file, which is not supported yet.", "Save it as PNG first.")
    deep = _bits(path, image) > 8 or image.mode in _DEEP_MODES
    if deep and not (image.format == "PNG" and deep_png.can_read(image)):
        raise InputError(
            f"{path} has 16 or more bits per channel in a form that is not supported yet.",
            "Save it as PNG in grey, RGB or RGBA, or with 8 bits per channel.",
        )


def _bits(path: Path, image: ImageFile.ImageFile) -> int:
    """Bits per channel: Pillow's mode does not tell."""
    if image.format == "PNG":
        return deep_png.bit_depth(path)
    bits = image.tag_v2.get(258, 8) if image.format == "TIFF" else 8  # type: ignore[attr-defined]
    return int(max(bits) if isinstance(bits, tuple) else bits)


def _to_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert colours through the embedded profile; a broken profile is ignored and said."""
    icc = image.info.get("icc_profile")
    if icc and image.mode in ("RGB", "CMYK"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            if image.mode == "RGB" and "srgb" in (ImageCms.getProfileDescription(profile) or "").lower():
                return image
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                notes.append("colours were converted from the embedded profile to sRGB")
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            notes.append("the embedded colour profile is damaged and was ignored")
    if image.mode == "CMYK":
        notes.append("CMYK without a usable profile was converted by the plain formula")
    return image


def _decode(image: Image.Image) -> Photo:
    """Orientation, colour, alpha and pixels."""
    notes: list[str] = []
    metadata: dict[str, Any] = {"notes": notes}
    exif = image.getexif()
    if dpi := image.info.get("dpi"):
        metadata["dpi"] = tuple(float(d) for d in dpi)
    icc = image.info.get("icc_profile")
    upright = ImageOps.exif_transpose(image)
    if icc:
        upright.info["icc_profile"] = icc
    if len(exif):
        metadata["exif"] = exif
    if upright.mode == "PA" or "transparency" in upright.info:
        upright = upright.convert("RGBA")
    elif upright.mode == "P":
        upright = upright.convert("RGB")
    if upright.mode in ("LA", "La", "RGBA", "RGBa"):
        upright = upright.convert("RGBA" if upright.mode.startswith("RGB") else "LA")
        metadata["alpha"] = torch.from_numpy(np.asarray(upright.getchannel("A"), dtype=np.float32) / 255)
        upright = upright.convert("RGB" if upright.mode == "RGBA" else "L")
        if icc:
            upright.info["icc_profile"] = icc
    metadata["grey"] = upright.mode in ("1", "L")
    rgb = _to_srgb(upright, notes).convert("RGB")
    pixels = np.asarray(rgb, dtype=np.float32) / 255
    return Photo(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), metadata)


def _decode_deep(path: Path, image: ImageFile.ImageFile) -> Photo:
    """A 16-bit PNG with its own colours."""
    metadata: dict[str, Any] = {"notes": [], "bits": 16}
    exif = image.getexif()
    if len(exif):
        metadata["exif"] = exif
    if dpi := image.info.get("dpi"):
        metadata["dpi"] = tuple(float(d) for d in dpi)
    if icc := image.info.get("icc_profile"):
        metadata["icc"] = icc
    samples = deep_png.read_samples(path)
    planes = torch.from_numpy(samples.astype(np.float32)).permute(2, 0, 1) / 65_535
    metadata["grey"] = len(planes) == 1
    if len(planes) == 4:
        metadata["alpha"] = planes[3].contiguous()
    return Photo(planes[:3].expand(3, -1, -1).contiguous(), metadata)


def _tidy_exif(photo: Photo) -> bytes | None:
    """EXIF for the result: upright, with its size."""
    exif = photo.metadata.get("exif")
    if exif is None:
        return None
    out = Image.Exif()
    out.load(exif.tobytes())
    for tag in (_ORIENTATION, *_STALE):
        if tag in out:
            del out[tag]
    inner = out.get_ifd(_EXIF_IFD)
    if _EXIF_WIDTH in inner or _EXIF_HEIGHT in inner:
        inner[_EXIF_WIDTH], inner[_EXIF_HEIGHT] = photo.width, photo.height
    return out.tobytes()


def to_image(photo: Photo) -> Image.Image:
    """The photo as an 8-bit picture: grey stays grey, alpha is brought to the photo's size and attached."""
    pixels = (photo.rgb.clamp(0, 1) * 255).round().byte()
    if photo.metadata.get("grey"):
        image = Image.fromarray((photo.rgb.mean(0).clamp(0, 1) * 255).round().byte().numpy())
    else:
        image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    alpha = photo.metadata.get("alpha")
    if alpha is not None:
        full = resize(alpha[None], (photo.height, photo.width))[0].clamp(0, 1)
        image.putalpha(Image.fromarray((full * 255).round().byte().numpy()))
    return image


def _to_samples(photo: Photo) -> deep_png.Samples:
    """The photo as 16-bit samples (h, w, c)."""
    planes = photo.rgb.mean(0, keepdim=True) if photo.metadata.get("grey") else photo.rgb
    alpha = photo.metadata.get("alpha")
    if alpha is not None:
        planes = torch.cat([planes, resize(alpha[None], (photo.height, photo.width))])
    pixels = (planes.clamp(0, 1).permute(1, 2, 0) * 65_535).round()
    return pixels.numpy().astype(np.uint16)


def check_format(photo: Photo, path: Path) -> None:
    """Refuse a result that the format cannot hold, before the work.

    Raises:
        OutputError: for alpha in a JPEG.
    """
    if path.suffix.lower() in (".jpg", ".jpeg") and "alpha" in photo.metadata:
        raise OutputError(
            f"{path} is a JPEG, which cannot hold the photo's transparency.", "Write .png or .webp instead."
        )


def write_photo(photo: Photo, path: Path, force: bool = False) -> None:
    """Encode a photo and put it in its place atomically.

    Args:
        photo: the photo with the metadata it was read with.
        path: ends in .png, .jpg, .jpeg or .webp.
        force: overwrite.

    Raises:
        OutputError: if the format cannot hold it, or it cannot be written.
    """
    check_format(photo, path)
    suffix = path.suffix.lower()
    limit = 65_535 if suffix in (".jpg", ".jpeg") else 16_383 if suffix == ".webp" else 2**31 - 1
    if max(photo.width, photo.height) > limit:
        raise OutputError(f"{path} cannot hold {photo.width} x {photo.height} pixels.", "Write .png instead.")
    options: dict[str, Any] = {".png": {"compress_level": 4}, ".webp": {"quality": 95}}.get(
        suffix, {"quality": 95, "subsampling": 0}
    )
    if exif := _tidy_exif(photo):
        options["exif"] = exif
    if dpi := photo.metadata.get("dpi"):
        options["dpi"] = dpi
    if icc := photo.metadata.get("icc"):
        options["icc_profile"] = icc
    with publish(path, force) as temporary:
        if photo.metadata.get("bits") == 16 and suffix == ".png":
            tags = exif.removeprefix(b"Exif\0\0") if exif else None
            deep_png.write_samples(_to_samples(photo), temporary, tags, dpi, icc)
        else:
            to_image(photo).save(temporary, **options)
