"""Colours: the result's mean values are the photo's, channel by channel, whatever the models make of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ssr_cli import weights
from ssr_cli.diffusion.colour import dimming, keep_colour
from ssr_cli.frames import Photo
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.image.reading import read_photo
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import with_sensor_box
from ssr_cli.pipeline import upscale
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import load_models
from tests.conftest import scene_of_discs

SAMPLE = Path(weights.__file__).parent / "assets" / "sample.png"


def test_a_cast_that_differs_from_place_to_place_comes_back() -> None:
    torch.manual_seed(0)
    y = 0.3 + 0.4 * torch.rand(1, 3, 40, 56)
    image = torch.nn.functional.interpolate(y, scale_factor=4, mode="nearest")
    ramp = torch.linspace(-0.1, 0.1, 224).view(1, 1, 1, -1) * torch.tensor([1.0, 0.5, -1.0]).view(1, 3, 1, 1)
    back = keep_colour(image + ramp, y, 1.0)
    assert float((back - image)[..., 64:-64].abs().max()) < 1 / 255
    assert float((back - image).abs().mean()) < 1.2 / 255
    assert torch.allclose(keep_colour(image, y, 1.0), image, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (24, 24), (33, 50)])
def test_the_mean_of_all_of_it_is_kept_exactly(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    y = 0.4 + 0.2 * torch.rand(1, 3, *shape)
    image = 0.4 + 0.2 * torch.rand(1, 3, 4 * shape[0], 4 * shape[1]).cumsum(3).frac()
    assert torch.allclose(keep_colour(image, y, 1.0).mean((2, 3)), y.mean((2, 3)), atol=1e-5)


def test_fine_detail_stays() -> None:
    y = torch.full((1, 3, 32, 32), 0.5)
    detail = 0.2 * torch.cos(torch.arange(128) * torch.pi / 2).view(1, 1, 1, -1).expand(1, 3, 128, -1)
    kept = keep_colour(y.repeat_interleave(4, 2).repeat_interleave(4, 3) + detail, y, 1.0)
    assert float((kept - 0.5 - detail).abs().max()) < 0.1 / 255


def test_light_drawn_back_into_a_clipped_lamp_leaves_no_veil() -> None:
    photo = torch.full((1, 3, 48, 48), 0.05)
    photo[..., 20:26, 20:26] = 1.0
    photo[..., 18:28, 18:28] = torch.maximum(photo[..., 18:28, 18:28], torch.tensor(0.5))  # its glow
    image = torch.full((1, 3, 192, 192), 0.05)
    image[..., 80:104, 80:104] = 1.0  # no glow any more
    for processed in (1.0, 0.0, 0.4):
        assert float((keep_colour(image, photo, processed) - image).abs().max()) < 0.5 / 255
        dimmed = dimming(image, photo, torch.ones(1))
        assert float((keep_colour(image, photo, processed, dimmed) - image).abs().max()) < 0.5 / 255


def test_where_no_camera_processed_the_pixels_means_may_be_off_by_less_than_half_a_step() -> None:
    torch.manual_seed(2)
    y = 0.3 + 0.2 * torch.rand(1, 3, 40, 56)
    image = torch.nn.functional.interpolate(y, scale_factor=4, mode="nearest")
    near, far = image + 0.2 / 255, image - 3 / 255
    assert torch.allclose(keep_colour(near, y, 0.0), near, atol=1e-6)
    assert torch.allclose(keep_colour(near, y, 1.0), image, atol=1e-5)
    assert torch.allclose(keep_colour(far, y, 0.0), image - 0.35 / 255, atol=1e-5)
    assert torch.allclose(keep_colour(far, y, 0.5), image - 0.175 / 255, atol=1e-5)


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("consistency", ["off", "project"])
def test_a_photos_means_are_kept_by_the_bundled_weights(steps: int, consistency: str) -> None:
    models = load_models(weights.load_checkpoint("lite"), torch.device("cpu"))
    sample = read_photo(SAMPLE).rgb
    sharpened = (sample + 1.5 * (sample - torch.nn.functional.avg_pool2d(sample[None], 3, 1, 1)[0])).clamp(0, 1)
    for rgb in (sample[:, 20:92, 20:100], sharpened[:, 20:92, 20:100]):
        for source in ("camera", "reduced"):
            options = UpscaleOptions(steps=steps, consistency=consistency, source=source)
            result = upscale(Photo(rgb), models, options).photo.rgb
            shift = result.mean((1, 2)) - rgb.mean((1, 2))
            assert float(shift.max()) < 0.5 / 255
            # Of what nobody processed light was blurred, as far as can be seen, and light is kept.
            assert float(shift.min()) > (-0.5 if source == "camera" else -2.5) / 255


def test_means_are_darker_only_as_far_as_blurred_light_explains_it() -> None:
    torch.manual_seed(4)
    y = 0.3 + 0.4 * torch.rand(1, 3, 40, 56)
    mean = torch.nn.functional.interpolate(y, scale_factor=4, mode="nearest")
    linear, half, encoded = torch.ones(1), torch.full((1,), 0.5), torch.zeros(1)
    assert torch.allclose(dimming(mean - 4 / 255, y, linear), torch.full_like(y, -4 / 255), atol=1e-5)
    assert torch.allclose(dimming(mean - 40 / 255, y, half), torch.full_like(y, -8 / 255), atol=1e-5)
    for shift, light in ((4 / 255, linear), (-4 / 255, encoded)):
        assert torch.equal(dimming(mean + shift, y, light), torch.zeros_like(y))


def test_a_cast_of_a_sample_comes_back_to_what_the_mean_says() -> None:
    torch.manual_seed(5)
    y = 0.3 + 0.4 * torch.rand(1, 3, 40, 56)
    dark = torch.nn.functional.interpolate(y, scale_factor=4, mode="nearest") - 4 / 255
    dimmed = dimming(dark, y, torch.ones(1))
    for cast in (-5 / 255, 5 / 255):
        assert float((keep_colour(dark + cast, y, 0.0, dimmed) - dark).abs().max()) < 0.5 / 255


def test_what_blur_of_light_made_brighter_becomes_darker_again() -> None:
    """Grey between white and black is brighter as light than as a mean of encoded values; so is a blurred photo."""
    sharp = scene_of_discs(0, 384)
    kernel = with_sensor_box(shapes.gaussian(2.5, 2.5)[None], 4)[:, None]
    around = torch.nn.functional.pad(srgb_to_linear(sharp)[:, None], (12, 12, 12, 12), mode="replicate")
    clean = linear_to_srgb(torch.nn.functional.conv2d(around, kernel, stride=4)[:, 0].clamp(0, 1))
    photo = (clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 2 / 255).clamp(0, 1)
    models = load_models(weights.load_checkpoint("lite"), torch.device("cpu"))
    result = upscale(Photo(photo), models, UpscaleOptions(steps=0, source="reduced")).photo.rgb
    brighter = float(photo.mean() - sharp.mean())
    assert brighter > 2 / 255
    assert float(result.mean() - sharp.mean()) < brighter - 1 / 255
