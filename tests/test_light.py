"""The light that blur happened in: curves between encoded values and linear light, and what it is worth."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssr_cli.diffusion.consistency import field_operator, first_guess, project, residual
from ssr_cli.diffusion.invented import split
from ssr_cli.image.color import srgb_to_linear
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.light import decoded, encoded, share_of_gamma

DICTIONARY = default_dictionary()
RAMP = torch.linspace(0, 1, 4097).view(1, 1, 1, -1)


@given(st.floats(0, 1))
def test_encoding_undoes_decoding_and_both_rise(share: float) -> None:
    told = torch.tensor([share])
    light = decoded(RAMP, told)
    assert float((encoded(light, told) - RAMP).abs().max()) < 1e-6
    assert bool((light.diff() > 0).all())
    assert float(light.min()) == pytest.approx(0, abs=1e-6)
    assert float(light.max()) == pytest.approx(1, abs=1e-6)


def test_ends_are_encoded_values_and_much_like_linear_light() -> None:
    assert torch.equal(decoded(RAMP, torch.zeros(1)), RAMP)
    assert torch.equal(decoded(RAMP), srgb_to_linear(RAMP))
    assert float((decoded(RAMP, torch.ones(1)) - srgb_to_linear(RAMP)).abs().max()) < 0.09
    darkest = RAMP[..., 1:2]
    assert float(decoded(darkest, torch.ones(1))) == pytest.approx(float(srgb_to_linear(darkest)), rel=0.05)


def test_photos_of_a_batch_have_each_their_own_light() -> None:
    shares = torch.tensor([0.0, 0.4, 1.0])
    every = decoded(RAMP.expand(3, 1, 1, -1), shares)
    for i, share in enumerate(shares):
        assert torch.allclose(every[i : i + 1], decoded(RAMP, share[None]), atol=1e-6)
    assert torch.allclose(encoded(every, shares), RAMP.expand_as(every), atol=1e-6)


def test_gamma_as_a_share() -> None:
    assert [share_of_gamma(g) for g in (0.8, 1.0, 1.7, 2.4, 4.0)] == pytest.approx([0, 0, 0.5, 1, 1])


def _photo(share: float) -> tuple[torch.Tensor, torch.Tensor, object]:
    """A picture of bright and dark bars, its photograph by one wide kernel in some light, and the operator."""
    bars = (torch.arange(96) // 12 % 2).float().mul(0.8).add(0.1)
    sharp = torch.minimum(bars[:, None], bars[None]).expand(1, 3, 96, 96).contiguous()
    weights = torch.zeros(1, len(DICTIONARY.names), 24, 24)
    weights[:, DICTIONARY.names.index("Gaussian, sigma 2.5 px")] = 1
    operator = field_operator(weights, DICTIONARY)
    told = torch.tensor([share])
    return sharp, encoded(operator.forward(decoded(sharp, told)).clamp(0, 1), told), operator


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_right_light_brings_the_picture_nearer_to_the_truth(share: float) -> None:
    sharp, y, operator = _photo(share)
    level = torch.full((1, 1, 24, 24), 0.5 / 255)
    begin = upscale_bicubic(y, 4).clamp(0, 1)
    errors = {}
    for tried in (0.0, 0.5, 1.0):
        told = torch.tensor([tried])
        image = project(begin, y, operator, level, light=told).image
        errors[tried] = float((image - sharp).square().mean())
    assert errors[share] < errors[0.5] < errors[1 - share]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_first_guess_and_split_are_made_in_that_light(share: float) -> None:
    sharp, y, operator = _photo(share)
    level = torch.full((1, 1, 24, 24), 0.5 / 255)
    right, wrong = (first_guess(y, operator, level, torch.tensor([s])) for s in (share, 1 - share))
    assert float((right - sharp[:, :1]).square().mean()) < float((wrong - sharp[:, :1]).square().mean())
    left = [
        residual(split(sharp, operator, told).determined, y, operator, torch.tensor([share])).square().mean().sqrt()
        for told in (torch.tensor([share]), torch.tensor([1 - share]))
    ]
    assert float(left[0]) < 0.5 * float(left[1])
