"""Where the pixels of training photos come from; numbers and flags of a batch of them as tensors."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: Share of photos that a camera processed, where nothing else is asked for.
PROCESSED = 0.5
#: Share of the others that were edited.
_EDITED = 0.4


class Origin(IntEnum):
    """Where the pixels of a photo come from.

    REDUCED ones were made smaller, or are as a sensor gave them; CAMERA ones a camera processed; EDITED ones were made
    smaller, then sharpened or compressed, as on the web.
    """

    REDUCED = 0
    CAMERA = 1
    EDITED = 2


def draw_origins(count: int, rng: np.random.Generator, camera: float = PROCESSED) -> npt.NDArray[np.int_]:
    """Origins of `count` photos, a camera in so large a share of them."""
    others = np.where(rng.random(count) < _EDITED, Origin.EDITED, Origin.REDUCED)
    return np.where(rng.random(count) < camera, Origin.CAMERA, others)


def column(values: npt.NDArray[np.floating], like: Tensor) -> Tensor:
    """Numbers of the pictures as a float32 tensor (B,) beside them."""
    return torch.from_numpy(values.astype(np.float32)).to(like.device)


def mask(flags: npt.NDArray[np.bool_], like: Tensor) -> Tensor:
    """Flags of the pictures as (B, 1, 1, 1)."""
    return torch.from_numpy(flags).to(like.device).view(-1, 1, 1, 1)
