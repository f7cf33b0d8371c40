"""Distilling: a student that is its teacher has nothing to learn, and what it is told reaches what it should."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ssr_cli.suite import Suite
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.stage_distil import DistilStage
from tests.conftest import TINY, NoisePool, tiny_suite

SMALLER = replace(
    TINY,
    restorer=replace(TINY.restorer, widths=(8,), encoder=(1,), decoder=(), conditions=(6,)),
    flow=replace(TINY.flow, widths=(8,), encoder=(1,), decoder=(), conditions=(6,)),
)
OPTIONS = TrainOptions(stage="distil", batch=2, crop=16)


def _stage(student: Suite) -> DistilStage:
    return DistilStage(student, tiny_suite(), NoisePool(), OPTIONS)


@pytest.mark.parametrize("t", [None, torch.tensor([0.3, 0.9])])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(t: torch.Tensor | None) -> None:
    same, other = _stage(tiny_suite()), _stage(tiny_suite(seed=1, config=SMALLER))
    with torch.no_grad():
        figures = same._compared(same.bank.batch(0), t)[1]
        apart = other._compared(other.bank.batch(0), t)[1]
    assert all(float(value) < 1e-3 for value in figures.values())
    assert all(float(value) > 1e-3 for value in apart.values())


def test_a_smaller_student_learns_from_a_larger_teacher_which_does_not_change() -> None:
    stage = _stage(tiny_suite(seed=1, config=SMALLER))
    before = {name: value.clone() for name, value in stage.teacher.state_dict().items()}
    optimiser = torch.optim.Adam(stage.trained.parameters(), 3e-3)
    first = stage.validate()
    for step in range(12):
        optimiser.zero_grad()
        stage.loss(step)[0].backward()
        optimiser.step()
    last = stage.validate()
    assert last["mean_255"] < 0.8 * first["mean_255"]
    assert last["flow_255"] < 0.8 * first["flow_255"]
    assert all(torch.equal(value, before[name]) for name, value in stage.teacher.state_dict().items())
    assert all(p.grad is None for p in (*stage.teacher.parameters(), *stage.suite.svkr.parameters()))


def test_the_mean_learns_from_the_teachers_mean_alone() -> None:
    stage = _stage(tiny_suite(seed=1, config=SMALLER))
    batch = stage.bank.batch(0)
    gradients = []
    for lesson in (batch[2], replace(batch[2], end=batch[2].end + 0.3 * torch.rand_like(batch[2].end))):
        stage.trained.zero_grad()
        stage._compared((*batch[:2], lesson))[0].backward()
        head, flow = stage.suite.restorer.head.weight, stage.suite.flow.head.weight
        gradients.append((head.grad.clone(), flow.grad.clone()))
    assert torch.allclose(gradients[0][0], gradients[1][0], atol=1e-7)
    assert not torch.allclose(gradients[0][1], gradients[1][1], rtol=0.01)
