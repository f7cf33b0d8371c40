"""Patterns all over a picture are found whatever their period and direction; photos and chance have none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssr_cli.evaluation.patterns import pattern_distance, strongest_pattern_db
from ssr_cli.evaluation.selfcheck import GOLDEN, pictures
from ssr_cli.physics.sharpening import soften


def _photos() -> torch.Tensor:
    noise = torch.rand(2, 3, 192, 192, generator=torch.Generator().manual_seed(3))
    return soften(noise, torch.tensor([0.8, 1.2]))


def _wave(down: float, across: float) -> torch.Tensor:
    """A wave of so many periods in 32 pixels."""
    y, x = torch.meshgrid(torch.arange(192.0), torch.arange(192.0), indexing="ij")
    return 0.03 * torch.cos(2 * torch.pi * (down * y + across * x) / 32)


@pytest.mark.parametrize(
    ("down", "across"), [(8, 0), (0, 8), (16, 0), (0, 16), (8, 8), (14, 14), (-14, 14), (5, 9.5), (-12, 3)]
)
def test_a_pattern_of_any_period_and_direction_is_seen(down: float, across: float) -> None:
    photos = _photos()
    more = photos + _wave(down, across)
    assert strongest_pattern_db(more[0]) > strongest_pattern_db(photos[0]) + 3
    assert float(pattern_distance(more, photos)) > 0


def test_a_pattern_of_colours_alone_is_seen() -> None:
    photos = _photos()
    red_and_green = torch.tensor([0.114, -0.114 * 0.299 / 0.587, 0.0]).view(3, 1, 1) * 10
    more = photos + red_and_green * _wave(14, 14)
    assert strongest_pattern_db(more[0]) > strongest_pattern_db(photos[0]) + 3
    grey = lambda rgb: (rgb * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1)  # noqa: E731
    assert torch.allclose(grey(more), grey(photos), atol=1e-6)


def test_a_pattern_that_comes_and_goes_with_the_detail_is_seen_too() -> None:
    photos = _photos()
    detail = torch.randn(192, generator=torch.Generator().manual_seed(7))
    assert strongest_pattern_db(photos[0] + detail * _wave(8, 0)) > strongest_pattern_db(photos[0]) + 3


def test_coarse_structure_is_no_pattern() -> None:
    photo = _photos()[0]
    assert strongest_pattern_db(photo + 10 * _wave(2, 1)) < strongest_pattern_db(photo) + 1


def test_noise_and_flat_pictures_have_none() -> None:
    white = torch.rand(3, 512, 512, generator=torch.Generator().manual_seed(1))
    assert 0 < strongest_pattern_db(white) < 1.5  # the luckiest of 500 frequencies
    assert strongest_pattern_db(torch.full((3, 64, 64), 0.5)) == pytest.approx(0, abs=1e-3)


def test_one_edge_is_no_pattern_but_stairs_everywhere_are() -> None:
    photo = _photos()[0]
    edge = photo.clone()
    edge[:, :, 100:] += 0.4
    assert strongest_pattern_db(edge) < strongest_pattern_db(photo) + 2
    lr = soften(torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(2)), torch.tensor([1.5]))[0]
    assert strongest_pattern_db(lr.repeat_interleave(4, 1).repeat_interleave(4, 2)) > 6


def test_the_reference_pictures_pattern_by_independent_code() -> None:
    """In float64, patch by patch, with full transforms and loops over frequencies."""
    red, green, blue = pictures()[1].double().numpy()
    side = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
    window = np.outer(side, side)
    window /= math.sqrt(float((window**2).mean()))
    down, across = np.fft.fftfreq(32) * 32, np.arange(17)
    radius = np.hypot(down[:, None], across[None])
    heights = []
    for plane in (0.299 * red + 0.587 * green + 0.114 * blue, red - green, blue - green):
        powers = []
        for top in range(0, 192, 32):
            for left in range(0, 192, 32):
                patch = plane[top : top + 32, left : left + 32]
                power = np.abs(np.fft.fft2((patch - patch.mean()) * window)) ** 2 / 32**2
                powers.append(np.log(power + (0.1 / 255) ** 2))
        mean = np.mean(powers, 0)[:, :17]
        heights += [
            mean[i, j] - mean[np.abs(radius - radius[i, j]) <= 1].mean()
            for i in range(32)
            for j in range(17)
            if radius[i, j] >= 5
        ]
    assert max(heights) * 10 / math.log(10) == pytest.approx(GOLDEN["pattern_db"], abs=1e-3)


def test_distance_is_nought_for_equals_and_small_for_other_noise_of_the_same_kind() -> None:
    photos = _photos()
    assert float(pattern_distance(photos, photos)) == 0
    generator = torch.Generator().manual_seed(4)
    one, two = (photos + 0.05 * torch.randn(photos.shape, generator=generator) for _ in range(2))
    assert float(pattern_distance(one, two)) < 0.25 * float(pattern_distance(photos, two))


def test_gradients_are_finite_for_flat_pictures_and_none_goes_to_the_truth() -> None:
    flat = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    truth = _photos()[:1, :, :64, :64].clone().requires_grad_()
    pattern_distance(flat, truth).backward()
    assert flat.grad is not None
    assert bool(flat.grad.isfinite().all())
    assert truth.grad is None
