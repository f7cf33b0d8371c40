"""Compiled networks learn what they learn when they are not: every parameter has the same gradient.

A compiler that loses a gradient makes no error and no noise: half of a network stays as it was, and the other half
learns around it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.models.amf import Fused
from ssr_cli.models.blocks import twice
from ssr_cli.models.cues import CUES
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.suite import Suite
from tests.conftest import TINY, tiny_suite

compiled = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("c++", "g++", "clang++")), reason="compiling needs a C++ compiler"
)


def _suite() -> Suite:
    """Networks as wide as a processor's registers: in narrower ones, the defect this is for does not show."""
    widths = (32, 32, 32)
    svkr, flow = replace(TINY.svkr, widths=widths), replace(TINY.flow, widths=widths, features=32)
    return tiny_suite(config=replace(TINY, svkr=svkr, flow=flow))


def _encoder(suite: Suite) -> tuple[nn.Module, Callable[[], Tensor]]:
    planes = torch.rand(2, suite.svkr.encoder.stem.in_channels, 16, 16)
    assert planes.shape[1] > CUES
    return suite.svkr.encoder, lambda: suite.svkr.encoder([planes])


def _round(suite: Suite) -> tuple[nn.Module, Callable[[], Tensor]]:
    turn, features, depth = suite.svkr.rounds[0], torch.rand(2, 32, 16, 16), torch.rand(2, 1, 16, 16)
    code = torch.zeros(2, suite.svkr.config.code, 16, 16)

    def answer() -> Tensor:
        state = turn(features, depth, code, None, default_dictionary())
        parts = (state.code, state.covariance, state.confidence_px, state.noise, state.disparity, state.gain)
        return torch.cat([part.flatten(1) for part in (*parts, state.gain_trust)], 1)

    return turn, answer


def _flow(suite: Suite) -> tuple[nn.Module, Callable[[], Tensor]]:
    fused = Fused([torch.rand(2, 6, 16 >> i, 16 >> i) for i in range(3)], torch.rand(2, 3, 16, 16))
    z, mean, features = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64), torch.rand(2, 32, 16, 16)
    t = torch.tensor([0.0, 0.5])
    return suite.flow, lambda: suite.flow(z, t, mean, features, fused)


def _gradients(network: nn.Module, answer: Callable[[], Tensor]) -> dict[str, Tensor]:
    network.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16):
        said = answer()
    weights = torch.linspace(-1, 1, said.numel()).view(said.shape)
    (said.float() * weights).sum().backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


@compiled
@pytest.mark.parametrize("of", [_encoder, _round, _flow])
def test_compiled_in_bfloat16_every_parameter_learns_the_same(
    of: Callable[[Suite], tuple[nn.Module, Callable[[], Tensor]]],
) -> None:
    network, answer = of(_suite())
    network.train().requires_grad_(True)
    plain = _gradients(network, answer)
    network.compile(dynamic=False)
    found = _gradients(network, answer)
    assert set(found) == set(plain)
    for name, gradient in plain.items():
        assert float(gradient.norm()) > 0, name
        assert float((found[name] - gradient).norm()) <= 0.1 * float(gradient.norm()), name


def test_twice_is_nearest_interpolation_with_and_without_a_gradient() -> None:
    x = torch.rand(2, 3, 5, 7, requires_grad=True)
    wanted = F.interpolate(x, scale_factor=2.0, mode="nearest")
    assert torch.equal(twice(x), wanted)
    with torch.no_grad():
        assert torch.equal(twice(x), wanted)
    weights = torch.rand_like(wanted)
    (found,) = torch.autograd.grad((twice(x) * weights).sum(), x)
    (expected,) = torch.autograd.grad((wanted * weights).sum(), x)
    assert torch.allclose(found, expected)
