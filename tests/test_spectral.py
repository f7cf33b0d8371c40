"""Blur widths by local spectra: they follow the blur, tell directions apart, and do not know of tiles."""

from __future__ import annotations

import math

import pytest
import torch

from ssr_cli.models.spectral import PLANES, spectral_cues
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import with_sensor_box
from ssr_cli.physics.noise import estimate_noise, estimate_noises
from ssr_cli.physics.operators import SpatiallyVariantBlur
from tests.conftest import tiny_suite

#: Planes that hold the mean over all directions and the first direction's, of the nearer neighbourhood.
_ALL, _FIRST = 0, 2


def _fractal(height: int, width: int, seed: int) -> torch.Tensor:
    """A grey picture (1, 3, H, W) whose power falls as natural pictures' does."""
    generator = torch.Generator().manual_seed(seed)
    f = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]).clamp_min(1 / height)
    plane = torch.fft.ifft2(torch.fft.fft2(torch.randn(height, width, generator=generator)) * f**-1.3).real
    return (0.5 + 0.12 * plane / plane.std()).clamp(0.02, 0.98).expand(1, 3, -1, -1)


def _photo(long: float, short: float, angle: float, seed: int, noise: float = 1 / 255) -> torch.Tensor:
    """A photo (1, 3, 96, 96) of it, blurred by one oriented Gaussian."""
    kernel = with_sensor_box(shapes.gaussian(long, short, angle)[None], 4)
    seen = SpatiallyVariantBlur(kernel, torch.ones(1, 1, 96, 96), 4).forward(_fractal(384, 384, seed))
    generator = torch.Generator().manual_seed(seed + 100)
    return seen + noise * torch.randn(seen.shape, generator=generator)


def _told(y: torch.Tensor) -> torch.Tensor:
    return spectral_cues(y, estimate_noises(y))[0, :, 24:-24, 24:-24].mean((1, 2))


@pytest.mark.parametrize("seed", range(3))
def test_wider_blur_is_told_as_wider(seed: int) -> None:
    told = [float(_told(_photo(s, s, 0.0, seed))[_ALL]) for s in (0.6, 1.4, 2.5, 4.0)]
    assert told == sorted(told)
    widths = [1.8 + 0.6 * t for t in told]
    assert widths[1] == pytest.approx(1.4, abs=0.5)
    assert widths[2] == pytest.approx(2.5, abs=0.7)


@pytest.mark.parametrize("degrees", [0, 60, 90, 120])
def test_the_direction_of_the_blur_is_told(degrees: int) -> None:
    """The widest of the six directions is the one that was blurred; how images are turned must not be mistaken."""
    yy, xx = torch.meshgrid(torch.arange(-20.0, 21), torch.arange(-20.0, 21), indexing="ij")
    kernel = shapes.gaussian(3.5, 1.0, math.radians(degrees), size=41)
    # by second moments, y up, whatever the convention of angles is
    moments = [(kernel * a * b).sum() for a, b in ((xx, xx), (-yy, -yy), (xx, -yy))]
    wanted = 0.5 * math.atan2(2 * float(moments[2]), float(moments[0] - moments[1])) % math.pi
    told = sum(_told(_photo(3.5, 1.0, math.radians(degrees), seed)) for seed in range(2))
    found = int(told[_FIRST : _FIRST + 6].argmax())
    assert found == round(wanted / (math.pi / 6)) % 6


def test_flat_and_black_pictures_give_numbers() -> None:
    for value in (0.0, 0.5, 1.0):
        y = torch.full((2, 3, 32, 40), value)
        told = spectral_cues(y, torch.zeros(2))
        assert bool(told.isfinite().all())
        assert float(told.abs().max()) < 15


@pytest.mark.parametrize(("height", "width"), [(4, 4), (16, 16), (20, 44), (48, 32)])
def test_every_size_is_answered(height: int, width: int) -> None:
    told = spectral_cues(torch.rand(1, 3, height, width), torch.tensor([0.01]))
    assert told.shape == (1, PLANES, height, width)


def test_a_part_of_a_photo_is_told_what_the_whole_is() -> None:
    y, noise = _photo(1.5, 1.5, 0.0, 5), torch.tensor([0.004])
    whole, part = spectral_cues(y, noise), spectral_cues(y[..., 8:88, 16:], noise)
    reach = 40
    assert torch.allclose(
        part[:2, :8, reach:-reach, reach:-reach], whole[:2, :8, 8:88, 16:][..., reach:-reach, reach:-reach], atol=1e-4
    )


def test_the_noise_of_a_batch_is_that_of_each_photo() -> None:
    y = torch.rand(3, 3, 40, 56)
    y[1] *= 0.1
    assert estimate_noises(y).tolist() == pytest.approx([estimate_noise(photo) for photo in y])
    assert estimate_noises(torch.rand(2, 3, 2, 9)).tolist() == [0.0, 0.0]


def test_a_cameras_pixels_are_not_judged_by_spectra() -> None:
    """What a camera does to pixels changes spectra as well, and the likelihoods know nothing of that."""
    torch.manual_seed(0)
    svkr = tiny_suite().svkr
    y, depth = torch.rand(1, 3, 48, 48), torch.full((1, 1, 48, 48), 0.5)
    with torch.no_grad():
        clean, noisy = (
            [svkr.begin(y, depth, torch.tensor([p]), torch.tensor([n])).features for p in (0.0, 0.5, 1.0)]
            for n in (0.002, 0.05)
        )
    apart = [float((a - b).abs().max()) for a, b in zip(clean, noisy, strict=True)]
    assert apart[0] > apart[1] > 1e-5
    assert apart[2] == 0
