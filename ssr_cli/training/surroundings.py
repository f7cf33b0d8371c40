"""Crops for what stands behind SVKR: it is asked with more of the photo around them, as in use it sees all of it.

What SVKR says of a crop alone is worse by a tenth than what it says of the same place with twice the surroundings, and
nets that only know the former trust kernels less than they could.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ssr_cli.diffusion.consistency import field_operator, first_guess, guess_level
from ssr_cli.models.amf import Fused
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.opinion import second_opinion
from ssr_cli.models.svkr import RoundState, photo_prior
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.noise import estimate_noises
from ssr_cli.physics.sharpening import desharpen
from ssr_cli.suite import Suite, told_light
from ssr_cli.training.given_depth import BEHIND_SVKR, given_depth
from ssr_cli.training.pool import Crops, ScenePool

#: How often a modality is missing in training, so that none is leant on blindly.
_DROP = 0.1
#: Side of what SVKR is asked about over that of a crop.
_AROUND = 2
#: Crops begin at multiples of this, which every level of a pyramid divides.
_STEP = 4
T = TypeVar("T", Crops, RoundState, PhotoPrior)
#: Number of the larger crop, row and column of the smaller one's corner.
Place = tuple[int, int, int]


@dataclass(frozen=True)
class Conditions:
    """What the frozen SVKR says of a batch.

    Attributes:
        state: of the last round.
        prior: of the larger crops.
        drop: (B, 2), 0 where AMF gets no depth or no kernel; or None.
        guess: (B, 1, 4 n, 4 n), see `first_guess`.
    """

    state: RoundState
    prior: PhotoPrior
    drop: Tensor | None
    guess: Tensor


def run_svkr(suite: Suite, crops: Crops, seed: tuple[int, ...], dropping: bool) -> Conditions:
    """SVKR on depth as it may be given, without gradients; modality dropout decided by the seed."""
    dictionary = default_dictionary()
    with torch.no_grad():
        given, _ = given_depth(crops, seed, BEHIND_SVKR)
        opinion = second_opinion(crops.lr, given, crops.estimated)
        with torch.autocast(crops.lr.device.type, enabled=False):
            grain = estimate_noises(crops.lr)  # sixteen bits round as much as a photo's grain
        state = suite.svkr(crops.lr, given, crops.processed, dictionary, opinion, grain)[-1]
        prior = photo_prior(state, crops.processed, grain)
        with torch.autocast(crops.lr.device.type, enabled=False):
            operator = field_operator(state.weights, dictionary)
            level = guess_level(state.noise, prior.processed, suite.config.consistency)
            guess = first_guess(desharpen(crops.lr, prior.gain), operator, level, told_light(prior, suite))
    keep = np.random.default_rng((*seed, 5)).random((len(crops.lr), 2)) >= _DROP
    drop = torch.from_numpy(keep.astype(np.float32)).to(crops.lr.device) if dropping else None
    return Conditions(state, prior, drop, guess)


def frozen_mean(suite: Suite, crops: Crops, told: Conditions) -> tuple[Tensor, Tensor, Fused]:
    """What frozen AMF and restorer make of crops: the mean, hedged as in use, features and AMF's condition."""
    with torch.no_grad():
        fused = suite.amf(crops.lr, told.state, told.prior)
        mean, features = suite.restorer(crops.lr, fused, told.guess, told.prior.processed)
        return mean, features, fused


def draw(
    suite: Suite,
    pool: ScenePool,
    batch: int,
    side: int,
    seed: tuple[int, ...],
    dropping: bool = False,
    validation: bool = False,
    each_gives: int = 2,
) -> tuple[Crops, Conditions]:
    """A batch of crops, and what SVKR says of them having seen more.

    Args:
        suite: whose SVKR is asked.
        pool: of scenes.
        batch: B.
        side: n, LR pixels, a multiple of 4.
        seed: decides everything.
        dropping: whether modalities may be missing.
        validation: from the held-out scenes.
        each_gives: crops that are taken from each of the larger ones, 1 to 4.
    """
    wide = pool.crops(-(-batch // each_gives), min(_AROUND * side, pool.side), seed, validation)
    told = run_svkr(suite, wide, (*seed, 7), dropping)
    side_of_wide = wide.lr.shape[-1]
    places = _places(batch, each_gives, side_of_wide - side, np.random.default_rng((*seed, 11)))

    def cut(plane: Tensor) -> Tensor:
        """Parts of a batch of planes at whatever scale; numbers of whole photos as they are."""
        if plane.ndim < 4:
            return plane[[i for i, _, _ in places]]
        s = plane.shape[-1] // side_of_wide
        n = side * s
        return torch.stack([plane[i, :, y * s : y * s + n, x * s : x * s + n] for i, y, x in places])

    def each(record: T) -> T:
        return type(record)(**{f.name: cut(getattr(record, f.name)) for f in fields(record)})

    drop = None if told.drop is None else cut(told.drop)
    return each(wide), Conditions(each(told.state), each(told.prior), drop, cut(told.guess))


def _places(batch: int, each_gives: int, room: int, rng: np.random.Generator) -> list[Place]:
    """Corners in every larger crop: one, the one opposite to it, and the two beside them."""
    places: list[Place] = []
    for i in range(-(-batch // each_gives)):
        y, x = (int(n) * _STEP for n in rng.integers(0, room // _STEP + 1, 2))
        far_y, far_x = ((room - n) // _STEP * _STEP for n in (y, x))
        places += [(i, y, x), (i, far_y, far_x), (i, y, far_x), (i, far_y, x)][:each_gives]
    return places[:batch]
