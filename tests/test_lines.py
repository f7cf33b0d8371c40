"""The grid's lines: seen where they are, at their two periods and directions, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ssr_cli.evaluation.lines import line_distance, line_heights, strongest_line_db
from ssr_cli.evaluation.selfcheck import GOLDEN, pictures
from ssr_cli.physics.sharpening import soften


def _photo() -> torch.Tensor:
    noise = torch.rand(2, 3, 192, 192, generator=torch.Generator().manual_seed(3))
    return soften(noise, torch.tensor([0.8, 1.2]))


@pytest.mark.parametrize(("line", "period", "across"), [(0, 4, False), (1, 4, True), (2, 2, False), (3, 2, True)])
def test_a_weave_raises_its_own_line_alone(line: int, period: int, across: bool) -> None:
    photo = _photo()
    wave = 0.01 * torch.cos(2 * torch.pi * torch.arange(192) / period)
    raised = line_heights(photo + (wave if across else wave[:, None])) - line_heights(photo)
    others = [i for i in range(4) if i != line]
    assert float(raised[line]) > 0.5
    assert float(raised[others].abs().max()) < 0.1 * float(raised[line])


def test_a_weave_that_comes_and_goes_with_the_detail_is_seen_too() -> None:
    photo = _photo()
    detail = torch.randn(2, 1, 1, 192, generator=torch.Generator().manual_seed(7)) * 0.02
    wave = torch.cos(2 * torch.pi * torch.arange(192.0) / 4)[:, None]
    raised = line_heights(photo + detail * wave) - line_heights(photo)
    assert float(raised[0]) > 0.5


@pytest.mark.parametrize("period", [3, 5.5, 8])
def test_patterns_of_other_periods_raise_none(period: float) -> None:
    photo = _photo()
    wave = 0.01 * torch.cos(2 * torch.pi * torch.arange(192) / period)
    assert float((line_heights(photo + wave) - line_heights(photo)).max()) < 0.05


def test_pictures_without_a_grid_have_no_lines() -> None:
    white = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(1))
    assert float(line_heights(white).abs().max()) < 0.12  # a ratio of two averages of chance
    assert strongest_line_db(torch.full((3, 64, 64), 0.5)) == pytest.approx(0, abs=1e-3)


def test_the_reference_pictures_line_by_independent_code() -> None:
    """In float64, patch by patch, with a plain sum over frequencies."""
    soft = pictures()[1].double().numpy()
    luma = np.tensordot([0.299, 0.587, 0.114], soft, 1)
    side = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(32) / 32)
    window = np.outer(side, side)
    window /= math.sqrt(float((window**2).mean()))
    heights = []
    for line, beside in ((8, (5, 6, 10, 11)), (16, (13, 14))):
        for turned in (luma.T, luma):
            ratios = []
            for top in range(0, 192, 32):
                for left in range(0, 192, 32):
                    patch = turned[top : top + 32, left : left + 32]
                    power = (np.abs(np.fft.fft((patch - patch.mean()) * window, axis=1)) ** 2 / 32).mean(0)
                    power += (0.1 / 255) ** 2
                    ratios.append(power[line] / np.exp(np.log(power[list(beside)]).mean()))
            heights.append(10 * math.log10(np.mean(ratios)))
    assert max(heights) == pytest.approx(GOLDEN["grid_db"], abs=1e-3)


def test_distance_is_nought_for_equals_and_its_gradient_finite_for_flat_ones() -> None:
    photo = _photo()
    assert float(line_distance(photo, photo)) == 0
    flat = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    line_distance(flat, photo[:1, :, :64, :64]).backward()
    assert flat.grad is not None
    assert bool(flat.grad.isfinite().all())
