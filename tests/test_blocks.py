"""Pieces of networks against the plain way to say them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ssr_cli.image.cells import in_cells
from ssr_cli.models.blocks import (
    ResBlock,
    _bicubic_filters,
    in_parts,
    mean_around,
    narrowing,
    upscale_bicubic,
)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [(1, 3), (2, 2), (3, 1), (8, 5)])
def test_a_convolution_in_parts_is_that_of_the_whole(stride: int, size: tuple[int, int]) -> None:
    """Borders of what is the same everywhere included, and with and without gradients."""
    torch.manual_seed(1)
    layer = narrowing(12, 5, stride)
    h, w = size[0] * stride, size[1] * stride
    planes = [torch.rand(2, 3, h, w), torch.rand(2, 4, 1, 1), torch.rand(2, 5, h, w)]
    expected = layer(torch.cat([plane.expand(-1, -1, h, w) for plane in planes], 1))
    learning = in_parts(layer, planes)
    assert torch.allclose(learning, expected, atol=1e-6)
    with torch.inference_mode():
        assert torch.equal(in_parts(layer, planes), learning)
    learning.square().sum().backward()
    found, layer.weight.grad = layer.weight.grad, None
    expected.square().sum().backward()
    assert found is not None
    assert layer.weight.grad is not None
    assert torch.allclose(found, layer.weight.grad, rtol=1e-4, atol=1e-4)


def test_a_convolution_of_single_places_in_parts_is_that_of_the_whole() -> None:
    torch.manual_seed(1)
    layer = torch.nn.Conv2d(7, 5, 1)
    planes = [torch.rand(2, 3, 6, 4), torch.rand(2, 4, 1, 1)]
    expected = layer(torch.cat([planes[0], planes[1].expand(-1, -1, 6, 4)], 1))
    assert torch.allclose(in_parts(layer, planes), expected, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (13, 9)])
def test_interpolation_by_a_convolution_is_bicubic_interpolation(scale: int, size: tuple[int, int]) -> None:
    y = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(y, scale_factor=float(scale), mode="bicubic", align_corners=False)
    found = upscale_bicubic(y, scale)
    assert torch.allclose(found, expected, atol=5e-6)
    with torch.autocast("cpu", torch.bfloat16):  # also where networks compute with sixteen bits
        assert torch.equal(upscale_bicubic(y, scale), found)


def test_interpolation_can_be_learnt_through_whoever_asked_for_it_first() -> None:
    _bicubic_filters.cache_clear()
    with torch.inference_mode():
        upscale_bicubic(torch.rand(1, 1, 4, 4), 2)
    y = torch.rand(1, 1, 4, 4, requires_grad=True)
    upscale_bicubic(y, 2).sum().backward()
    assert y.grad is not None
    assert float(y.grad.sum()) == pytest.approx(64, rel=1e-4)


def test_cells_are_those_of_pixel_unshuffle_in_the_layout_of_convolutions() -> None:
    picture = torch.rand(2, 3, 12, 20)
    cells = in_cells(picture, 4)
    assert torch.equal(cells, F.pixel_unshuffle(picture, 4))
    assert cells.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [3, 7, 15])
def test_means_around_a_place_are_those_of_one_window(side: int) -> None:
    plane = torch.rand(2, 3, 11, 17)
    wide = F.pad(plane, (side // 2,) * 4, mode="replicate")
    assert torch.allclose(mean_around(plane, side), F.avg_pool2d(wide, side, 1), atol=1e-6)


def test_a_block_answers_the_same_whether_or_not_it_learns() -> None:
    torch.manual_seed(1)
    block = ResBlock(8, 4)
    for value in block.parameters():
        torch.nn.init.normal_(value, 0, 0.3)
    x, condition = torch.rand(2, 8, 9, 7), torch.rand(2, 4, 9, 7)
    begun = x.clone()
    learning = block(x, condition)
    with torch.inference_mode():
        assert torch.allclose(block(x, condition), learning, atol=1e-5)
        assert torch.allclose(block(x), x + block.conv2(F.silu(block.conv1(x))), atol=1e-5)
    assert torch.equal(x, begun)  # what came in is not written to
