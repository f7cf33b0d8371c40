"""The bank: every draw is learnt from about as often as it should be, and a step's batch depends on the step alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import torch

from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.svkr import RoundState
from ssr_cli.training import bank
from ssr_cli.training.bank import BATCHES, USES, Bank
from ssr_cli.training.pool import Crops
from ssr_cli.training.surroundings import Conditions

_BATCH = 3


def _draw(n: int) -> tuple[Crops, Conditions]:
    """Crops that are numbers of their own."""
    names = torch.arange(n * BATCHES * _BATCH, (n + 1) * BATCHES * _BATCH).float().view(-1, 1, 1, 1)
    crops = Crops(**{f.name: names for f in fields(Crops)})
    state = RoundState(**{f.name: names for f in fields(RoundState)})
    prior = PhotoPrior(**{f.name: names[:, 0, 0, 0] for f in fields(PhotoPrior)})
    return crops, Conditions(state, prior, names[:, :2, 0, 0], names)


def test_what_belongs_together_stays_together() -> None:
    crops, told = Bank(_draw, _BATCH, (1,)).batch(40)
    assert crops.hr.shape == (_BATCH, 1, 1, 1)
    assert torch.equal(crops.hr, told.guess)
    assert torch.equal(crops.lr, told.state.radius_px)
    assert torch.equal(crops.lr[:, 0, 0, 0], told.prior.alpha)
    assert told.drop is not None
    assert torch.equal(crops.lr[:, :, 0, 0], told.drop)
    assert len(set(crops.lr.flatten().tolist())) == _BATCH


def test_nothing_dropped_stays_nothing() -> None:
    def without(n: int) -> tuple[Crops, Conditions]:
        crops, told = _draw(n)
        return crops, Conditions(told.state, told.prior, None, told.guess)

    assert Bank(without, _BATCH, (1,)).batch(0)[1].drop is None


def test_a_step_gets_the_same_whether_the_run_was_stopped_or_not() -> None:
    whole = Bank(_draw, _BATCH, (1,))
    seen = [whole.batch(step)[0].lr for step in range(60)]
    assert torch.equal(Bank(_draw, _BATCH, (1,)).batch(57)[0].lr, seen[57])
    assert not torch.equal(Bank(_draw, _BATCH, (2,)).batch(57)[0].lr, seen[57])


def test_crops_are_used_as_often_as_said_and_drawn_once() -> None:
    drawn: list[int] = []

    def counted(n: int) -> tuple[Crops, Conditions]:
        drawn.append(n)
        return _draw(n)

    held = Bank(counted, _BATCH, (1,))
    steps = 80 * USES * BATCHES
    uses = Counter(int(v) for step in range(steps) for v in held.batch(step)[0].lr.flatten())
    assert drawn == list(range(len(drawn)))  # each once, in order
    settled = [uses[i] for i in range(20 * BATCHES * _BATCH, 60 * BATCHES * _BATCH)]
    assert abs(sum(settled) / len(settled) - USES) < 0.2 * USES
    assert len(held._held) == bank._DRAWS
