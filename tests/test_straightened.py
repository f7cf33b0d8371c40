"""Slow errors of a depth, by lens and radii: found where they are, made good only where a depth slopes everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from ssr_cli.evaluation.metrics import spearman
from ssr_cli.models.lens import PhotoPrior, crossings, fit_prior, middles
from ssr_cli.models.opinion import flat_nowhere
from ssr_cli.synthesis import spoil

SIDE = 64
ROWS = COLUMNS = middles(slice(0, SIDE), SIDE)
PLACES = crossings(ROWS, COLUMNS)[None]
#: Depths a lens is fitted to; far more of the photo than waves have.
RAMP = torch.linspace(0, 0.8, SIDE)[:, None].expand(SIDE, SIDE).contiguous()
WAVES = 0.05 * torch.sin(6 * COLUMNS)[None].expand(SIDE, SIDE)


def _prior(depth: Tensor, radius: Tensor, places: Tensor | None = PLACES) -> PhotoPrior:
    d, r = depth.reshape(1, -1), radius.reshape(1, -1)
    n = d.shape[1]
    code, gain, trust = torch.zeros(1, 24, n), torch.zeros(1, 2, n), torch.ones(1, n)
    return fit_prior(d, r, torch.full_like(d, 0.3), code, gain, trust, torch.zeros(1), torch.zeros(1), places)


@pytest.mark.parametrize(("alpha", "focus"), [(8.0, 0.0), (6.0, 1.2), (4.0, -0.2)])
def test_waves_are_found_where_they_are(alpha: float, focus: float) -> None:
    amiss = _prior(RAMP + WAVES, alpha * (RAMP - focus).abs()).amiss_at(ROWS, COLUMNS)[0, 0]
    together = torch.corrcoef(torch.stack([amiss.flatten(), -WAVES.flatten()]))[0, 1]
    assert together > 0.8
    # A Gaussian over a sixth of the photo leaves part of them, and adds nothing.
    assert 0.2 < float(amiss.std() / WAVES.std()) <= 1.0


@pytest.mark.parametrize("alpha", [0.0, 0.4, 0.8])
def test_where_blur_hardly_grows_with_distance_nothing_is_said(alpha: float) -> None:
    assert not _prior(RAMP + WAVES, alpha * RAMP + 1.0).amiss.any()


def test_a_depth_that_obeys_its_lens_is_not_amiss() -> None:
    assert float(_prior(RAMP, 6 * (RAMP - 1.2).abs()).amiss.abs().max()) < 0.01


def test_without_places_nothing_is_said() -> None:
    assert not _prior(RAMP + WAVES, 6 * RAMP, places=None).amiss.any()


def test_parts_of_a_photo_hear_what_the_whole_does() -> None:
    prior = _prior(RAMP + WAVES, 6 * RAMP)
    whole = prior.amiss_at(ROWS, COLUMNS)
    assert torch.equal(prior.amiss_at(ROWS[16:40], COLUMNS[8:24]), whole[..., 16:40, 8:24])


def test_photos_of_a_batch_do_not_hear_each_other() -> None:
    two = [RAMP + WAVES, RAMP], [6 * RAMP, 6 * (RAMP - 1.2).abs()]
    d, r = (torch.stack(planes).flatten(1) for planes in two)
    n = d.shape[1]
    unsaid = torch.zeros(2, 24, n), torch.zeros(2, 2, n), torch.ones(2, n), torch.zeros(2), torch.zeros(2)
    both = fit_prior(d, r, torch.full_like(d, 0.3), *unsaid, PLACES.expand(2, -1, -1)).amiss
    alone = [_prior(*planes).amiss for planes in zip(*two, strict=True)]
    assert torch.allclose(both, torch.cat(alone), atol=1e-4)


def test_making_it_good_brings_ranks_nearer() -> None:
    bent = RAMP + WAVES
    amiss = _prior(bent, 6 * RAMP).amiss_at(ROWS, COLUMNS)[0, 0]
    assert spearman(bent + amiss, RAMP) > spearman(bent + 0.05 * amiss, RAMP) > spearman(bent, RAMP)


def test_what_slopes_everywhere_is_told_from_what_was_drawn() -> None:
    rng = np.random.default_rng(4)
    drawn = torch.where(RAMP > 0.5, torch.tensor(0.9), RAMP)[None]
    kinds = [drawn, spoil.blurred(drawn, 2.0), spoil.displaced(drawn, rng, 2.5)]
    assert not flat_nowhere(torch.stack(kinds)).any()
    assert float(flat_nowhere(spoil.bent(drawn, rng, 0.1)[None])) > 0.5
    assert not flat_nowhere(torch.zeros(1, 1, 8, 8)).any()


def test_autocast_takes_nothing_from_the_fit() -> None:
    plain = _prior(RAMP + WAVES, 6 * RAMP)
    with torch.autocast("cpu", torch.bfloat16):
        under = _prior(RAMP + WAVES, 6 * RAMP)
        amiss = under.amiss_at(ROWS, COLUMNS)
        assert middles(slice(0, 4), 4).dtype == torch.float32
    assert torch.equal(under.alpha, plain.alpha)
    assert torch.equal(amiss, plain.amiss_at(ROWS, COLUMNS))
