"""Step 3 for one tile: from its kernels to its picture.

Every stage looks less far than all that follow it together, so the tile becomes narrower as it goes on. What a stage
leaves behind in a photo that is done at once is given back before the next one begins: the peak is the largest
stage's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

import torch
from torch import Tensor

from ssr_cli.diffusion.consistency import all_narrow, field_operator, first_guess, guess_level, left_alone
from ssr_cli.diffusion.invented import confidence, expected_error
from ssr_cli.diffusion.sampler import place_noise, sample
from ssr_cli.estimation import Work, cut, prior_on, refine, refined_part
from ssr_cli.memory import release
from ssr_cli.models.amf import Fused
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.svkr import RoundState
from ssr_cli.physics.sharpening import desharpen
from ssr_cli.settings import Delivery, UpscaleOptions
from ssr_cli.suite import Models, told_light
from ssr_cli.tile_end import Anchor, Restored, held, refocused, with_split
from ssr_cli.tiling import Tile, part_of

#: LR pixels around the core that flow and consistency read (tests hold tiles to the whole by 1/255).
_FLOW = 24
#: AMF attends in strips of so many rows, with more around them than its convolutions reach.
_STRIP, _REACH = 128, 16
#: Rows of noise made at a time.
_NOISE_ROWS = 256
#: Samples whose spread tells how sure the prior is.
_SAMPLES = 4
#: Below so many LR pixels a tile is not worth giving memory back for.
_SMALL = 128 * 128


def counted(options: UpscaleOptions, models: Models) -> Tensor:
    """What AMF multiplies depth and kernel by, (1, 2): as far as depth is trusted, 0 for what is left out."""
    left_out = options.ablation
    depth = 0.0 if left_out.without_depth else models.suite.config.amf.depth_trust
    return torch.tensor([[depth, float(not left_out.without_kernel)]], device=models.device)


def _levels(models: Models) -> int | None:
    """How many levels of AMF's pyramid are read; a Stable Diffusion prior reads all."""
    config = models.suite.config
    return None if models.stable is not None else max(len(config.restorer.widths), len(config.flow.widths))


def cropped(fused: Fused, rows: slice, columns: slice) -> Fused:
    """A part of AMF's answer, given in LR pixels that every level of the pyramid divides."""
    pyramid = []
    for level, plane in enumerate(fused.pyramid):
        n = 2**level
        box = (slice(rows.start // n, rows.stop // n), slice(columns.start // n, columns.stop // n))
        pyramid.append(part_of(plane, box))
    return Fused(pyramid, part_of(fused.gates, (rows, columns)))


def fuse(models: Models, y: Tensor, state: RoundState, prior: PhotoPrior, options: UpscaleOptions) -> Fused:
    """AMF's answer for a tile; on a CPU strip by strip, which its cache likes, with the same result.

    Args:
        models: whose AMF is used.
        y: (1, 3, h, w).
        state: SVKR's last round, of the same place.
        prior: of that round.
        options: what is left out.
    """
    prior, drop, levels = prior_on(prior, y.device), counted(options, models), _levels(models)

    def answer(y: Tensor, state: RoundState) -> Fused:
        with models.networks():
            fused: Fused = models.suite.amf(y, state, prior, drop, levels)
        return fused

    height, width = y.shape[-2:]
    if y.device.type != "cpu" or height <= _STRIP + _REACH:
        return answer(y, state)
    strips = []
    for top in range(0, height, _STRIP):
        bottom = min(height, top + _STRIP)
        first, last = max(0, top - _REACH), min(height, bottom + _REACH)
        part = RoundState(*(getattr(state, f.name)[..., first:last, :] for f in fields(RoundState)))
        fused = answer(y[..., first:last, :], part)
        strips.append(cropped(fused, slice(top - first, bottom - first), slice(0, width)))
    pyramid = [torch.cat(level, 2) for level in zip(*(strip.pyramid for strip in strips), strict=True)]
    return Fused(pyramid, torch.cat([strip.gates for strip in strips], 2))


def _noisy(mean: Tensor, seed: int, strength: float, top: int, left: int) -> Tensor:
    """The mean with noise that belongs to places, made some rows at a time."""
    start = mean.clone()
    for row in range(0, mean.shape[-2], _NOISE_ROWS):
        rows = start[..., row : row + _NOISE_ROWS, :]
        rows.add_(place_noise(seed, top + row, left, rows.shape[-2], rows.shape[-1]).to(mean), alpha=strength)
    return start


@dataclass(frozen=True)
class _Begun:
    """What samples are drawn from.

    Attributes:
        mean: (1, 3, h s, w s), encoded.
        features: (1, C, h, w) of the restorer.
        fused: AMF's condition.
        processed: (1,) probability that a camera processed the photo.
    """

    mean: Tensor
    features: Tensor
    fused: Fused
    processed: Tensor


def _drawn(models: Models, tile: Tile, begun: _Begun, options: UpscaleOptions) -> Tensor:
    """A sample of the flow around a tile's mean."""
    flow, scale, mean = models.suite.flow, models.dictionary.scale, begun.mean
    start = _noisy(mean, options.seed, flow.config.noise, tile.padded.top * scale, tile.padded.left * scale)
    told = mean, begun.features, begun.fused
    with models.networks():
        return sample(
            lambda z, t: flow(z, t, *told), start, options.steps, lambda z, t: flow(z, t, *told, begun.processed)
        )


def restore_tile(
    work: Work,
    tile: Tile,
    models: Models,
    options: UpscaleOptions,
    priors: list[PhotoPrior],
    note: Callable[[list[RoundState], Tensor], None],
    delivery: Delivery,
) -> Restored:
    """The picture of a tile.

    Args:
        work: the photo.
        tile: of it.
        models: all of them.
        options: steps, seed, consistency and what is left out.
        priors: of every round.
        note: gets the states of all rounds on `refined_part(tile)`, and AMF's gates (1, 3, h, w) on the core.
        delivery: what is asked for beside the picture.

    Returns:
        The tile's core.
    """
    scale = models.dictionary.scale
    near = refined_part(tile)
    nearer = near.narrow(_FLOW)
    there = nearer.within(near)
    y, _ = cut(work, near, models)
    state, fused = _understood(work, tile, near, y, models, options, priors, note)
    prior = prior_on(priors[-1], y.device)
    anchor = anchor_of(work, y, state, prior, models)
    guess = _guess(anchor, state.noise, prior, models)
    doubt = part_of(state.confidence_px, there), part_of(anchor.noise, there)
    blur = part_of(state.radius_px, there), part_of(state.disparity, there)
    anchor = anchor.part(there)
    del state
    _relieve(tile, models)
    with models.networks():
        mean, features = models.suite.restorer(y, fused, guess, prior.processed)
    del guess
    mean = part_of(mean, nearer.within(near, scale))
    anchor = anchor.expecting(mean)
    begun = _Begun(mean, part_of(features, there), cropped(fused, *there), prior.processed)
    del features, fused
    _relieve(tile, models)
    image = _drawn(models, nearer, begun, options) if options.steps else mean
    sure = None
    if delivery.confidence:
        sampled = partial(_drawn, models, nearer, begun)
        error = _expected(mean, image, sampled, doubt, options)
        sure = confidence(error)[(0, slice(None), *nearer.inner(scale))].cpu()
    del mean, begun, doubt, y
    image = image.clamp_(0, 1)
    _relieve(tile, models)
    restored = held(image, anchor, nearer, models, options.consistency)
    restored = refocused(restored, image, anchor.y, *blur, prior, nearer, models, options.kept_blur)
    if delivery.invented:
        restored = with_split(restored, image, anchor, nearer, models)
    return replace(restored, confidence=sure)


def anchor_of(work: Work, y: Tensor, state: RoundState, prior: PhotoPrior, models: Models) -> Anchor:
    """What a tile's picture is held to, by SVKR's last round there."""
    grain, numbers = work.grain.to(y.device), models.suite.config.consistency
    noise = left_alone(state.noise, prior.gain, prior.processed, grain, numbers)
    return Anchor(
        y=y,
        before=desharpen(y, prior.gain),
        operator=field_operator(state.weights, models.dictionary, models.precision, all_narrow(prior.widest_px)),
        noise=noise,
        grain=grain,
        processed=float(prior.processed),
        light=told_light(prior, models.suite),
    )


def _guess(to: Anchor, unexplained: Tensor, prior: PhotoPrior, models: Models) -> Tensor:
    """The first guess of a tile, (1, 1, h s, w s)."""
    level = guess_level(unexplained, prior.processed, models.suite.config.consistency)
    return first_guess(to.before, to.operator, level, to.light)


def _expected(
    mean: Tensor,
    image: Tensor,
    sampled: Callable[[UpscaleOptions], Tensor],
    doubt: tuple[Tensor, ...],
    options: UpscaleOptions,
) -> Tensor:
    """The expected error of a tile's pixels, by the spread of samples of which `image` is one if it has steps."""
    drawn = [image] if options.steps else []
    drawn += [sampled(other) for other in _others(options, _SAMPLES - len(drawn))]
    return expected_error(mean, torch.stack(drawn), *doubt)


def _others(options: UpscaleOptions, count: int) -> list[UpscaleOptions]:
    """The options of `count` other samples of the same photo."""
    steps = max(1, options.steps)
    return [replace(options, steps=steps, seed=(options.seed + i) % 2**32) for i in range(1, count + 1)]


def _understood(
    work: Work,
    tile: Tile,
    near: Tile,
    y: Tensor,
    models: Models,
    options: UpscaleOptions,
    priors: list[PhotoPrior],
    note: Callable[[list[RoundState], Tensor], None],
) -> tuple[RoundState, Fused]:
    """SVKR on the tile, then AMF nearer to its core; nothing else of the rounds stays in memory."""
    states = refine(work, tile, models, priors[:-1])
    _relieve(tile, models)
    fused = fuse(models, y, states[-1], priors[-1], options)
    note(states, fused.gates[(..., *near.inner())])
    _relieve(tile, models)
    if models.stable is None:
        work.kept.pop(tile, None)
    return states[-1], fused


def relieve(tile: Tile, models: Models) -> None:
    """Give back the memory that work before this left behind, where a tile is large enough for that to be much."""
    if models.device.type == "cpu" and tile.padded.height * tile.padded.width > _SMALL:
        release()


def _relieve(tile: Tile, models: Models) -> None:
    """Give memory back between two stages of a photo that is done at once.

    The system empties every page before a process gets it again, which took a third of the time of a large photo's
    tiles: these are smaller, and give back between their rows.
    """
    if tile.core == tile.padded:
        relieve(tile, models)
