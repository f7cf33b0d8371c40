"""Networks with more blocks or inputs than a checkpoint begin as what the checkpoint was."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
import torch

from ssr_cli.growth import begun_from, grown
from ssr_cli.models.blocks import UNet, everywhere, narrowing
from ssr_cli.models.svkr import RoundState
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.suite import Suite, SuiteConfig, load_models
from ssr_cli.weights import Checkpoint
from tests.conftest import TINY, tiny_suite


def test_a_net_with_more_blocks_answers_as_the_smaller_one_did() -> None:
    torch.manual_seed(0)
    small, large = (UNet(5, (8, 8, 8), (1, 1, 1), decoder) for decoder in ((1, 1), (4, 2)))
    for value in small.parameters():
        torch.nn.init.normal_(value, 0, 0.2)
    large.load_state_dict(begun_from(small.state_dict(), large.state_dict()))
    x = torch.rand(1, 5, 16, 16)
    assert torch.allclose(small([x]), large([x]), atol=1e-6)
    # and its new blocks can learn
    large([x]).square().mean().backward()
    assert bool(large.up_blocks[0][3].conv2.weight.grad.any())


def test_a_suite_begins_from_a_checkpoint_with_fewer_blocks() -> None:
    state = tiny_suite().state_dict()
    larger = Suite(replace(TINY, flow=replace(TINY.flow, decoder=(3, 1))))
    missing = set(larger.state_dict()) - set(state)
    assert missing
    begun = begun_from(state, larger.state_dict())
    larger.load_state_dict(begun)
    assert all(torch.equal(begun[name], state[name]) for name in state)
    with pytest.raises(RuntimeError, match="Missing key"):
        larger.load_state_dict(grown(state, larger.state_dict()))


def test_training_begins_anew_where_convolutions_cover_other_places() -> None:
    every, fourth = (Suite(replace(TINY, svkr=replace(TINY.svkr, stride=stride))) for stride in (1, 4))
    begun = begun_from(every.state_dict(), fourth.state_dict())
    fourth.load_state_dict(begun)
    enter = "svkr.rounds.0.enter.weight"
    assert begun[enter].shape[-1] == 6
    assert bool(begun[enter].any())
    assert torch.equal(begun["svkr.encoder.stem.weight"], every.state_dict()["svkr.encoder.stem.weight"])


def test_rounds_of_a_checkpoint_before_they_had_a_stride_answer_as_they_did() -> None:
    """Two named blocks at every LR pixel, and a configuration that says nothing of either."""
    config = replace(TINY, svkr=replace(TINY.svkr, hidden=48, blocks=2, stride=1, depth_widths=()))
    suite = tiny_suite(config=config)
    numbered = re.compile(r"(svkr\.rounds\.\d\.)blocks\.(\d)")
    state = {numbered.sub(lambda m: f"{m[1]}block{int(m[2]) + 1}", k): v for k, v in suite.state_dict().items()}
    assert "svkr.rounds.1.block2.conv1.weight" in state
    state["svkr.rounds.0.depth_block.conv1.weight"] = torch.rand(32, 32, 3, 3)  # of layers that are no more
    said = config.to_dict()
    for name in ("hidden", "blocks", "stride", "depth_widths", "depth_rounds"):
        del said["svkr"][name]
    read = load_models(Checkpoint(said, state, {}), torch.device("cpu")).suite
    assert all(torch.equal(value, read.state_dict()[name]) for name, value in suite.state_dict().items())
    assert read.config == config


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_round_speaks_of_every_pixel_and_of_none_beside_it(stride: int) -> None:
    """What goes in and what comes out lie in the middle of the places they stand for: a slope stays where it was."""
    suite = tiny_suite(config=replace(TINY, svkr=replace(TINY.svkr, stride=stride)))
    slope = torch.arange(64.0).expand(1, 1, 64, 64)
    inner = (..., slice(8, -8))
    cells = torch.nn.functional.avg_pool2d(slope, stride)
    assert torch.allclose(everywhere(cells, suite.svkr.rounds[0].stride)[inner], slope[inner], atol=1e-4)
    layer = narrowing(1, 1, stride)
    torch.nn.init.constant_(layer.weight, 1 / (stride + 2) ** 2)
    torch.nn.init.zeros_(layer.bias)
    there = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    assert torch.allclose(layer(slope)[there], cells[there], atol=1e-4)
    dictionary = default_dictionary()
    with torch.inference_mode():
        state = suite.svkr(torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64), torch.tensor([0.5]), dictionary)[-1]
    assert all(getattr(state, f.name).shape[-2:] == (64, 64) for f in fields(RoundState))
    assert torch.allclose(state.weights.sum(1), torch.ones(1, 64, 64), atol=1e-5)
    assert torch.allclose(state.code, torch.einsum("blhw,lp->bphw", state.weights, dictionary.codes), atol=1e-4)


def test_a_restorer_that_was_told_of_every_channel_takes_luma_for_each() -> None:
    suite = tiny_suite()
    stem = suite.restorer.net.stem
    wide = torch.rand(*stem.weight.shape[:1], 3 + 3 * 16, 3, 3)
    old = suite.state_dict() | {"restorer.net.stem.weight": wide}
    suite.load_state_dict(grown(old, suite.state_dict()))
    photo, detail = torch.rand(1, 3, 8, 8), torch.rand(1, 16, 8, 8)
    expected = torch.nn.functional.conv2d(torch.cat([photo, *[detail] * 3], 1), wide, stem.bias, padding=1)
    assert torch.allclose(stem(torch.cat([photo, detail], 1)), expected, atol=1e-4)


def test_a_refiner_that_only_added_to_depth_is_left_out() -> None:
    suite = tiny_suite()
    old = suite.state_dict() | {
        "svkr.refiner.head.weight": torch.rand(1, 8, 3, 3),
        "svkr.refiner.head.bias": torch.tensor([0.4]),
    }
    said = TINY.to_dict()
    del said["svkr"]["depth_rounds"]
    said["svkr"]["depth_step"] = 0.5
    read = load_models(Checkpoint(said, old, {}), torch.device("cpu")).suite
    assert read.svkr.refiner is None
    y, depth = torch.rand(1, 3, 16, 16), torch.rand(1, 1, 16, 16)
    with torch.inference_mode():
        assert torch.equal(read.svkr(y, depth, torch.tensor([0.5]), default_dictionary())[-1].disparity, depth)
    begun = begun_from(old, suite.state_dict())
    assert torch.equal(begun["svkr.refiner.head.bias"], suite.state_dict()["svkr.refiner.head.bias"])


def test_training_begins_from_a_checkpoint_of_more_blocks() -> None:
    larger, smaller = tiny_suite(), Suite(replace(TINY, flow=replace(TINY.flow, widths=(8,), encoder=(1,), decoder=())))
    begun = begun_from(larger.state_dict(), smaller.state_dict())
    smaller.load_state_dict(begun)
    assert torch.equal(begun["flow.net.stem.weight"], larger.state_dict()["flow.net.stem.weight"])


def test_fusion_at_every_pixel_is_what_it_was() -> None:
    """A checkpoint that says nothing of how far apart modalities attend had them attend everywhere."""
    said = TINY.to_dict()
    del said["amf"]["stride"]
    suite = tiny_suite(config=replace(TINY, amf=replace(TINY.amf, stride=1)))
    read = load_models(Checkpoint(said, suite.state_dict(), {}), torch.device("cpu")).suite
    assert read.config.amf.stride == 1


def test_a_flow_of_a_checkpoint_before_it_looked_at_single_places_looks_around() -> None:
    told = SuiteConfig().to_dict()
    assert SuiteConfig.from_dict(told).flow.stem == 1
    told["flow"].pop("stem")
    around = Suite(SuiteConfig.from_dict(told)).flow.net.stem
    assert around.kernel_size == (3, 3)
    assert around.padding == (1, 1)
