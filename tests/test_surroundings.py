"""Crops behind SVKR are parts of what it was asked about, and so is everything it said."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.opinion import Opinion
from ssr_cli.models.svkr import Refining, RoundState, Svkr
from ssr_cli.physics.noise import estimate_noises
from ssr_cli.training import surroundings
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool
from ssr_cli.training.stage_svkr import SvkrStage
from ssr_cli.training.surroundings import Conditions, draw, run_svkr
from tests.conftest import NoisePool, tiny_suite


class _Pool(ScenePool):
    """Six scenes of noise whose LR pixels are the means of 4 x 4 HR ones."""

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.processed, self.optical = 0.5, False
        self.scenes = self.kept = (np.arange(3), np.arange(3, 6))
        generator = torch.Generator().manual_seed(0)
        hr = torch.rand(6, 3, 256, 256, generator=generator)
        clean = torch.nn.functional.avg_pool2d(hr, 4)
        self.data = {"hr": hr * 255, "clean": clean, "code": clean.repeat(1, 8, 1, 1)}
        self.data |= {"covariance": clean, "disparity": clean[:, :1], "light": torch.ones(6)}
        self.variance = clean[:, 0].half().numpy()


def _echo(suite: object, crops: Crops, seed: tuple[int, ...], dropping: bool) -> Conditions:
    """An SVKR that says what it was shown."""
    state = RoundState(**{f.name: crops.lr for f in fields(RoundState)})
    prior = PhotoPrior(**{f.name: crops.lr.mean((1, 2, 3)) for f in fields(PhotoPrior)})
    return Conditions(state, prior, torch.ones(len(crops.lr), 2) if dropping else None, crops.hr)


@pytest.mark.parametrize(("side", "wide"), [(16, 32), (48, 64)])
@pytest.mark.parametrize("batch", [1, 4, 5])
def test_all_that_was_said_is_of_the_same_place(batch: int, side: int, wide: int, monkeypatch) -> None:
    asked = []

    def echo(suite: object, crops: Crops, seed: tuple[int, ...], dropping: bool) -> Conditions:
        asked.append(crops)
        return _echo(suite, crops, seed, dropping)

    monkeypatch.setattr(surroundings, "run_svkr", echo)
    crops, told = draw(None, _Pool(), batch, side, (1, 2), dropping=True)  # type: ignore[arg-type]
    assert asked[0].lr.shape == (-(-batch // 2), 3, wide, wide)
    assert crops.lr.shape == (batch, 3, side, side)
    assert crops.hr.shape == told.guess.shape == (batch, 3, 4 * side, 4 * side)
    assert torch.equal(told.state.radius_px, crops.lr)
    assert torch.equal(told.guess, crops.hr)
    assert told.drop is not None
    assert told.drop.shape == (batch, 2)
    for i in range(batch):
        assert told.prior.alpha[i] == asked[0].lr[i // 2].mean()
        assert crops.processed[i] == asked[0].processed[i // 2]
        places = asked[0].code[i // 2].unfold(1, side, 4).unfold(2, side, 4)  # (P, ny, nx, n, n)
        assert bool((places == crops.code[i][:, None, None]).all(-1).all(-1).all(0).any())


@pytest.mark.parametrize("each_gives", [1, 3, 4])
def test_each_larger_crop_gives_as_many_as_asked(each_gives: int, monkeypatch) -> None:
    monkeypatch.setattr(surroundings, "run_svkr", _echo)
    crops, told = draw(None, _Pool(), 8, 16, (1, 2), each_gives=each_gives)  # type: ignore[arg-type]
    assert crops.lr.shape == (8, 3, 16, 16)
    assert torch.equal(told.guess, crops.hr)
    assert [int(told.prior.alpha[i] == told.prior.alpha[0]) for i in range(8)] == [
        int(i < each_gives) for i in range(8)
    ]


def test_the_same_seed_draws_the_same_and_another_does_not(monkeypatch) -> None:
    monkeypatch.setattr(surroundings, "run_svkr", _echo)
    one, two, other = (draw(None, _Pool(), 3, 16, (1, n))[0] for n in (2, 2, 3))  # type: ignore[arg-type]
    assert torch.equal(one.lr, two.lr)
    assert not torch.equal(one.lr, other.lr)


@pytest.mark.parametrize("stage", ["svkr", "behind it"])
def test_svkr_in_training_is_told_which_depth_is_our_own(stage: str, monkeypatch) -> None:
    """As in use: a spoiled depth stands beside the lite net's, and is not taken for it."""
    suite, pool = tiny_suite(), NoisePool()
    pool.data["estimated"] = 1 - pool.data["disparity"]
    told: list[tuple[torch.Tensor, Opinion | None]] = []
    begin = Svkr.begin

    def noted(svkr: Svkr, y: torch.Tensor, depth: torch.Tensor, *others, opinion: Opinion | None = None) -> Refining:
        told.append((depth, opinion))
        return begin(svkr, y, depth, *others, opinion=opinion)

    monkeypatch.setattr(Svkr, "begin", noted)
    if stage == "svkr":
        SvkrStage(suite.svkr, pool, TrainOptions(stage="svkr", batch=6, crop=16)).loss(0)
    else:
        draw(suite, pool, 12, 16, (1, 2))
    (depth, opinion), *_ = told
    assert opinion is not None
    ours = torch.tensor([torch.allclose(a, b, atol=1e-5) for a, b in zip(depth, opinion.estimate, strict=True)])
    assert bool(ours.any())
    assert not bool(ours.all())
    assert float(opinion.agreement[ours, 0].min()) == pytest.approx(1, abs=1e-4)
    assert float(opinion.agreement[~ours, 0].max()) < 0.99


def test_grain_is_measured_before_anything_is_rounded() -> None:
    """Sixteen bits have steps of a photo's grain; training asks for them, and use does not."""
    suite = tiny_suite()
    crops = NoisePool().crops(2, 16, (1, 2))
    with torch.autocast("cpu", torch.bfloat16):
        told = run_svkr(suite, crops, (3,), dropping=False)
    assert torch.allclose(told.prior.grain, estimate_noises(crops.lr), rtol=1e-5)
