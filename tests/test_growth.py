"""Networks with more blocks or inputs than a checkpoint begin as what the checkpoint was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ssr_cli.growth import begun_from, grown
from ssr_cli.models.blocks import UNet, conv3, in_strips
from ssr_cli.suite import Suite
from tests.conftest import TINY, tiny_suite


def test_a_net_with_more_blocks_answers_as_the_smaller_one_did() -> None:
    torch.manual_seed(0)
    small, large = (UNet(5, (8, 8, 8), (1, 1, 1), decoder) for decoder in ((1, 1), (4, 2)))
    for value in small.parameters():
        torch.nn.init.normal_(value, 0, 0.2)
    large.load_state_dict(begun_from(small.state_dict(), large.state_dict()))
    x = torch.rand(1, 5, 16, 16)
    assert torch.allclose(small(x), large(x), atol=1e-6)
    # and its new blocks can learn
    large(x).square().mean().backward()
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


@pytest.mark.parametrize("height", [1, 63, 64, 65, 128, 200])
def test_a_convolution_in_strips_is_that_of_the_whole(height: int) -> None:
    torch.manual_seed(1)
    layer, x = conv3(7, 5), torch.rand(2, 7, height, 9)
    planes = [x[:, :3], x[:, 3:]]
    with torch.inference_mode():
        expected = layer(x)
    asked: list[int] = []
    layer.register_forward_pre_hook(lambda _, inputs: asked.append(inputs[0].shape[-2]))
    with torch.inference_mode():
        strips = in_strips(layer, planes)
        assert torch.allclose(strips, expected, atol=1e-6)
    assert max(asked) <= 66
    whole = in_strips(layer, planes)  # with gradients there is nothing to save
    assert asked[-1] == height
    assert whole.requires_grad
