"""Figures on held-out scenes, the same for every stage that is validated by batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

#: Batches, and crops of each.
_BATCHES, CROPS = 4, 16


def mean_figures(of: Callable[[int], Mapping[str, Tensor | float]]) -> dict[str, float]:
    """The means of named figures over 64 held-out crops.

    Args:
        of: figures of batch i, of `CROPS` crops.
    """
    batches = [of(i) for i in range(_BATCHES)]
    return {name: sum(float(batch[name]) for batch in batches) / _BATCHES for name in batches[0]}
