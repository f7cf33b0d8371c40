"""The depth refiner: what it may make of a depth, what it is told beside it, and that tiles are told it as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ssr_cli.estimation import prepare
from ssr_cli.frames import DepthMap, Photo
from ssr_cli.models.opinion import Opinion, second_opinion
from ssr_cli.models.refiner import DepthRefiner
from ssr_cli.pipeline import analyse
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import Models
from ssr_cli.synthesis import spoil


def _scene(seed: int = 0, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """A photo (1, 3, h, w) of flat things with some texture, and their disparities (1, 1, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    count = 5
    depth, tones = (
        torch.rand(1, 1, count, count, generator=generator),
        torch.rand(1, 3, count, count, generator=generator),
    )
    depth, tones = (F.interpolate(p, size=(side, side), mode="nearest") for p in (depth, tones))
    return (tones + 0.03 * torch.rand(1, 3, side, side, generator=generator)).clamp(0, 1), depth


def _net(**bias: float) -> DepthRefiner:
    net = DepthRefiner(4, (8, 8), (1, 1), (1,))
    with torch.no_grad():
        for place, value in bias.items():
            net.head.bias[int(place[1:])] = value
    return net


def _asked(net: DepthRefiner, y: torch.Tensor, depth: torch.Tensor, opinion: Opinion | None = None) -> torch.Tensor:
    plane, told = torch.ones_like(depth), opinion or second_opinion(y, depth, depth)
    features = torch.rand(1, 4, *depth.shape[-2:])
    refined: torch.Tensor = net(y, features, depth, told, plane, plane, plane, torch.zeros(1))
    return refined


def test_a_new_refiner_hardly_changes_a_depth() -> None:
    y, depth = _scene()
    with torch.no_grad():
        refined = _asked(_net(), y, depth)
    assert 0 <= float(refined.min()) <= float(refined.max()) <= 1
    assert float((refined - depth).abs().mean()) < 0.05


def test_what_is_flat_stays_flat_to_the_bit() -> None:
    """Places of one depth have one rank; rounding must not put them in an order."""
    y, depth = _scene()
    net = _net(n25=-9.0)
    torch.nn.init.normal_(net.head.weight, 0, 0.1)
    with torch.no_grad():
        refined = _asked(net, y, depth)
    inside = F.max_pool2d(depth, 9, 1, 4) == -F.max_pool2d(-depth, 9, 1, 4)
    assert 0.1 < float(inside.float().mean()) < 0.9
    assert torch.equal(refined[inside], depth[inside])
    assert not torch.equal(refined, depth)


def test_a_place_can_take_the_depth_of_one_beside_it_or_our_own() -> None:
    y, depth = _scene()
    told = second_opinion(y, depth, torch.rand_like(depth))
    with torch.no_grad():
        moved = _asked(_net(n0=50.0, n12=0.0), y, depth, told)  # of 4 pixels above and to the left
        ours = _asked(_net(n25=50.0, n12=0.0), y, depth, told)
    assert torch.allclose(moved[..., 4:, 4:], depth[..., :-4, :-4], atol=1e-5)
    assert torch.allclose(ours, told.estimate, atol=1e-5)


def test_a_depth_that_has_no_step_where_the_photo_has_one_is_mistrusted() -> None:
    y, depth = _scene()
    told = second_opinion(y, depth, torch.rand_like(depth))
    net = _net(n25=-9.0)
    for chance, share in ((0.1, 0.0), (-0.04, 0.1), (-0.2, 0.2)):
        agreement = told.agreement.clone()
        agreement[:, 1] = chance
        with torch.no_grad():
            plain = _asked(net, y, depth, replace(told, agreement=agreement.clamp_min(0.1)))
            refined = _asked(net, y, depth, replace(told, agreement=agreement))
        assert torch.allclose(refined, torch.lerp(plain, told.estimate, share), atol=1e-5), chance


def test_what_a_refiner_is_told_tells_faults_apart() -> None:
    y, depth = _scene()
    rng = np.random.default_rng(0)
    own = depth + 0.2 * torch.randn(depth.shape, generator=torch.Generator().manual_seed(1))
    agreement = {
        "true": second_opinion(y, depth, own).agreement[0],
        "displaced": second_opinion(y, spoil.displaced(depth[0], rng, 3.0)[None], own).agreement[0],
        "wrong": second_opinion(y, _scene(9)[1].transpose(-1, -2), own).agreement[0],
    }
    assert all(-1 <= float(v) <= 1 for a in agreement.values() for v in a)
    assert agreement["true"][0] > 0.7 > agreement["wrong"][0]
    assert agreement["true"][1] > agreement["displaced"][1] + 0.1  # outlines lie beside the photo's
    # and are near them, which those of another scene are not
    assert agreement["displaced"][2] > agreement["wrong"][2]


def test_an_estimate_comes_in_the_units_of_the_depth_beside_it() -> None:
    y, depth = _scene()
    given = 0.4 + 0.2 * depth
    told = second_opinion(y, given, depth)
    assert torch.allclose(told.estimate, given, atol=1e-5)
    assert float(told.agreement[0, 0]) == pytest.approx(1, abs=1e-4)
    flat = second_opinion(y, torch.full_like(depth, 0.5), depth)
    assert torch.allclose(flat.estimate, torch.full_like(depth, 0.5), atol=1e-6)
    assert float(flat.agreement[0, 0]) == 0
    assert bool(flat.agreement.isfinite().all())


def test_our_own_estimate_stands_beside_a_depth_that_is_given(tiny_models: Models) -> None:
    y, depth = _scene()
    ours, theirs = (prepare(Photo(y[0]), tiny_models, 0, given) for given in (None, DepthMap(depth[0, 0])))
    assert ours.opinion.estimate is ours.depth
    assert float(ours.opinion.agreement[0, 0]) == pytest.approx(1, abs=1e-4)
    assert torch.equal(theirs.depth, depth)
    assert float(torch.corrcoef(torch.stack([theirs.opinion.estimate.flatten(), ours.depth.flatten()]))[0, 1]) > 0.99


def test_tiles_are_told_of_the_whole_photo(tiny_models: Models) -> None:
    y, depth = _scene(side=160)
    given = DepthMap(depth[0, 0].flip(0))
    whole, tiled = (
        analyse(Photo(y[0]), tiny_models, replace(UpscaleOptions(device="cpu"), tile=tile), None, given)
        for tile in (0, 64)
    )
    for a, b in zip(whole.rounds, tiled.rounds, strict=True):
        assert float((a.depth.disparity - b.depth.disparity).abs().max()) < 1e-3
