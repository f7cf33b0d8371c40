"""Whether a confidence is one: the mean error over tenths of the pixels, from the surest to the least sure."""

from __future__ import annotations

import torch
from torch import Tensor

#: Parts that pixels are sorted into.
PARTS = 10


def error_deciles(confidence: Tensor, error: Tensor) -> list[float]:
    """Mean error of ten equally large parts of all pixels, by falling confidence.

    Pixels of one confidence share their mean error: in what order they were given must not matter.

    Args:
        confidence: (N,), any scale.
        error: (N,), of the same pixels.

    Returns:
        Ten means.

    Raises:
        ValueError: for fewer than ten pixels.
    """
    if confidence.numel() < PARTS or confidence.shape != error.shape:
        raise ValueError("deciles need ten pixels and an error for each")
    values, group = confidence.flatten().unique(return_inverse=True)  # type: ignore[no-untyped-call]
    counts = torch.zeros(len(values), dtype=torch.float64)
    totals = torch.zeros_like(counts)
    counts.index_add_(0, group, torch.ones_like(group, dtype=torch.float64))
    totals.index_add_(0, group, error.flatten().double())
    fair = (totals / counts)[group]
    order = confidence.flatten().argsort(descending=True, stable=True)
    return [float(part.mean()) for part in fair[order].tensor_split(PARTS)]


def rises(means: list[float]) -> bool:
    """Whether no mean is below the one before it."""
    return all(first <= second for first, second in zip(means, means[1:], strict=False))
