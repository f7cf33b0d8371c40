"""What a flow adds is evened out: faint texture grows, strong edges shrink, flat places and tiles stay as they are."""

from __future__ import annotations

import pytest
import torch

from ssr_cli.diffusion.evening import evened

CAMERA, REDUCED = torch.ones(1), torch.zeros(1)
#: LR pixels that a place's factor hears of on every side.
_REACH = 4


def _added(amplitude: float, side: int = 24) -> torch.Tensor:
    return amplitude * torch.randn(1, 48, side, side, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(("amplitude", "least", "most"), [(0.5, 1.2, 1.251), (4.3, 0.9, 1.1), (30.0, 0.749, 0.8)])
def test_the_faint_grows_and_the_strong_shrinks(amplitude: float, least: float, most: float) -> None:
    added = _added(amplitude / 255)
    factor = evened(added.clone(), CAMERA).square().mean().sqrt() / added.square().mean().sqrt()
    assert least <= float(factor) <= most


@pytest.mark.parametrize("told", [CAMERA, REDUCED])
def test_where_nothing_is_added_nothing_is_changed(told: torch.Tensor) -> None:
    assert not evened(torch.zeros(1, 48, 16, 16), told).any()


def test_order_of_amplitudes_is_kept() -> None:
    """Evening must never make the stronger of two textures the fainter one."""
    amplitudes = (0.3, 1.0, 3.0, 9.0, 27.0)
    results = [float(evened(_added(amplitude / 255), CAMERA).square().mean()) for amplitude in amplitudes]
    assert results == sorted(results)


def test_a_window_gives_what_the_whole_gives() -> None:
    added = torch.rand(1, 48, 40, 40)
    whole = evened(added.clone(), CAMERA)
    window = evened(added[..., 8:32, 8:32].clone(), CAMERA)
    inner = slice(_REACH, 24 - _REACH)
    assert torch.allclose(window[..., inner, inner], whole[..., 8:32, 8:32][..., inner, inner], atol=1e-6)


@pytest.mark.parametrize("amplitude", [0.5, 30.0])
def test_of_what_no_camera_took_everything_shrinks_alike(amplitude: float) -> None:
    added = _added(amplitude / 255)
    assert torch.allclose(evened(added.clone(), REDUCED), 0.75 * added, atol=1e-6)
    between = evened(added.clone(), torch.tensor([0.5]))
    ends = [evened(added.clone(), told) for told in (CAMERA, REDUCED)]
    assert torch.allclose(between, (ends[0] + ends[1]) / 2, atol=1e-6)
