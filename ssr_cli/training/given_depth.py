"""The depth that training gives SVKR: the truth, spoiled, or what the lite net said of the scene."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ssr_cli.synthesis.spoil import spoil_batch
from ssr_cli.training.pool import Crops

#: How often it is the lite net's. In use it nearly always is; better depth must still be worth having.
_ESTIMATED = 0.5


def given_depth(crops: Crops, seed: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """What SVKR is given of a batch's depth, and the truth in the same units, each (B, 1, n, n), 0..1.

    Args:
        crops: the batch.
        seed: decides which crop gets what, and how it is spoiled.
    """
    given, truth = spoil_batch(crops.disparity, seed)
    lite = torch.from_numpy(np.random.default_rng((*seed, 3)).random(len(given)) < _ESTIMATED)
    lite = lite.to(given.device).view(-1, 1, 1, 1)
    return torch.where(lite, crops.estimated, given), torch.where(lite, crops.fitted, truth)
