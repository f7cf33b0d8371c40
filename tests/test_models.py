"""The networks: shapes, contracts, the lens fit, tile-exactness, gradients to every parameter."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ssr_cli.diffusion.sampler import place_noise, sample
from ssr_cli.errors import WeightsError
from ssr_cli.growth import grown
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.models.lens import fit_prior
from ssr_cli.models.spectral import PLANES
from ssr_cli.models.svkr import photo_prior
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.spectra import luma_of
from ssr_cli.suite import Suite, SuiteConfig, load_models
from ssr_cli.weights import Checkpoint
from tests.conftest import TINY, tiny_suite

DICTIONARY = default_dictionary()
#: Nothing is known of where the pixels come from.
UNTOLD = torch.tensor([0.5])
#: Grain of photos that have none.
QUIET = torch.zeros(1)


def _guess(y: torch.Tensor) -> torch.Tensor:
    """A sharper luma than interpolation's, as the kernels would give."""
    large = luma_of(upscale_bicubic(y, 4))[:, None]
    return large + 0.1 * torch.sin(9 * large)


def _everything(suite: Suite, y: torch.Tensor):
    depth = suite.depth.estimate(y)
    states = suite.svkr(y, depth, torch.ones(len(y)), DICTIONARY)
    prior = photo_prior(states[-1], torch.ones(len(y)), torch.zeros(len(y)))
    fused = suite.amf(y, states[-1], prior)
    mean, features = suite.restorer(y, fused, _guess(y))
    end = suite.flow(mean, torch.zeros(len(y)), mean, features, fused)
    return states, fused, mean, end


def _unsaid(count: int) -> tuple[torch.Tensor, ...]:
    """Kernel codes, sharpening, processing and grain of places that say nothing of them."""
    return torch.zeros(1, 24, count), torch.zeros(1, 2, count), torch.ones(1, count), UNTOLD, QUIET


def test_shapes_and_laws_of_every_output() -> None:
    y = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        states, fused, mean, end = _everything(tiny_suite(), y)
    assert len(states) == TINY.svkr.rounds
    for state in states:
        assert state.weights.shape == (2, 63, 16, 24)
        assert torch.allclose(state.weights.sum(1), torch.ones(2, 16, 24), atol=1e-5)
        assert bool((state.radius_px > 0).all())
        assert bool((state.confidence_px > 0).all())
        assert bool((state.noise > 0).all())
        assert 0 <= float(state.disparity.min()) <= float(state.disparity.max()) <= 1
    assert torch.allclose(fused.gates.sum(1), torch.ones(2, 16, 24), atol=1e-5)
    assert mean.shape == end.shape == (2, 3, 64, 96)


def test_every_parameter_is_trained() -> None:
    suite = tiny_suite()
    y = torch.rand(1, 3, 16, 16)
    states, fused, mean, end = _everything(suite, y)
    loss = end.sum() + mean.square().sum() + fused.gates[:, 0].sum()
    for state in states:
        loss = loss + state.noise.sum() + state.confidence_px.sum() + state.radius_px.sum() + state.disparity.sum()
        loss = loss + state.gain.sum() + state.gain_trust.sum()
    loss.backward()
    unused = [name for name, p in suite.named_parameters() if p.grad is None]
    assert unused == []


def test_each_modality_reaches_the_result() -> None:
    suite = tiny_suite()
    y = torch.rand(1, 3, 16, 16)
    states = suite.svkr(y, suite.depth.estimate(y), UNTOLD, DICTIONARY)
    prior = photo_prior(states[-1], UNTOLD, QUIET)
    whole = suite.restorer(y, suite.amf(y, states[-1], prior), _guess(y))[0]
    for kept in ((0.0, 1.0), (1.0, 0.0)):
        less = suite.restorer(y, suite.amf(y, states[-1], prior, torch.tensor([kept])), _guess(y))[0]
        assert float((less - whole).abs().max()) > 1e-6


def test_the_kernels_guess_reaches_the_result() -> None:
    suite = tiny_suite()
    y = torch.rand(1, 3, 16, 16)
    states = suite.svkr(y, suite.depth.estimate(y), UNTOLD, DICTIONARY)
    fused = suite.amf(y, states[-1], photo_prior(states[-1], UNTOLD, QUIET))
    with_it, without = (suite.restorer(y, fused, g)[0] for g in (_guess(y), luma_of(upscale_bicubic(y, 4))[:, None]))
    assert float((with_it - without).abs().max()) > 1e-5


def test_modalities_that_meet_at_every_second_pixel_agree_as_those_that_meet_at_each() -> None:
    """Where nothing changes from place to place there is no difference; single pixels of the photo are not lost."""
    near, apart = (tiny_suite(config=replace(TINY, amf=replace(TINY.amf, stride=n))) for n in (1, 2))
    apart.load_state_dict(near.state_dict())
    flat = torch.full((1, 3, 48, 48), 0.4)
    inner = (..., slice(18, 30), slice(18, 30))
    state = near.svkr(flat, torch.full((1, 1, 48, 48), 0.5), UNTOLD, DICTIONARY)[-1]
    steady = replace(state, **{k: v[..., 20:21, 20:21].expand_as(v) for k, v in vars(state).items()})
    prior = photo_prior(steady, UNTOLD, QUIET)
    with torch.no_grad():
        one, two = (suite.amf(flat, steady, prior) for suite in (near, apart))
        assert torch.allclose(one.pyramid[0][inner], two.pyramid[0][inner], atol=1e-5)
        assert torch.allclose(one.gates[inner], two.gates[inner], atol=1e-5)
        dot = flat.clone()
        dot[..., 24, 24] = 1.0
        seen = apart.amf(dot, steady, prior).pyramid[0] - two.pyramid[0]
    assert float(seen[..., 24, 24].abs().max()) > 2 * float(seen[..., 24, 28].abs().max())
    assert torch.allclose(two.gates.sum(1), torch.ones(1, 48, 48), atol=1e-5)


@pytest.mark.parametrize("fact", ["grain", "light"])
@pytest.mark.parametrize("asked", [True, False])
def test_what_is_known_of_the_whole_photo_reaches_those_who_ask(fact: str, asked: bool) -> None:
    """The suite for what nobody processed hears of grain and light; the cameras' one must not change by them."""
    suite = tiny_suite(config=replace(TINY, amf=replace(TINY.amf, facts=asked)))
    y = torch.rand(1, 3, 16, 16)
    state = suite.svkr(y, suite.depth.estimate(y), UNTOLD, DICTIONARY)[-1]
    prior = photo_prior(state, UNTOLD, QUIET)
    with torch.no_grad():
        one, other = (suite.amf(y, state, replace(prior, **{fact: torch.tensor([x])})).pyramid[0] for x in (0.0, 0.04))
    assert torch.equal(one, other) is not asked


def test_older_fusions_answer_as_they_did_when_they_begin_to_ask() -> None:
    plain = tiny_suite()
    asking = tiny_suite(1, replace(TINY, amf=replace(TINY.amf, facts=True)))
    asking.load_state_dict(grown(plain.state_dict(), asking.state_dict()))
    y = torch.rand(1, 3, 16, 16)
    state = plain.svkr(y, plain.depth.estimate(y), UNTOLD, DICTIONARY)[-1]
    prior = photo_prior(state, UNTOLD, torch.full((1,), 0.01))
    with torch.no_grad():
        before, now = (suite.amf(y, state, prior).pyramid[0] for suite in (plain, asking))
    assert torch.allclose(before, now, atol=1e-6)


def test_only_the_levels_that_are_needed_are_made() -> None:
    suite = tiny_suite()
    y = torch.rand(1, 3, 16, 16)
    state = suite.svkr(y, suite.depth.estimate(y), UNTOLD, DICTIONARY)[-1]
    every, one = (suite.amf(y, state, photo_prior(state, UNTOLD, QUIET), None, n).pyramid for n in (None, 1))
    assert (len(every), len(one)) == (3, 1)
    assert torch.equal(every[0], one[0])


def test_second_round_uses_the_photo_wide_answer() -> None:
    suite = tiny_suite()
    y = torch.rand(1, 3, 16, 16)
    depth = suite.depth.estimate(y)
    run = suite.svkr.begin(y, depth, UNTOLD)
    prior = photo_prior(suite.svkr.refine(run, None, DICTIONARY), UNTOLD, QUIET)
    assert len(run.states) == 1
    again = suite.svkr.refine(run, prior, DICTIONARY)
    whole = suite.svkr(y, depth, UNTOLD, DICTIONARY)
    assert torch.allclose(again.weights, whole[1].weights)
    run.states.pop()
    other = replace(prior, alpha=prior.alpha + 9)
    assert not torch.allclose(suite.svkr.refine(run, other, DICTIONARY).weights, whole[1].weights)


@pytest.mark.parametrize(("alpha", "beta"), [(8.0, -3.2), (-6.0, 5.0), (5.0, 1.0), (0.0, 2.5)])
def test_thin_lens_is_found_among_outliers(alpha: float, beta: float) -> None:
    generator = torch.Generator().manual_seed(3)
    d = torch.rand(1, 2000, generator=generator)
    radius = (alpha * d + beta).abs()
    radius[:, ::10] += 4.0
    prior = fit_prior(d, radius, torch.full_like(d, 0.3), *_unsaid(2000))
    predicted = prior.radius_of(d.view(1, 1, 1, -1)).flatten()
    clean = torch.ones(2000, dtype=torch.bool)
    clean[::10] = False
    assert float((predicted - radius[0]).abs()[clean].mean()) < 0.25


def test_confident_places_decide_the_fit() -> None:
    d = torch.rand(1, 1000)
    radius = (6 * d - 2).abs()
    trust = torch.full_like(d, 0.1)
    radius[:, :500], trust[:, :500] = 9.0, 8.0
    prior = fit_prior(d, radius, trust, *_unsaid(1000))
    assert float(prior.alpha.abs()) == pytest.approx(6.0, rel=0.15)


def test_trusted_places_decide_how_much_was_sharpened() -> None:
    gain = torch.tensor([[[0.8, 0.0, 0.0], [0.2, 0.6, 0.6]]])
    trust = torch.tensor([[2.0, 1.0, 1.0]])
    d = torch.rand(1, 3)
    prior = fit_prior(d, d, torch.ones_like(d), torch.zeros(1, 24, 3), gain, trust, UNTOLD, QUIET)
    assert torch.allclose(prior.gain, torch.tensor([[0.4, 0.4]]))


def test_a_checkpoint_of_an_older_version_answers_as_it_did() -> None:
    """Layers that have gained inputs and outputs since: the old ones do what they did, the new ones say nothing."""
    suite = tiny_suite()
    wanted = suite.state_dict()
    old = dict(wanted)
    for name in [n for n in wanted if "rounds" in n and ("enter" in n or "kernel_head" in n) and "depth" not in n]:
        old[name] = wanted[name][:-3] if "kernel_head" in name else wanted[name]
        if name.endswith("enter.weight"):
            old[name] = wanted[name][:, :-2]
    old["amf.kernel.0.weight"] = wanted["amf.kernel.0.weight"][:, :-3]
    old["svkr.encoder.stem.weight"] = wanted["svkr.encoder.stem.weight"][:, : -9 - PLANES]
    models = load_models(Checkpoint(TINY.to_dict(), old, {}), torch.device("cpu"))
    y = torch.rand(1, 3, 16, 16)
    state = models.suite.svkr(y, torch.zeros(1, 1, 16, 16), UNTOLD, DICTIONARY)[-1]
    assert not bool(state.gain.any())
    told = models.suite.svkr(y, torch.zeros(1, 1, 16, 16), torch.ones(1), DICTIONARY)[-1]
    assert torch.equal(told.weights, state.weights)
    for name, value in old.items():
        kept = models.suite.state_dict()[name]
        assert torch.equal(kept[tuple(slice(n) for n in value.shape)], value)
        assert float(kept.abs().sum()) == pytest.approx(float(value.abs().sum()), rel=1e-5)
    with pytest.raises(WeightsError, match="does not fit"):
        load_models(Checkpoint(TINY.to_dict(), {**old, "flow.head.bias": torch.zeros(99)}, {}), torch.device("cpu"))


def test_sampler_lands_on_the_models_answer() -> None:
    target = torch.rand(1, 3, 4, 4)
    for steps in (1, 2, 5):
        assert torch.allclose(sample(lambda z, t: target, torch.randn(1, 3, 4, 4), steps), target, atol=1e-6)


def test_sampler_follows_a_known_flow() -> None:
    # denoised(z, t) of a linear ODE dz/dt = a z has a closed form; Euler converges to exp(a) at first order.
    a = 0.5
    start = torch.ones(1, 1, 1, 1)
    errors = []
    for steps in (8, 16, 32):
        end = sample(lambda z, t: z + (1 - t).view(-1, 1, 1, 1) * a * z, start, steps)
        errors.append(abs(float(end) - math.exp(a)))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.1)


def test_noise_belongs_to_places_and_is_normal() -> None:
    whole = place_noise(7, 0, 0, 200, 300)
    part = place_noise(7, 50, 80, 30, 40)
    assert torch.equal(part, whole[..., 50:80, 80:120])
    for left, width in ((81, 39), (81, 40), (80, 1), (83, 1)):  # columns come in pairs, and are not cut by them
        assert torch.equal(place_noise(7, 50, left, 30, width), whole[..., 50:80, left : left + width])
    assert float(whole.mean()) == pytest.approx(0, abs=0.01)
    assert float(whole.std()) == pytest.approx(1, abs=0.01)
    assert not torch.equal(whole, place_noise(8, 0, 0, 200, 300))
    for dy, dx in ((0, 1), (1, 0), (1, 1)):
        a, b = whole[..., : 200 - dy, : 300 - dx], whole[..., dy:, dx:]
        assert abs(float((a * b).mean())) < 0.012
        assert abs(float((a.square() * b.square()).mean()) - 1) < 0.03
    assert abs(float((whole[:, 0] * whole[:, 1]).mean())) < 0.012
    kurtosis = float(whole.pow(4).mean())
    assert kurtosis == pytest.approx(3, abs=0.1)


def test_configuration_survives_json() -> None:
    import json

    assert SuiteConfig.from_dict(json.loads(json.dumps(SuiteConfig().to_dict()))) == SuiteConfig()
    older = SuiteConfig().to_dict()
    older.pop("consistency")
    assert SuiteConfig.from_dict(older).consistency.level == 1.0
    unknown = SuiteConfig().to_dict()
    unknown["svkr"]["magic"] = 1
    with pytest.raises(KeyError, match=r"svkr\.magic"):
        SuiteConfig.from_dict(unknown)


def test_attention_is_scaled_dot_product_attention() -> None:
    """The fusion's attention, place by place, against the library's own."""
    amf = tiny_suite().amf
    heads, size = amf.config.heads, amf.config.width // amf.config.heads
    tokens = torch.rand(2, 3 * amf.config.width, 4, 5)
    with torch.no_grad():
        planes = amf.qkv(tokens).reshape(2, 3, 3, heads, size, 4, 5).permute(2, 0, 5, 6, 3, 1, 4)
        q, k, v = (p.reshape(-1, heads, 3, size) for p in planes)
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        back = mixed.reshape(2, 4, 5, heads, 3, size).permute(0, 4, 3, 5, 1, 2).reshape(2, -1, 4, 5)
        assert torch.allclose(tokens + amf.merge(back), amf._attend(tokens), atol=1e-5)


def test_depth_leans_on_the_horizon_as_much_as_it_is_told() -> None:
    y = torch.rand(1, 3, 40, 56)
    net = tiny_suite().depth
    given = net.estimate(y)
    net.config = replace(net.config, ramp=0.0)
    bare = net.estimate(y)
    lower = torch.linspace(0, 1, 40).view(1, 1, -1, 1)
    assert torch.allclose(given * 1.2, bare + 0.2 * lower, atol=1e-6)
    assert 0 <= float(given.min()) <= float(given.max()) <= 1
