"""Sixteen bits in are sixteen bits out, with profile, EXIF and resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssr_cli.frames import Photo
from ssr_cli.image.deep import bit_depth, read_samples
from ssr_cli.image.png import Carried, write_samples
from ssr_cli.image.reading import read_photo
from ssr_cli.image.writing import write_photo


def _samples(channels: int, size: tuple[int, int] = (70, 33)) -> np.ndarray:
    return np.random.default_rng(channels).integers(0, 65_536, (*size, channels), dtype=np.uint16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_bit_survives(channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    samples = _samples(channels)
    write_samples(samples, path)
    assert bit_depth(path) == 16
    assert np.array_equal(read_samples(path), samples)
    photo = read_photo(path)
    assert photo.metadata["bits"] == 16
    assert photo.metadata["grey"] == (channels < 3)
    assert ("alpha" in photo.metadata) == (channels in (2, 4))
    write_photo(photo, tmp_path / "b.png")
    assert np.array_equal(read_samples(tmp_path / "b.png"), samples)


def test_what_others_wrote_is_read(tmp_path: Path) -> None:
    """Pillow writes 16-bit grey itself: an independent writer of the same values."""
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.array_equal(read_samples(tmp_path / "a.png")[..., 0], values)
    with Image.open(tmp_path / "a.png") as image:
        write_samples(np.asarray(image)[..., None], tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert np.array_equal(np.asarray(image), values)


def test_profile_exif_and_resolution_stay(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    write_samples(_samples(3, (8, 12)), tmp_path / "a.png", Carried(exif.tobytes()[6:], (300.0, 150.0), b"a profile"))
    photo = read_photo(tmp_path / "a.png")
    assert photo.rgb.shape == (3, 12, 8)  # turned upright
    write_photo(photo, tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert image.info["icc_profile"] == b"a profile"
        assert image.getexif()[0x010F] == "maker"
        assert 0x0112 not in image.getexif()
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)
    write_photo(photo, tmp_path / "b.jpg")
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["icc_profile"] == b"a profile"


def test_alpha_grows_with_the_photo(tmp_path: Path) -> None:
    write_samples(_samples(4, (8, 12)), tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png")
    write_photo(Photo(torch.rand(3, 32, 48), photo.metadata), tmp_path / "b.png")
    assert read_samples(tmp_path / "b.png").shape == (32, 48, 4)
