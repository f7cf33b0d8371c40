"""Bokeh that is kept, and the split of a result into what the photo says and what was invented."""

from __future__ import annotations

import pytest
import torch

from ssr_cli.diffusion.focus import keep_focus, meant, told_by_depth
from ssr_cli.diffusion.invented import confidence, expected_error, split
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import with_sensor_box
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.settings import FOCUS


def _picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, height // 4, width // 4, generator=generator)
    fine = torch.rand(1, 3, height, width, generator=generator)
    return 0.15 + 0.6 * torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1) * (
        0.6 + 0.4 * fine
    )


def _half_blurred(radius: float) -> torch.Tensor:
    """Radii (1, 1, 24, 48): sharp on the left, blurred on the right."""
    plane = torch.full((1, 1, 24, 48), 1.2)
    plane[..., 24:] = radius
    return plane


def test_blur_that_is_everywhere_was_not_meant() -> None:
    everywhere = torch.full((1, 1, 10, 10), 7.0)
    assert not bool(meant(everywhere, torch.tensor([6.8])).any())
    assert bool((meant(everywhere, torch.tensor([1.0])) == 1).all())


def test_where_nothing_shows_a_radius_the_lens_tells_background_from_subject() -> None:
    found, lens = torch.full((1, 1, 10, 20), 3.0), torch.full((1, 1, 10, 20), 3.0)
    lens[..., :10], lens[..., 10:] = 1.0, 7.0
    assert not bool(meant(found, torch.tensor([2.8])).any())
    told = meant(told_by_depth(found, lens), torch.tensor([2.8]))
    assert not bool(told[..., :7].any())
    assert bool((told[..., 13:] == 1).all())


def test_the_subject_is_left_alone_and_the_background_is_the_photo_enlarged() -> None:
    y, image = _picture(24, 48, 1), _picture(96, 192, 2)
    kept = keep_focus(image, y, _half_blurred(7.0), torch.tensor([1.2]), FOCUS["keep"])
    assert torch.equal(kept[..., : 20 * 4], image[..., : 20 * 4])
    bicubic = upscale_bicubic(y, 4).clamp(0, 1)
    assert torch.allclose(kept[..., 28 * 4 :], bicubic[..., 28 * 4 :], atol=1e-6)
    reduced = keep_focus(image, y, _half_blurred(7.0), torch.tensor([1.2]), FOCUS["reduce"])
    assert torch.equal(reduced[..., : 18 * 4], kept[..., : 18 * 4])
    assert torch.equal(keep_focus(image, y, _half_blurred(7.0), torch.tensor([1.2]), 0.0), image)


def test_a_tile_keeps_what_the_whole_keeps() -> None:
    y, image, radius = _picture(24, 48, 1), _picture(96, 192, 2), _half_blurred(4.0)
    whole = keep_focus(image, y, radius, torch.tensor([1.2]), 1.0)
    part = keep_focus(image[..., 64:], y[..., 16:], radius[..., 16:], torch.tensor([1.2]), 1.0)
    assert torch.allclose(part[..., 32:], whole[..., 96:], atol=1e-6)


def _operator(sigma: float, h: int = 20, w: int = 24) -> SpatiallyVariantBlur:
    return SpatiallyVariantBlur(with_sensor_box(shapes.gaussian(sigma, sigma)[None], 4), torch.ones(1, 1, h, w), 4)


@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_the_photo_cannot_see_what_was_invented(sigma: float) -> None:
    image, operator = _picture(80, 96, 3), _operator(sigma)
    parts = split(image, operator)
    assert torch.allclose(parts.determined + parts.invented, image, atol=1e-6)
    seen, again = (linear_to_srgb(operator.forward(srgb_to_linear(x))) for x in (image, parts.determined))
    assert float((seen - again).abs().mean()) < 1.0 / 255
    assert float(parts.invented.abs().mean()) > 3 / 255


def test_what_is_determined_is_not_split_again() -> None:
    """The split is a projection: only what the first one kept is left, and it is all that is left."""
    operator = _operator(1.5)
    first = split(_picture(80, 96, 3), operator)
    again = split(first.determined, operator)
    invented, detail = first.energy
    assert 0 < invented < detail
    assert again.energy[0] < 0.01 * invented


def test_every_doubt_adds_to_the_expected_error() -> None:
    mean = _picture(40, 48, 5)
    none, some = torch.full((1, 1, 10, 12), 0.0), torch.full((1, 1, 10, 12), 0.5)
    same = torch.stack([mean, mean])
    calm = expected_error(mean, same, none, none)
    assert float(calm.max()) == 0
    noisy = expected_error(mean, same, none, torch.full((1, 1, 10, 12), 0.02))
    assert torch.allclose(noisy, torch.full_like(noisy, 0.02), atol=1e-6)
    wandering = torch.stack([mean + 0.03, mean - 0.03])
    assert float(expected_error(mean, wandering, none, none).mean()) == pytest.approx(0.03 * 2**0.5, rel=1e-3)
    flat = torch.full_like(mean, 0.4)
    blur = expected_error(mean, same, some, none)
    assert float(blur.mean()) > float(expected_error(flat, torch.stack([flat, flat]), some, none).mean())
    assert torch.equal(confidence(torch.zeros(1)), torch.ones(1))
    assert float(confidence(torch.tensor(8 / 255))) == pytest.approx(0.5)
