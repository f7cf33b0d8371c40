"""The depth that training gives SVKR: the truth, spoiled, or what the lite net said of the scene."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssr_cli.synthesis.spoil import spoil_batch
from ssr_cli.training.pool import Crops

#: How often it is the lite net's, for SVKR itself and for what stands behind it. In use it nearly always is; better
#: depth must still be worth having.
FOR_SVKR, BEHIND_SVKR = 0.5, 0.85


def given_depth(
    crops: Crops, seed: tuple[int, ...], estimated: float = FOR_SVKR, single: float = 0.0
) -> tuple[Tensor, Tensor]:
    """What SVKR is given of a batch's depth, and the truth in the same units, each (B, 1, n, n), 0..1.

    Args:
        crops: the batch.
        seed: decides which crop gets what, and how it is spoiled.
        estimated: how often it is the lite net's.
        single: how often one that is not has one fault alone.
    """
    given, truth = spoil_batch(crops.disparity, seed, single)
    lite = torch.from_numpy(np.random.default_rng((*seed, 3)).random(len(given)) < estimated)
    lite = lite.to(given.device).view(-1, 1, 1, 1)
    return torch.where(lite, crops.estimated, given), torch.where(lite, crops.fitted, truth)
