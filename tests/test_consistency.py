"""Faithfulness with known kernels, on rendered scenes: exact where the photo is, cautious where it is noisy."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.diffusion.consistency import field_operator, first_guess, project, residual
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.physics.spectra import luma_of
from ssr_cli.synthesis.demo import render_demo

DICTIONARY = default_dictionary()
SIDE = 192
KERNELS = ["Gaussian, sigma 1.2 px", "Gaussian, sigma 4.2 x 1.6 px at 30 deg", "disk, radius 5.5 px", "varying"]
WIDEST = "disk, radius 9 px"
SCENES = [0, 1, 2]


@lru_cache
def _scene(seed: int) -> Tensor:
    """(1, 3, 192, 192), sharp."""
    return render_demo(seed, SIDE).hr.rgb[None]


def _operator(kernel: str, precision: torch.dtype | None = None) -> SpatiallyVariantBlur:
    h = SIDE // 4
    weights = torch.zeros(1, len(DICTIONARY.names), h, h)
    if kernel == "varying":  # from sharp on the left to a large disk on the right
        share = torch.linspace(0, 1, h)
        weights[:, DICTIONARY.names.index("sharp")] = 1 - share
        weights[:, DICTIONARY.names.index("disk, radius 9 px")] = share
    else:
        weights[:, DICTIONARY.names.index(kernel)] = 1
    return field_operator(weights, DICTIONARY, precision)


def _seen(x: Tensor, operator: SpatiallyVariantBlur) -> Tensor:
    return linear_to_srgb(operator.forward(srgb_to_linear(x)).clamp(0, 1))


def _eight_bits(rgb: Tensor) -> Tensor:
    return (rgb.clamp(0, 1) * 255).round() / 255


def _db(a: Tensor, b: Tensor) -> float:
    return float(-10 * (a - b).square().mean().log10())


def _level(sigma: float) -> Tensor:
    return torch.full((1, 1, SIDE // 4, SIDE // 4), sigma / 255)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kernel", [*KERNELS, WIDEST])
@pytest.mark.parametrize("seed", SCENES)
def test_an_eight_bit_output_reaches_50_db(seed: int, kernel: str, precision: torch.dtype) -> None:
    x, operator = _scene(seed), _operator(kernel, precision)
    y = _eight_bits(_seen(x, operator))
    begin = upscale_bicubic(y, 4).clamp(0, 1)
    projected = project(begin, y, operator, _level(0.25))
    assert _db(_seen(_eight_bits(projected.image), operator), y) >= 50
    assert _db(projected.image, x) > _db(begin, x)


@pytest.mark.parametrize("kernel", [*KERNELS, WIDEST])
@pytest.mark.parametrize("seed", SCENES)
def test_noise_is_left_alone_and_the_truth_comes_no_further_away(seed: int, kernel: str) -> None:
    """From what a restorer may give: something soft, something with texture of its own, a wrong colour."""
    x, operator = _scene(seed), _operator(kernel)
    generator = torch.Generator().manual_seed(seed)
    clean = _seen(x, operator)
    noise = 5 / 255 * torch.randn(clean.shape, generator=generator)
    y = clean + noise
    texture = F.avg_pool2d(torch.randn(1, 3, SIDE + 2, SIDE + 2, generator=generator), 3, 1) * 18 / 255
    cast = torch.tensor([5.0, -5.0, 5.0]).view(1, 3, 1, 1) / 255
    soft = upscale_bicubic(clean, 4)
    for begin in (soft.clamp(0, 1), (soft + texture).clamp(0, 1), (soft + cast).clamp(0, 1)):
        projected = project(begin, y, operator, _level(5.0), grain=torch.tensor([5 / 255]))
        assert _db(projected.image, x) >= _db(begin, x)
        assert float(residual(projected.image, y, operator).std()) == pytest.approx(float(noise.std()), rel=0.1)


@pytest.mark.parametrize("kernel", KERNELS)
def test_factors_of_sixteen_bits_hardly_change_a_guess(kernel: str) -> None:
    operators = [_operator(kernel, precision) for precision in (torch.float32, torch.bfloat16)]
    y = _eight_bits(_seen(_scene(0), operators[0]))
    exact, rough = (first_guess(y, operator, _level(1.0)) for operator in operators)
    apart = 255 * (exact - rough).abs()
    assert exact.dtype == rough.dtype == torch.float32
    assert 0 < float(apart.mean()) < 0.1
    assert float(apart.quantile(0.999)) < 2


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", SCENES)
def test_a_colour_cast_comes_back(seed: int, kernel: str) -> None:
    x, operator = 0.05 + 0.9 * _scene(seed), _operator(kernel)
    y = _eight_bits(_seen(x, operator))
    cast = torch.tensor([5.0, -5.0, 5.0]).view(1, 3, 1, 1) / 255
    projected = project(x + cast, y, operator, _level(0.25))
    assert float(residual(projected.image, y, operator).mean((2, 3)).abs().max()) * 255 < 0.1
    # under wide kernels dark and bright share what comes back, of which encoded values make a little more in the dark
    left = (projected.image - x).mean((2, 3)).abs() * 255
    assert float(left.max()) < (0.6 if kernel in KERNELS[2:] else 0.5)


def test_light_that_was_clipped_is_made_up_for_by_its_neighbours() -> None:
    """Black and white stripes, blurred: their least-norm correction leaves 0..1 at almost every pixel."""
    x = (torch.arange(SIDE) // 12 % 2).float().expand(1, 3, SIDE, SIDE).clone()
    operator = _operator("disk, radius 5.5 px")
    y = _eight_bits(_seen(x, operator))
    begin = upscale_bicubic(y, 4).clamp(0, 1)
    left = residual(project(begin, y, operator, _level(0.25)).image, y, operator)
    once = y - _seen(first_guess(y, operator, _level(0.25)), operator)
    assert float(left.square().mean()) < 0.1 * float(once.square().mean())


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("seed", SCENES)
def test_the_last_digit_decides_nothing_in_a_noisy_clipped_photo(seed: int, kernel: str) -> None:
    """Tiles and the whole differ by last digits: who decides by them shows seams (2/255 in one of these scenes)."""
    operator, generator = _operator(kernel), torch.Generator().manual_seed(seed)
    clean, noise = 1.3 * _seen(_scene(seed), operator) - 0.15, 20 / 255
    y = (clean + noise * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    x = upscale_bicubic(y, 4).clamp(0, 1)
    nearly = x + 1e-6 * torch.randn(x.shape, generator=generator)
    one, two = (project(z, y, operator, _level(10), grain=torch.tensor([noise])).image for z in (x, nearly))
    assert float((one - two).abs().max()) < 0.05 / 255


def test_what_is_not_known_so_well_is_corrected_once() -> None:
    """The default must not become slower: only where almost nothing is unexplained is there more to gain."""
    x, kernel = _scene(0), _operator("disk, radius 5.5 px")
    y = _seen(x, kernel)
    begin = upscale_bicubic(y, 4).clamp(0, 1)
    calls = []
    quick = kernel.rough
    real = quick.spread
    quick.spread = lambda r: calls.append(1) or real(r)  # type: ignore[method-assign]
    counts = []
    for sigma, grain in ((1.0, 1.0), (0.25, 0.25), (50.0, 1.0), (1.0, 4.0)):
        calls.clear()
        quick.__dict__.pop("coverage", None)
        project(begin, y, kernel, _level(sigma), grain=torch.tensor([grain / 255]))
        counts.append(len(calls))
    assert counts[0] == 5
    assert counts[1] > 5
    assert counts[2] == 0
    assert counts[3] == 5 + 2 * 5  # a noisy photo, twice more


def test_a_tile_is_corrected_again_as_the_whole_is() -> None:
    x, operator = _scene(1), _operator("Gaussian, sigma 1.2 px")
    y = _seen(x, operator)
    begin = upscale_bicubic(y, 4).clamp(0, 1)
    noise = _level(0.25)
    noise[..., 24:] = 2 / 255
    whole = project(begin, y, operator, noise).image
    weights = torch.zeros(1, len(DICTIONARY.names), 48, 32)
    weights[:, DICTIONARY.names.index("Gaussian, sigma 1.2 px")] = 1
    part = field_operator(weights, DICTIONARY)
    left = project(begin[..., :128], y[..., :32], part, noise[..., :32]).image
    right = project(begin[..., 64:], y[..., 16:], part, noise[..., 16:]).image
    assert float((whole[..., :64] - left[..., :64]).abs().max()) < 1 / 255
    assert float((whole[..., 128:] - right[..., 64:]).abs().max()) < 1 / 255


@pytest.mark.parametrize("kernel", KERNELS)
def test_without_colours_light_alone_is_corrected_and_explains_as_much_of_it(kernel: str) -> None:
    x, operator = _scene(0), _operator(kernel)
    y = _seen(x, operator)
    begin, level = upscale_bicubic(y, 4).clamp(0.05, 0.95), _level(2)  # nothing is cut off, nothing corrected again
    every, light = (project(begin, y, operator, level, colours=colours).image for colours in (True, False))
    before, after, wholly = (luma_of(residual(image, y, operator)).square().mean() for image in (begin, light, every))
    assert float(after) < 0.6 * float(before)
    assert float(after) < 1.3 * float(wholly)
    moved = srgb_to_linear(light) - srgb_to_linear(begin)
    inside = (light > 0.001) & (light < 0.999)
    alike = inside.all(1, keepdim=True).expand_as(moved)
    assert torch.allclose(moved[alike], moved[:, :1].expand_as(moved)[alike], atol=1e-5)
    assert float(moved.abs().max()) > 0.01
