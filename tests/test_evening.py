"""What a flow adds is evened out: faint texture grows, strong edges shrink, flat places and tiles stay as they are."""

from __future__ import annotations

import pytest
import torch

from ssr_cli.diffusion.evening import evened

CAMERA, REDUCED = torch.ones(1), torch.zeros(1)
#: HR pixels that a place's factor hears of on every side: half of the window, and the interpolation.
_REACH = 4 * 6


def _added(amplitude: float, side: int = 96) -> torch.Tensor:
    return amplitude * torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("amplitude", "least", "most"), [(0.5, 1.2, 1.251), (4.3, 0.9, 1.1), (30.0, 0.749, 0.8)])
def test_the_faint_grows_and_the_strong_shrinks(amplitude: float, least: float, most: float) -> None:
    mean, added = torch.rand(1, 3, 96, 96), _added(amplitude / 255)
    factor = (evened(mean, mean + added, CAMERA, 4) - mean).square().mean().sqrt() / added.square().mean().sqrt()
    assert least <= float(factor) <= most


def test_where_nothing_is_added_nothing_is_changed() -> None:
    mean = torch.rand(1, 3, 64, 64)
    assert torch.allclose(evened(mean, mean.clone(), CAMERA, 4), mean, atol=1e-7)


def test_order_of_amplitudes_is_kept() -> None:
    """Evening must never make the stronger of two textures the fainter one."""
    results = []
    for amplitude in (0.3, 1.0, 3.0, 9.0, 27.0):
        mean, added = torch.zeros(1, 3, 64, 64), _added(amplitude / 255, 64)
        results.append(float(evened(mean, added.clone(), CAMERA, 4).square().mean()))
    assert results == sorted(results)


def test_a_window_gives_what_the_whole_gives() -> None:
    mean, drawn = torch.rand(1, 3, 160, 160), torch.rand(1, 3, 160, 160)
    whole = evened(mean, drawn.clone(), CAMERA, 4)
    window = evened(mean[..., 32:128, 32:128], drawn[..., 32:128, 32:128].clone(), CAMERA, 4)
    inner = slice(_REACH, 96 - _REACH)
    assert torch.allclose(window[..., inner, inner], whole[..., 32:128, 32:128][..., inner, inner], atol=1e-6)


@pytest.mark.parametrize("amplitude", [0.5, 30.0])
def test_of_what_no_camera_took_everything_shrinks_alike(amplitude: float) -> None:
    mean, added = torch.rand(1, 3, 64, 64), _added(amplitude / 255, 64)
    assert torch.allclose(evened(mean, mean + added, REDUCED, 4), mean + 0.85 * added, atol=1e-6)
    between = evened(mean, mean + added, torch.tensor([0.5]), 4) - mean
    ends = [evened(mean, mean + added, told, 4) - mean for told in (CAMERA, REDUCED)]
    assert torch.allclose(between, (ends[0] + ends[1]) / 2, atol=1e-6)
