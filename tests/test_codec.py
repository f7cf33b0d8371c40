"""Decoding and encoding: modes, orientation, alpha, EXIF, profiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from ssr_cli.errors import InputError, OutputError
from ssr_cli.image.color import linear_to_srgb, resize, srgb_to_linear
from ssr_cli.image.reading import read_photo
from ssr_cli.image.writing import to_image, write_photo


def _gradient(mode: str) -> Image.Image:
    y, x = np.mgrid[0:20, 0:30]
    rgb = np.stack([x * 8, y * 12, (x + y) * 5], -1).astype(np.uint8)
    return Image.fromarray(rgb).convert(mode)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("RGB", "a.png"),
        ("L", "a.png"),
        ("P", "a.png"),
        ("1", "a.png"),
        ("RGB", "a.jpg"),
        ("L", "a.jpg"),
        ("CMYK", "a.jpg"),
    ]
    + [("RGB", "a.webp"), ("RGB", "a.bmp"), ("RGB", "a.tif"), ("CMYK", "a.tif"), ("RGBA", "a.png"), ("LA", "a.png")],
)
def test_modes(mode: str, name: str, tmp_path: Path) -> None:
    image = _gradient(mode)
    image.save(tmp_path / name)
    photo = read_photo(tmp_path / name)
    assert photo.rgb.shape == (3, 20, 30)
    expected = torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255).permute(2, 0, 1)
    assert float((photo.rgb - expected).abs().mean()) < 6 / 255
    assert photo.metadata["grey"] == (mode in ("L", "1", "LA"))
    assert ("alpha" in photo.metadata) == (mode in ("RGBA", "LA"))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_png_round_trip_is_exact(mode: str, tmp_path: Path) -> None:
    _gradient(mode).save(tmp_path / "a.png")
    write_photo(read_photo(tmp_path / "a.png"), tmp_path / "b.png")
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert b.mode == mode
        assert np.array_equal(np.asarray(a), np.asarray(b))


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = _gradient("P")
    image.save(tmp_path / "a.png", transparency=0)
    photo = read_photo(tmp_path / "a.png")
    assert float(photo.metadata["alpha"].min()) == 0.0
    assert to_image(photo).mode == "RGBA"
    with pytest.raises(OutputError, match="transparency"):
        write_photo(photo, tmp_path / "b.jpg")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_reset(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker"
    _gradient("RGB").save(tmp_path / "a.png", exif=exif)
    photo = read_photo(tmp_path / "a.png")
    assert (photo.width, photo.height) == ((20, 30) if orientation >= 5 else (30, 20))
    write_photo(photo, tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as out:
        assert out.size == (photo.width, photo.height)
        assert out.getexif().get(0x0112, 1) == 1
        assert out.getexif()[0x010F] == "Maker"


def test_profiles_and_values_are_kept_and_broken_profiles_said(tmp_path: Path) -> None:
    """A trip through sRGB would clip what a wide gamut holds."""
    image = _gradient("RGB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "a.png", icc_profile=profile)
    photo = read_photo(tmp_path / "a.png")
    assert photo.metadata["notes"] == []
    assert torch.equal((photo.rgb.permute(1, 2, 0) * 255).round().byte(), torch.from_numpy(np.array(image)))
    image.save(tmp_path / "broken.png", icc_profile=b"not a profile at all")
    broken = read_photo(tmp_path / "broken.png")
    assert "damaged" in broken.metadata["notes"][0]
    assert "icc" not in broken.metadata


def test_alpha_follows_the_size(tmp_path: Path) -> None:
    _gradient("RGBA").save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    larger = type(photo)(resize(photo.rgb, (80, 120)).clamp(0, 1), photo.metadata)
    assert to_image(larger).size == (120, 80)
    assert to_image(larger).mode == "RGBA"


def test_too_many_pixels(tmp_path: Path) -> None:
    _gradient("RGB").save(tmp_path / "a.png")
    with pytest.raises(InputError, match="more than the 100"):
        read_photo(tmp_path / "a.png", max_pixels=100)


def test_too_wide_for_jpeg(tmp_path: Path) -> None:
    from ssr_cli.frames import Photo

    with pytest.raises(OutputError, match="cannot hold"):
        write_photo(Photo(torch.zeros(3, 1, 70_000)), tmp_path / "a.jpg")


@pytest.mark.parametrize("seed", range(30))
def test_mutated_files_are_refused_or_read(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    name = ["a.png", "a.jpg", "a.webp", "a.tif"][seed % 4]
    _gradient("RGB").save(tmp_path / name)
    data = bytearray((tmp_path / name).read_bytes())
    for _ in range(int(rng.integers(1, 12))):
        data[int(rng.integers(len(data)))] = int(rng.integers(256))
    (tmp_path / name).write_bytes(data[: int(rng.integers(len(data) // 2, len(data) + 1))])
    try:
        photo = read_photo(tmp_path / name)
    except InputError as error:
        message = error.message
    else:
        assert photo.rgb.isfinite().all()
        return
    assert name in message


def test_transfer_functions_are_inverse_and_standard() -> None:
    x = torch.linspace(0, 1, 1001)
    assert torch.allclose(linear_to_srgb(srgb_to_linear(x)), x, atol=1e-5)
    assert float(srgb_to_linear(torch.tensor(0.5))) == pytest.approx(0.21404, abs=1e-5)
    x.requires_grad_()
    linear_to_srgb(srgb_to_linear(x)).sum().backward()
    assert bool(x.grad.isfinite().all())


def test_resize_is_aligned_on_half_pixels() -> None:
    ramp = torch.arange(16.0).expand(1, 4, 16)
    small = resize(ramp, (2, 8))
    assert torch.allclose(small[0, 0, 2:-2], (2 * torch.arange(8.0) + 0.5)[2:-2], atol=1e-4)
