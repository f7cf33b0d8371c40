"""Steps 1 and 2 of the pipeline: depth of the whole photo, then SVKR round by round.

Between rounds the whole photo speaks: its thin lens and the consensus of its kernels go into the next round. A photo
larger than 600 x 600 is asked at windows that are spread evenly over it and do not depend on the tiles: a small part of
a large photo is enough to fit four numbers and a mean, and the time for it does not outgrow that of the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.frames import DepthMap, Photo
from ssr_cli.models.lens import PhotoPrior, crossings, fit_prior, middles
from ssr_cli.models.opinion import Opinion, agreement, flat_nowhere, in_units_of
from ssr_cli.models.svkr import Refining, RoundState
from ssr_cli.physics.noise import estimate_noise
from ssr_cli.physics.source import processed_by_camera
from ssr_cli.recovery import BadTile, Recovery
from ssr_cli.suite import Models
from ssr_cli.tiling import ALIGNMENT, Tile, part_of, plan_tiles, sample_windows

#: Called with (what is being done, done, total).
Progress = Callable[[str, int, int], None]

#: LR pixels a tile reads beyond its core: beyond it, nothing changes the result by as much as 1/255 (tests hold this).
#: SVKR's encoder looks that far; its rounds, and all that follows them, are near-sighted.
OVERLAP = 48
_ROUNDS = 32
#: Samples per photo for the thin-lens fit.
_FIT_SAMPLES = 16_384
#: Side of the middle part that speaks for a whole photo of its grain, and of its depth.
_MIDDLE = 768
#: Photos of more pixels are asked at windows: of this side, with these surroundings, at least so many, and so many that
#: together they have this share of the photo.
_ASKED_WHOLE, _WINDOW, _WINDOW_OVERLAP, _WINDOWS, _WINDOW_SHARE = 600 * 600, 128, _ROUNDS, 8, 1 / 32
#: LR pixels of windows, surroundings included, whose rounds so far are kept for the next one: some 600 bytes each.
_KEPT_PIXELS = 400_000


@dataclass(frozen=True)
class Work:
    """One photo on its way, on the CPU. Tiles are of the photo continued to whole cells of 8 x 8.

    Attributes:
        photo: (1, 3, h, w), encoded.
        depth: (1, 1, h, w), disparity.
        opinion: our own estimate beside the depth (the depth itself where that is our own).
        tiles: what is worked on at a time.
        grain: (1,) standard deviation of the photo's own noise, encoded units.
        processed: (1,) probability that these are a camera's pixels, which it processed.
        keeping: tiles whose rounds so far are kept for the next: a photo's only one, and what it is asked at where
            that is little. Those of all tiles of a large photo would not fit in memory.
        kept: the rounds of those.
    """

    photo: Tensor
    depth: Tensor
    opinion: Opinion
    tiles: list[Tile]
    grain: Tensor
    processed: Tensor
    keeping: set[Tile] = field(default_factory=set)
    kept: dict[Tile, Refining] = field(default_factory=dict)

    @property
    def height(self) -> int:
        """Rows of the photo."""
        return int(self.photo.shape[-2])

    @property
    def width(self) -> int:
        """Columns of the photo."""
        return int(self.photo.shape[-1])

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns in whole cells."""
        return self.height + -self.height % ALIGNMENT, self.width + -self.width % ALIGNMENT


def prepare(
    photo: Photo, models: Models, tile: int, given: DepthMap | None = None, processed: float | None = None
) -> Work:
    """Step 1: depth of the whole photo, which stands beside one that is given at its size, and the plan of tiles.

    Args:
        photo: the photo.
        models: for the depth, and where they are.
        tile: side of a tile, 0 for none.
        given: depth that is known.
        processed: probability that these are a camera's pixels, which it processed; None looks at them.
    """
    rgb = photo.rgb[None]
    with models.networks():
        estimate = models.suite.depth.estimate(rgb.to(models.device)).float().cpu()
    depth = estimate if given is None else given.disparity[None, None].clamp(0, 1)
    agreed = agreement(*(_middle(plane) for plane in (rgb, depth, estimate)))
    sloping = flat_nowhere(_middle(depth))
    opinion = Opinion(depth if given is None else in_units_of(depth, estimate), agreed, sloping)
    middle = _middle(photo.rgb)
    seen = processed_by_camera(middle) if processed is None else processed
    work = Work(rgb, depth, opinion, [], torch.tensor([estimate_noise(middle)]), torch.tensor([seen]))
    tiles = plan_tiles(*work.size, tile, OVERLAP)
    return replace(work, tiles=tiles, keeping=set(tiles) if len(tiles) == 1 else set())


def _middle(plane: Tensor) -> Tensor:
    """The middle (..., h, w) of a photo or its depth, as much of it as says how grainy it is and what agrees."""
    top, left = (max(0, (n - _MIDDLE) // 2) for n in plane.shape[-2:])
    return plane[..., top : top + _MIDDLE, left : left + _MIDDLE]


def _continued(plane: Tensor, tile: Tile) -> Tensor:
    """A tile of a plane (1, C, h, w); beyond the photo its last rows and columns go on."""
    rows, columns = tile.read()
    there = plane[..., rows, columns]
    right, below = tile.padded.width - there.shape[-1], tile.padded.height - there.shape[-2]
    return F.pad(there, (0, right, 0, below), mode="replicate") if right or below else there


def padded_photo(work: Work) -> Tensor:
    """The whole photo in whole cells, (1, 3, h', w')."""
    return F.pad(work.photo, (0, work.size[1] - work.width, 0, work.size[0] - work.height), mode="replicate")


def cut(work: Work, tile: Tile, models: Models) -> tuple[Tensor, Tensor]:
    """Photo and depth of a tile, on the device."""
    return _continued(work.photo, tile).to(models.device), _continued(work.depth, tile).to(models.device)


def _opinion(work: Work, tile: Tile, models: Models) -> Opinion:
    """What is known of a tile's depth, on the device."""
    told = work.opinion
    about = (numbers.to(models.device) for numbers in (told.agreement, told.sloping))
    return Opinion(_continued(told.estimate, tile).to(models.device), *about)


def prior_on(prior: PhotoPrior, device: torch.device) -> PhotoPrior:
    """A photo's statements where they are needed."""
    return PhotoPrior(*(getattr(prior, f.name).to(device) for f in fields(PhotoPrior)))


def refined_part(tile: Tile) -> Tile:
    """The tile as far as its kernels are estimated: with the surroundings that they and all that follows depend on."""
    return tile.narrow(_ROUNDS)


def refine(work: Work, tile: Tile, models: Models, priors: list[PhotoPrior]) -> list[RoundState]:
    """SVKR on one tile: one more round than the photo has spoken about, as far as there are rounds.

    Args:
        work: the photo.
        tile: of it.
        models: whose SVKR is used.
        priors: what rounds 1, 2, ... said of the whole photo.

    Returns:
        The states of all rounds, on `refined_part(tile)`.
    """
    svkr = models.suite.svkr
    run = work.kept.get(tile)
    if run is not None and (run.features.device.type, run.features.dtype) != (models.device.type, models.precision):
        run = None  # of an attempt that failed
    with models.networks():
        if run is None:
            processed, grain = work.processed.to(models.device), work.grain.to(models.device)
            begun = svkr.begin(*cut(work, tile, models), processed, grain, _opinion(work, tile, models))
            run = _part(begun, refined_part(tile), tile, work.size)
            del begun
        for t in range(len(run.states), min(len(priors) + 1, svkr.config.rounds)):
            svkr.refine(run, prior_on(priors[t - 1], models.device) if t else None, models.dictionary)
    if tile in work.keeping:
        work.kept[tile] = run
    return run.states


def _part(begun: Refining, part: Tile, tile: Tile, size: tuple[int, int]) -> Refining:
    """What SVKR begins with on a part of a tile, of a photo of `size`."""
    box = part.within(tile)
    y, features, depth, estimate = (
        part_of(plane, box) for plane in (begun.y, begun.features, begun.depth, begun.opinion.estimate)
    )
    rows, columns = (middles(there, of, y.device) for there, of in zip(part.read(), size, strict=True))
    opinion = replace(begun.opinion, estimate=estimate)
    return Refining(y, features, depth, opinion, begun.grain, places=(rows, columns))


def _asked(work: Work) -> list[Tile]:
    """Where the whole photo is asked: everywhere, or at windows."""
    area = work.size[0] * work.size[1]
    if area <= _ASKED_WHOLE:
        return work.tiles
    wanted = max(_WINDOWS * _WINDOW**2, int(area * _WINDOW_SHARE))
    return sample_windows(*work.size, _WINDOW, _WINDOW_OVERLAP, wanted)


def _samples(work: Work, priors: list[PhotoPrior], step: int, tile: Tile, models: Models) -> list[Tensor]:
    """What the next round says at every `step`-th pixel of a tile."""
    state = refine(work, tile, models, priors)[-1]
    rows, columns = refined_part(tile).inner()
    # The same pixels whatever the tiles are: those whose absolute coordinates are multiples of the step.
    first = -tile.core.top % step, -tile.core.left % step
    pick = slice(rows.start + first[0], rows.stop, step), slice(columns.start + first[1], columns.stop, step)
    planes = [state.disparity, state.radius_px, state.confidence_px, state.code, state.gain, state.gain_trust]
    planes += [state.light, state.light_trust]
    found = [plane[(..., *pick)].flatten(2).cpu() for plane in planes]
    core = tile.core
    picked = slice(core.top + first[0], core.bottom, step), slice(core.left + first[1], core.right, step)
    found.append(crossings(*(middles(there, of) for there, of in zip(picked, work.size, strict=True)))[None])
    if not all(bool(plane.sum().isfinite()) for plane in found):
        raise BadTile("kernels came out with values that are no numbers")
    return found


def _fit(
    work: Work, asked: list[Tile], priors: list[PhotoPrior], recovery: Recovery, tell: Callable[[int, int], None]
) -> PhotoPrior:
    """Run one round wherever the photo is asked, and fit."""
    area = sum(tile.core.height * tile.core.width for tile in asked)
    step = max(2, math.ceil(math.sqrt(area / _FIT_SAMPLES)))
    samples: list[list[Tensor]] = []
    for done, tile in enumerate(asked):
        tell(done, len(asked))
        samples += [found for _, found in recovery.pieces(tile, partial(_samples, work, priors, step))]
    found = (torch.cat(parts, -1) for parts in zip(*samples, strict=True))
    disparity, radius, confidence, code, gain, trust, light, light_trust, places = found
    numbers = disparity[:, 0], radius[:, 0], confidence[:, 0], code, gain, trust[:, 0]
    return fit_prior(*numbers, work.processed, work.grain, places, (light, light_trust[:, 0]))


def fit_rounds(work: Work, recovery: Recovery, progress: Progress, most: int | None = None) -> list[PhotoPrior]:
    """Step 2: every round, or at most `most`."""
    asked = _asked(work)
    if sum(tile.padded.height * tile.padded.width for tile in asked) <= _KEPT_PIXELS:
        work.keeping.update(asked)
    priors: list[PhotoPrior] = []
    config = recovery.models.suite.svkr.config
    rounds = min(config.rounds, most or config.rounds)
    for t in range(rounds):

        def tell(done: int, total: int, t: int = t) -> None:
            progress("estimating kernels", t * total + done, rounds * total)

        priors.append(_fit(work, asked, priors, recovery, tell))
    progress("estimating kernels", rounds, rounds)
    if asked is not work.tiles:
        work.keeping.difference_update(asked)
        for tile in asked:
            work.kept.pop(tile, None)
    return priors
