"""The texture term: blind to where detail lies, not to how much of it there is and how fine it is."""

from __future__ import annotations

import pytest
import torch

from ssr_cli.physics.sharpening import soften
from ssr_cli.training.texture import log_powers, texture_distance


def _photo() -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    noise = torch.rand(2, 3, 96, 96, generator=generator)
    return soften(noise, torch.tensor([0.8, 1.5]))


def test_equal_pictures_are_at_no_distance_and_softer_ones_are() -> None:
    photo = _photo()
    assert float(texture_distance(photo, photo)) == 0
    little, much = (float(texture_distance(soften(photo, torch.full((2,), s)), photo)) for s in (0.5, 1.0))
    assert 0 < little < much


def test_a_pattern_of_three_pixels_shows_in_its_ring_alone() -> None:
    photo = _photo()
    ripple = 0.02 * torch.cos(2 * torch.pi * torch.arange(96) / 3)
    more = log_powers(photo + ripple) - log_powers(photo)
    rings = more.mean((0, 2, 3))
    assert int(rings.argmax()) == 5  # 0.3 to 0.35 cycles per pixel
    assert float(rings[:4].abs().max()) < 0.1 * float(rings[5])


def test_other_noise_of_the_same_kind_is_nearer_than_none() -> None:
    photo = _photo()
    generator = torch.Generator().manual_seed(4)
    one, two = (photo + 0.05 * torch.randn(photo.shape, generator=generator) for _ in range(2))
    assert float(texture_distance(one, two)) < 0.5 * float(texture_distance(photo, two))


def test_noise_has_its_own_power_in_every_ring() -> None:
    noise = 0.1 * torch.randn(1, 1, 512, 512, generator=torch.Generator().manual_seed(5)).expand(1, 3, 512, 512)
    powers = log_powers(noise).exp().mean((0, 2, 3))
    assert powers.tolist() == pytest.approx([0.01] * len(powers), rel=0.15)


def test_gradients_are_finite_for_flat_pictures() -> None:
    flat = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    texture_distance(flat, _photo()[:1, :, :64, :64]).backward()
    assert flat.grad is not None
    assert bool(flat.grad.isfinite().all())
