"""A bank of crops: drawn once, learnt from a few times, then replaced.

Drawing a crop (its noise and compression; behind SVKR its answer and the first guess, too) takes as long as learning
from it. Learnt from a few times, some minutes apart and beside others each time, it is worth nearly as much as a new
one; so most of the time goes to learning. What a step gets depends on the step alone: a run that is resumed goes on as
if it had not stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from ssr_cli.suite import Suite
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool
from ssr_cli.training.surroundings import Conditions, draw

#: How often a crop is learnt from, on average; draws in the bank; batches in a draw.
USES, _DRAWS, BATCHES = 4, 12, 2
#: Crops that a draw takes from each of the larger ones SVKR is asked about.
CROPS_OF_EACH = 4
#: What is drawn: tensors by crop, records of them, or tuples of records.
D = TypeVar("D")


class Bank(Generic[D]):
    """Batches out of the last few draws.

    Args:
        draw: makes draw n, a pure function of n, of `BATCHES` batches.
        batch: B.
        seed: decides who meets whom.
    """

    def __init__(self, draw: Callable[[int], D], batch: int, seed: tuple[int, ...]) -> None:
        self._draw = draw
        self._batch = batch
        self._seed = seed
        self._held: dict[int, D] = {}

    def batch(self, step: int) -> D:
        """What a step learns from."""
        newest = _DRAWS - 1 + step // (USES * BATCHES)
        there = range(newest - _DRAWS + 1, newest + 1)
        self._held = {n: self._held[n] if n in self._held else self._draw(n) for n in there}
        count = BATCHES * self._batch
        picks = np.random.default_rng((*self._seed, step)).choice(_DRAWS * count, self._batch, replace=False)
        places = [divmod(int(pick), count) for pick in picks]
        batch: D = _stacked([_row(self._held[there[n]], i) for n, i in places])
        return batch


def bank_by(drawn: Callable[[int, tuple[int, ...]], D], options: TrainOptions, stage: int) -> Bank[D]:
    """The bank of a stage.

    Args:
        drawn: makes so many crops by a seed.
        options: batch and seed.
        stage: its number, so that no two stages see the same crops.
    """
    count, seed = BATCHES * options.batch, (options.seed, stage)
    return Bank(lambda n: drawn(count, (*seed, n)), options.batch, (*seed, 1))


def bank_of(
    suite: Suite, pool: ScenePool, options: TrainOptions, stage: int, dropping: bool = False
) -> Bank[tuple[Crops, Conditions]]:
    """The bank of a stage behind SVKR.

    Args:
        suite: whose SVKR is asked.
        pool: of scenes.
        options: batch, crop and seed.
        stage: see `bank_by`.
        dropping: whether modalities may be missing.
    """

    def drawn(count: int, seed: tuple[int, ...]) -> tuple[Crops, Conditions]:
        return draw(suite, pool, count, options.crop, seed, dropping, each_gives=CROPS_OF_EACH)

    return bank_by(drawn, options, stage)


def _row(value: Any, i: int) -> Any:
    """Row i of a tensor, or of every tensor of a record or of several."""
    if isinstance(value, tuple | list):
        return type(value)(_row(part, i) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: _row(getattr(value, f.name), i) for f in fields(value)})
    return None if value is None else value[i]


def _stacked(rows: Sequence[Any]) -> Any:
    """The inverse: rows as one batch."""
    first = rows[0]
    if isinstance(first, tuple | list):
        return type(first)(_stacked(parts) for parts in zip(*rows, strict=True))
    if is_dataclass(first) and not isinstance(first, type):
        return type(first)(**{f.name: _stacked([getattr(row, f.name) for row in rows]) for f in fields(first)})
    return None if first is None else torch.stack(list(rows))
