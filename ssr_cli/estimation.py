"""Steps 1 and 2 of the pipeline: depth of the whole photo, then SVKR round by round over all tiles.

Between rounds the whole photo speaks: its thin lens and the consensus of its kernels go into the next round.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.frames import DepthMap, Photo
from ssr_cli.models.lens import PhotoPrior, fit_prior
from ssr_cli.models.svkr import Refining, RoundState
from ssr_cli.suite import Models
from ssr_cli.tiling import Tile, plan_tiles

#: Called with (what is being done, done, total).
Progress = Callable[[str, int, int], None]

#: LR pixels a tile reads beyond its core: beyond it, nothing changes the result by as much as 1/255 (tests hold this).
OVERLAP = 64
#: Samples per photo for the thin-lens fit.
_FIT_SAMPLES = 16_384


@dataclass(frozen=True)
class Work:
    """One photo on its way: padded to whole cells of 8 x 8, with its depth, on the CPU.

    Attributes:
        photo: (1, 3, h', w'), encoded.
        depth: (1, 1, h', w'), disparity.
        height: rows before padding.
        width: columns before padding.
        tiles: what is worked on at a time.
        kept: the rounds so far of a photo that is one tile; with more tiles they would not fit in memory.
    """

    photo: Tensor
    depth: Tensor
    height: int
    width: int
    tiles: list[Tile]
    kept: list[Refining] = field(default_factory=list)


def prepare(photo: Photo, models: Models, tile: int, given: DepthMap | None = None) -> Work:
    """Step 1: depth of the whole photo, unless it is given at the photo's size, and the plan of tiles."""
    rgb = photo.rgb[None]
    if given is None:
        depth = models.suite.depth.estimate(rgb.to(models.device)).cpu()
    else:
        depth = given.disparity[None, None].clamp(0, 1)
    h, w = rgb.shape[-2:]
    pads = (0, -w % 8, 0, -h % 8)
    padded = F.pad(rgb, pads, mode="replicate")
    tiles = plan_tiles(padded.shape[-2], padded.shape[-1], tile, OVERLAP)
    return Work(padded, F.pad(depth, pads, mode="replicate"), h, w, tiles)


def cut(work: Work, tile: Tile, models: Models) -> tuple[Tensor, Tensor]:
    """Photo and depth of a tile, on the device."""
    rows, columns = tile.read()
    return work.photo[..., rows, columns].to(models.device), work.depth[..., rows, columns].to(models.device)


def refine(work: Work, tile: Tile, models: Models, priors: list[PhotoPrior]) -> list[RoundState]:
    """SVKR on one tile: one more round than the photo has spoken about, as far as there are rounds.

    Args:
        work: the photo.
        tile: of it.
        models: whose SVKR is used.
        priors: what rounds 1, 2, ... said of the whole photo.
    """
    svkr = models.suite.svkr
    run = work.kept[0] if work.kept else svkr.begin(*cut(work, tile, models))
    for t in range(len(run.states), min(len(priors) + 1, svkr.config.rounds)):
        svkr.refine(run, priors[t - 1] if t else None, models.dictionary)
    if len(work.tiles) == 1 and not work.kept:
        work.kept.append(run)
    return run.states


def _fit(work: Work, models: Models, priors: list[PhotoPrior]) -> PhotoPrior:
    """Run one round over all tiles and ask the whole photo."""
    step = max(2, math.ceil(math.sqrt(work.height * work.width / _FIT_SAMPLES)))
    samples: list[list[Tensor]] = []
    for tile in work.tiles:
        state = refine(work, tile, models, priors)[-1]
        rows, columns = tile.inner()
        # The same pixels whatever the tiles are: those whose absolute coordinates are multiples of the step.
        pick = (
            slice(rows.start + -tile.core.top % step, rows.stop, step),
            slice(columns.start + -tile.core.left % step, columns.stop, step),
        )
        planes = [state.disparity, state.radius_px, state.confidence_px, state.code, state.gain, state.gain_trust]
        samples.append([p[(..., *pick)].flatten(2).cpu() for p in planes])
    disparity, radius, confidence, code, gain, trust = (torch.cat(parts, -1) for parts in zip(*samples, strict=True))
    prior = fit_prior(disparity[:, 0], radius[:, 0], confidence[:, 0], code, gain, trust[:, 0])
    return PhotoPrior(*(getattr(prior, f.name).to(models.device) for f in fields(PhotoPrior)))


def fit_rounds(work: Work, models: Models, progress: Progress, most: int | None = None) -> list[PhotoPrior]:
    """Step 2: every round, or at most `most`. With several tiles, each begins at the first one to save memory."""
    priors: list[PhotoPrior] = []
    rounds = min(models.suite.svkr.config.rounds, most or models.suite.svkr.config.rounds)
    for t in range(rounds):
        progress("estimating kernels", t, rounds)
        priors.append(_fit(work, models, priors))
    progress("estimating kernels", rounds, rounds)
    return priors
