"""Where pixels come from: a camera's are soft, sharpened and clean; those of reduced pictures fine; raw ones noisy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from ssr_cli import weights
from ssr_cli.diffusion.gauss import gaussian, reach_of
from ssr_cli.errors import UsageError
from ssr_cli.frames import Photo
from ssr_cli.image.reading import read_photo
from ssr_cli.physics.source import coloured_noise, fineness, processed_by_camera
from ssr_cli.pipeline import analyse, upscale
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import Models

SAMPLE = Path(weights.__file__).parent / "assets" / "sample.png"


def _scene(seed: int, side: int = 512) -> torch.Tensor:
    """Edges of all sizes and directions, (3, side, side): overlapping discs of random colours."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    picture = torch.full((3, side, side), 0.5)
    for _ in range(120):
        cy, cx, r = (torch.rand(3, generator=generator) * torch.tensor([side, side, side / 6])).tolist()
        colour = 0.1 + 0.8 * torch.rand(3, generator=generator)
        picture = torch.where(((y - cy) ** 2 + (x - cx) ** 2 < (r + 3) ** 2)[None], colour[:, None, None], picture)
    return picture


def _blurred(rgb: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian blur of (3, h, w)."""
    return gaussian(F.pad(rgb[None], (reach_of(sigma),) * 4, mode="replicate"), sigma)[0]


def _camera_pixels(seed: int) -> torch.Tensor:
    """Soft by 0.9 px of the photo, then sharpened with amount 1 and sigma 1.2 px."""
    soft = F.avg_pool2d(_blurred(_scene(seed), 3.6), 4)
    return (soft + (soft - _blurred(soft, 1.2))).clamp(0, 1)


@pytest.mark.parametrize("seed", range(4))
def test_a_cameras_pixels_are_known(seed: int) -> None:
    assert processed_by_camera(_camera_pixels(seed)) > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_fine_pixels_are_doubtful_and_no_more_for_they_may_have_been_sharpened(seed: int) -> None:
    reduced = F.avg_pool2d(_scene(seed), 4)
    assert processed_by_camera(reduced) == pytest.approx(0.7)
    assert fineness(reduced) > fineness(_camera_pixels(seed)) + 0.1


@pytest.mark.parametrize("sigma", [0.3, 2.0, 5.0])
def test_noise_that_channels_do_not_share_is_measured_and_shared_noise_is_not(sigma: float) -> None:
    generator = torch.Generator().manual_seed(1)
    photo = 0.2 + 0.6 * _camera_pixels(2)
    noise = sigma / 255 * torch.randn(photo.shape, generator=generator)
    assert coloured_noise(photo + noise) == pytest.approx(sigma / 255, rel=0.15, abs=0.15 / 255)
    assert coloured_noise(photo + noise[:1]) < 0.2 / 255


def test_raw_noise_says_that_no_camera_processed_it() -> None:
    photo = _camera_pixels(3)
    noisy = photo + 2 / 255 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    assert processed_by_camera(noisy) < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (15, 15)])
def test_of_tiny_photos_nothing_is_said(shape: tuple[int, int]) -> None:
    assert processed_by_camera(torch.rand(3, *shape)) == 0.5


def test_flat_photos_are_no_trouble() -> None:
    assert 0 <= processed_by_camera(torch.zeros(3, 64, 64)) <= 1


def test_what_is_said_counts_and_reaches_the_result(tiny_models: Models) -> None:
    photo = Photo(F.avg_pool2d(_scene(5), 4))
    told = {s: analyse(photo, tiny_models, UpscaleOptions(source=s)).rounds[-1] for s in ("auto", "camera", "reduced")}
    assert (told["camera"].processed, told["reduced"].processed) == (1.0, 0.0)
    assert told["auto"].processed == pytest.approx(0.7)
    assert not torch.equal(told["camera"].field.weights, told["reduced"].field.weights)
    results = [upscale(photo, tiny_models, UpscaleOptions(source=s)).photo.rgb for s in ("camera", "reduced")]
    assert not torch.equal(*results)


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(UsageError, match="source"):
        UpscaleOptions(source="phone")


def test_the_sample_is_doubtful_by_its_fine_detail_and_a_little_more_by_its_noise() -> None:
    assert 0.5 < processed_by_camera(read_photo(SAMPLE).rgb) < 0.7
