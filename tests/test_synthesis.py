"""Laws of rendered scenes: constants, occlusion, one kernel equals the operator, everything follows from the seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import default_dictionary, moments, with_sensor_box
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.synthesis import blur_models
from ssr_cli.synthesis.degrade import add_noise
from ssr_cli.synthesis.demo import render_demo
from ssr_cli.synthesis.photo_scenes import random_mask, random_scene
from ssr_cli.synthesis.render import control_weights, hat_weights, render
from ssr_cli.synthesis.scene import Layer

DICTIONARY = default_dictionary()
SIDE = 64


def _photo(index: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))


def _plain(value: float, disparity: float, alpha: torch.Tensor | None = None) -> Layer:
    cover = torch.ones(SIDE, SIDE) if alpha is None else alpha
    return Layer(torch.full((3, SIDE, SIDE), value), cover, torch.full((SIDE, SIDE), disparity))


@pytest.mark.parametrize("seed", range(6))
def test_a_scene_of_one_colour_stays_that_colour(seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha, beta = blur_models.random_lens(rng)
    blur = blur_models.thin_lens(rng, alpha, beta, blur_models.lens_blur(rng, 2.2), 4, blur_models.motion_blur(rng, 8))
    layers = [_plain(0.4, 0.1), _plain(0.4, 0.6, random_mask(SIDE, rng)), _plain(0.4, 0.9, random_mask(SIDE, rng))]
    scene = render(layers, blur, DICTIONARY, lambda x: x)
    assert torch.allclose(scene.lr, torch.full_like(scene.lr, 0.4), atol=1e-5)
    assert torch.allclose(scene.hr, torch.full_like(scene.hr, 0.4))


def test_cameras_blur_in_a_light_of_their_own() -> None:
    """A grey edge, half dark and half bright, has a mean that tells the light it was averaged in."""
    from ssr_cli.synthesis.photo_scenes import _light

    def middle(seed: int, camera: bool) -> float:
        light = _light(np.random.default_rng(seed), camera)
        return float(light.encode(light.decode(torch.tensor([0.1, 0.9])).mean()))

    cameras = [middle(seed, True) for seed in range(40)]
    others = [middle(seed, False) for seed in range(40)]
    srgb = float(linear_to_srgb(srgb_to_linear(torch.tensor([0.1, 0.9])).mean()))
    assert min(cameras) >= 0.5 - 1e-6
    assert max(cameras) < srgb + 1e-2
    assert sum(abs(m - srgb) < 1e-6 for m in others) > 20


def test_one_kernel_is_the_operator() -> None:
    rng = np.random.default_rng(1)
    optical = blur_models.random_optical(rng)
    rgb = torch.rand(3, SIDE, SIDE)
    layer = Layer(rgb, torch.ones(SIDE, SIDE), torch.zeros(SIDE, SIDE))
    scene = render([layer], blur_models.uniform(optical, 4), DICTIONARY, lambda x: x)
    kernel = with_sensor_box(optical[None], 4)
    operator = SpatiallyVariantBlur(kernel, torch.ones(1, 1, SIDE // 4, SIDE // 4), 4)
    assert torch.allclose(scene.lr, operator.forward(rgb[None])[0], atol=1e-6)
    assert torch.allclose(scene.code[:, 3, 3], DICTIONARY.code(kernel)[0], atol=1e-5)
    assert torch.allclose(scene.covariance[:, 3, 3], moments(kernel, 4)[:, 0], atol=1e-4)


def test_what_is_nearer_hides_and_its_blur_lets_through() -> None:
    """A sharp near object hides the blurred wall wholly; a blurred near edge mixes the two by its coverage."""
    half = torch.zeros(SIDE, SIDE)
    half[:, : SIDE // 2] = 1
    layers = [_plain(1.0, 0.0), _plain(0.0, 1.0, half)]
    rng = np.random.default_rng(0)
    sharp = shapes.gaussian(0.2, 0.2)
    near_in_focus = render(layers, blur_models.thin_lens(rng, 8.0, -8.0, sharp, 4), DICTIONARY, lambda x: x)
    far_in_focus = render(layers, blur_models.thin_lens(rng, 8.0, 0.0, sharp, 4), DICTIONARY, lambda x: x)
    row = SIDE // 8
    assert near_in_focus.lr[0, row, :8].max() < 0.01
    assert near_in_focus.lr[0, row, 8:].min() > 0.99
    soft = far_in_focus.lr[0, row]
    assert 0.05 < soft[7] < 0.6 < soft[8] < 0.95
    assert bool((soft.diff() >= -1e-4).all())
    assert near_in_focus.disparity[row, 0] == 1.0
    assert near_in_focus.disparity[row, -1] == 0.0
    # the true radius under each of the two: 0 px where in focus, 8 px elsewhere
    radius = (2 * (near_in_focus.covariance[0] + near_in_focus.covariance[1])).sqrt()
    assert float(radius[row, 1]) < 1.2
    assert float(radius[row, -2]) == pytest.approx(8.0, abs=0.6)


@pytest.mark.parametrize("seed", range(8))
def test_scenes_follow_from_the_seed_and_stay_in_range(seed: int) -> None:
    first = random_scene(_photo, 5, DICTIONARY, (3, seed))
    again = random_scene(_photo, 5, DICTIONARY, (3, seed))
    other = random_scene(_photo, 5, DICTIONARY, (4, seed))
    assert torch.equal(first.lr, again.lr)
    assert torch.equal(first.code, again.code)
    assert not torch.equal(first.lr, other.lr)
    for plane in (first.hr, first.lr, first.disparity):
        assert bool(plane.isfinite().all())
        assert 0 <= float(plane.min()) <= float(plane.max()) <= 1
    assert first.lr.shape == (3, SIDE // 4, SIDE // 4)
    assert float(first.covariance[:2].min()) > -1.0


def test_scenes_are_of_cameras_as_often_as_asked() -> None:
    found = [[random_scene(_photo, 5, DICTIONARY, (3, i), share).camera for i in range(4)] for share in (0.0, 1.0)]
    assert found == [[False] * 4, [True] * 4]


def test_programs_filters_are_those_of_pillow() -> None:
    """A ramp of random dots made smaller by the kernel, and by Pillow's filter of the same name."""
    picture = torch.rand(64, 64, generator=torch.Generator().manual_seed(0))
    named = [
        Image.fromarray(picture.numpy()).resize((16, 16), how)
        for how in (
            Image.Resampling.BOX,
            Image.Resampling.BILINEAR,
            Image.Resampling.BICUBIC,
            Image.Resampling.LANCZOS,
        )
    ]
    expected = [torch.from_numpy(np.asarray(image).copy())[4:-4, 4:-4] for image in named]
    found = set()
    for seed in range(24):
        local = blur_models.resized(np.random.default_rng(seed), 4)(torch.zeros(16, 16))
        assert float(local.kernels.sum()) == pytest.approx(1, abs=1e-5)
        seen = SpatiallyVariantBlur(local.kernels, local.weights[None], 4).forward(picture[None, None])[
            0, 0, 4:-4, 4:-4
        ]
        found |= {i for i, one in enumerate(expected) if float((seen - one).abs().max()) < 1e-4}
    assert found == {0, 1, 2, 3}


def test_weights_of_mixtures_sum_to_one() -> None:
    value = torch.rand(9, 7) * 5 - 1
    weights = hat_weights(value, torch.tensor([0.0, 0.5, 2.0, 3.0]))
    assert torch.allclose(weights.sum(0), torch.ones(9, 7))
    assert float(weights.min()) >= 0
    assert torch.allclose((weights * torch.tensor([0.0, 0.5, 2.0, 3.0])[:, None, None]).sum(0), value.clamp(0, 3))
    assert torch.allclose(control_weights(4, 4, 9, 7).sum(0), torch.ones(9, 7), atol=1e-6)


def test_noise_has_the_asked_level() -> None:
    grey = torch.full((3, 200, 200), 0.5)
    noisy = add_noise(grey, 0.03, 0.0, np.random.default_rng(0))
    assert float((noisy - grey).std()) == pytest.approx(0.03, rel=0.02)
    shot = add_noise(grey, 0.0, 0.002, np.random.default_rng(0))
    assert float((shot - grey).var()) == pytest.approx(0.001, rel=0.05)


def test_the_demo_is_a_photograph_with_its_truth() -> None:
    first, again = render_demo(3, size=128), render_demo(3, size=128)
    assert torch.equal(first.lr.rgb, again.lr.rgb)
    assert first.lr.rgb.shape == (3, 32, 32)
    assert first.hr.rgb.shape == (3, 128, 128)
    expected = (first.lens.alpha * first.depth.disparity + first.lens.beta).abs()
    radius = (2 * (first.covariance[0] + first.covariance[1])).clamp_min(0).sqrt()
    # the lens's own blur adds in quadrature, so the radius follows the thin lens's from above
    assert float(torch.corrcoef(torch.stack([radius.flatten(), expected.flatten()]))[0, 1]) > 0.8


def test_a_scenes_lens_blurs_some_of_it_and_mostly_focuses_in_it() -> None:
    rng = np.random.default_rng(5)
    focused = 0
    for _ in range(200):
        farthest = float(rng.uniform(0, 0.6))
        nearest = float(rng.uniform(farthest + 0.1, 1.0))
        alpha, beta = blur_models.scene_lens(rng, nearest, farthest)
        ends = [abs(alpha * d + beta) for d in (nearest, farthest)]
        assert 2.0 <= max(ends) * 1.0001 <= 18.1
        focus = -beta / alpha
        focused += farthest <= focus <= nearest
        assert farthest - 0.5 * (nearest - farthest) < focus < nearest + 0.5 * (nearest - farthest)
    assert 150 < focused < 200


def test_three_lenses_in_ten_hardly_blur() -> None:
    rng = np.random.default_rng(6)
    kernels = torch.stack([blur_models.lens_blur(rng, 4.0) for _ in range(300)])
    variances = moments(kernels, 1)[:2].mean(0)  # a scale of 1 has no sensor's box to take off
    assert 0.28 < float((variances < 0.7**2).float().mean()) < 0.46


@pytest.mark.parametrize("seed", range(8))
def test_a_field_of_blocks_has_one_kernel_a_block(seed: int) -> None:
    local = blur_models.block_field(np.random.default_rng(seed), 4)(torch.zeros(60, 44))
    count = len(local.kernels)
    assert local.weights.shape == (count, 60, 44)
    assert set(local.weights.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(local.weights.sum(0), torch.ones(60, 44))
    assert torch.allclose(local.kernels.sum((1, 2)), torch.ones(count), atol=1e-5)
    number = local.weights.argmax(0)
    # a rectangle each, in rows and columns that all blocks share, none wider than a block may be
    assert bool((number == number[:, :1] + number[:1] - number[0, 0]).all())
    for line in (number[0], number[:, 0]):
        lengths = line.unique_consecutive(return_counts=True)[1].tolist()
        assert max(lengths) <= 20
        assert len(set(lengths[1:-1])) <= 1
    variances = moments(local.kernels, 1)[:2]
    assert 0.5 < float(variances.max()) < 14
    assert float(variances.std()) > 0.05


def test_fields_of_blocks_come_smooth_in_their_course_or_not_at_all() -> None:
    """Neighbouring blocks of some fields are alike, those of others are strangers."""
    steps = []
    for seed in range(24):
        local = blur_models.block_field(np.random.default_rng(seed), 4)(torch.zeros(80, 80))
        right = int(local.weights.argmax(0)[0].max()) + 1
        area = moments(local.kernels, 1)[:2].sum(0).view(-1, right)
        steps.append(float((area[:, 1:] - area[:, :-1]).abs().mean() / area.std()))
    assert sum(step > 0.8 for step in steps) >= 4
    assert sum(step < 0.5 for step in steps) >= 8
