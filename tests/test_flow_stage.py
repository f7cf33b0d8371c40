"""What the flow's perceptual term is shown: both pictures alike, half of them softened, never locked to one grid."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssr_cli.training.options import TrainOptions
from ssr_cli.training.stage_flow import FlowStage
from tests.conftest import tiny_suite


class _Shown(torch.nn.Module):
    """A distance that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        self.pairs.append((a, b))
        return (a - b).square().mean((1, 2, 3))


class _Nowhere:
    device = torch.device("cpu")


def _stage() -> tuple[FlowStage, _Shown]:
    stage = FlowStage(tiny_suite(), _Nowhere(), TrainOptions("flow"))  # type: ignore[arg-type]
    shown = _Shown()
    stage.lpips = shown  # type: ignore[assignment]
    return stage, shown


def test_half_of_the_pictures_are_softened_and_their_truths_as_much() -> None:
    stage, shown = _stage()
    picture = torch.rand(64, 3, 24, 24)
    rng = np.random.default_rng(0)
    assert float(stage._perceived(picture, picture, rng)) == 0
    (a, b) = shown.pairs[0]
    assert torch.equal(a, b)
    rough = (a[..., 1:] - a[..., :-1]).square().mean((1, 2, 3)).sqrt()
    softened = rough < 0.9 * rough.max()
    assert 20 <= int(softened.sum()) <= 44


def test_every_offset_comes_up_and_gradients_flow() -> None:
    stage, shown = _stage()
    end = torch.rand(2, 3, 24, 24, requires_grad=True)
    truth = torch.arange(24.0 * 24).view(1, 1, 24, 24).expand(2, 3, 24, 24) / 576
    rng = np.random.default_rng(1)
    for _ in range(60):
        stage._perceived(end, truth, rng).backward()
    assert {tuple(a.shape[-2:]) for a, _ in shown.pairs} == {(21, 21)}
    # the truth's values say where it was cut: rows count 24, columns 1; softening leaves a ramp's middle as it is
    middles = {round(float(b[0, 0, 10, 10]) * 576) for _, b in shown.pairs}
    assert middles == {24 * (10 + y) + 10 + x for y in range(4) for x in range(4)}
    assert end.grad is not None
    assert float(end.grad.abs().min()) > 0
