"""Weights in eight bits: half the file, off by half a step at most, and nothing else touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from ssr_cli import weights
from ssr_cli.eight_bits import in_eight_bits, in_floats
from ssr_cli.errors import WeightsError
from tests.conftest import TINY, tiny_suite

#: With a first convolution of the flow that is large enough to be kept in eight bits.
LOOKING = replace(TINY, flow=replace(TINY.flow, stem=3))


def _state(size: float = 1.0) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "flow.large.weight": size * torch.randn(16, 32, 3, 3) * torch.logspace(-3, 1, 16).view(-1, 1, 1, 1),
        "flow.large.bias": torch.randn(16),
        "flow.small.weight": torch.randn(4, 4, 1, 1),
        "svkr.large.weight": torch.randn(16, 32, 3, 3),
    }


@given(st.floats(1e-4, 1e4))
def test_every_channel_is_off_by_half_a_step_at_most(size: float) -> None:
    state = _state(size)
    back = in_floats(in_eight_bits(state, ("flow.",)))
    assert set(back) == set(state)
    weight = state["flow.large.weight"]
    steps = weight.abs().amax((1, 2, 3), keepdim=True) / 127
    assert bool(((back["flow.large.weight"] - weight).abs() <= 0.5001 * steps).all())


def test_what_is_small_or_of_another_part_keeps_sixteen_bits() -> None:
    state = _state()
    stored = in_eight_bits(state, ("flow.",))
    assert {name for name, value in stored.items() if value.dtype == torch.int8} == {"flow.large.weight"}
    assert stored["flow.large.weight.scales"].shape == (16,)
    for name in ("flow.large.bias", "flow.small.weight", "svkr.large.weight"):
        assert torch.equal(stored[name], state[name].half())


def test_stored_twice_is_the_same_as_stored_once() -> None:
    once = in_eight_bits(_state(), ("flow.",))
    twice = in_eight_bits(in_floats(once), ("flow.",))
    assert all(torch.equal(once[name], twice[name]) for name in once if once[name].dtype == torch.int8)


def test_a_channel_of_zeros_stays_zero() -> None:
    state = {"flow.a": torch.zeros(64, 64, 3, 3)}
    assert not bool(in_floats(in_eight_bits(state, ("flow.",)))["flow.a"].any())


def test_a_checkpoint_in_eight_bits_is_read_like_any_other_and_is_smaller(tmp_path: Path) -> None:
    suite = tiny_suite(config=LOOKING)
    files = {bits: tmp_path / f"{len(bits)}.safetensors" for bits in ((), ("flow", "restorer"))}
    for bits, path in files.items():
        weights.save_checkpoint(path, LOOKING.to_dict(), suite.state_dict(), {}, bits)
    plain, small = (weights.load_checkpoint(str(path)).state for path in files.values())
    assert set(plain) == set(small)
    for name, value in plain.items():
        assert small[name].dtype == torch.float32
        assert torch.allclose(small[name], value, atol=0.006 * float(value.abs().max()) + 1e-6), name
    assert files[("flow", "restorer")].stat().st_size < files[()].stat().st_size


def test_weights_without_their_scales_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights.save_checkpoint(path, LOOKING.to_dict(), tiny_suite(config=LOOKING).state_dict(), {}, ("flow.",))
    tensors = load_file(path)
    tensors.pop("flow.net.stem.weight.scales")
    save_file(tensors, path, {"config": "{}", "provenance": "{}"})
    with pytest.raises(WeightsError, match="is not a checkpoint of ssr"):
        weights.load_checkpoint(str(path))
