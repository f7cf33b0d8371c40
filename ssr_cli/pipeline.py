"""The story of one photo, in numbered steps. No printing, no paths; progress goes to a callback.

1. Depth of the whole photo.
2. SVKR, round by round over all tiles; after each round the whole photo gives its thin lens and consensus.
3. Per tile: SVKR with those answers, AMF, posterior mean, flow, kernel consistency. With a Stable Diffusion prior the
   mean of the whole photo comes first, then the diffusion over all of it, then consistency per tile.
4. The exact size that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from ssr_cli.canvas import Canvas
from ssr_cli.diffusion.consistency import field_operator, first_guess, project
from ssr_cli.diffusion.sampler import place_noise, sample
from ssr_cli.estimation import Progress, Work, cut, fit_rounds, prepare, refine
from ssr_cli.frames import Analysis, DepthMap, Photo, Upscaled
from ssr_cli.image.color import resize
from ssr_cli.maps import Maps
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.svkr import RoundState
from ssr_cli.physics.sharpening import desharpen
from ssr_cli.recovery import checked, with_recovery
from ssr_cli.settings import DEFAULT_TILE, UpscaleOptions
from ssr_cli.stable_pass import draw_stable
from ssr_cli.suite import Models
from ssr_cli.tiling import Tile

T = TypeVar("T")


def _chosen_tile(options: UpscaleOptions, photo: Photo) -> int:
    """The tile to begin with; photos up to the default are done whole."""
    if options.tile is not None:
        return options.tile
    return DEFAULT_TILE if max(photo.height, photo.width) > DEFAULT_TILE else 0


def _silent(what: str, done: int, total: int) -> None:
    """Progress nobody asked for."""


def _guarded(
    photo: Photo, options: UpscaleOptions, models: Models, attempt: Callable[[int, Models], T], incidents: list[str]
) -> T:
    """Run with smaller tiles, then on the CPU, where that helps."""
    with torch.inference_mode():
        tile, largest = _chosen_tile(options, photo), max(photo.height, photo.width)
        return with_recovery(tile, largest, models, attempt, incidents)


def _dropped(options: UpscaleOptions, device: torch.device) -> Tensor | None:
    """What AMF multiplies depth and kernel by, (1, 2), where something is left out."""
    left_out = options.ablation
    if not (left_out.without_depth or left_out.without_kernel):
        return None
    return torch.tensor([[not left_out.without_depth, not left_out.without_kernel]], dtype=torch.float32, device=device)


def analyse(
    photo: Photo,
    models: Models,
    options: UpscaleOptions,
    progress: Progress | None = None,
    depth: DepthMap | None = None,
) -> Analysis:
    """Find depth and kernels of a photo without restoring it.

    Args:
        photo: the photo.
        models: see `load_models`.
        options: tile is used.
        progress: receives stages.
        depth: to begin with, at the photo's size; None estimates it.

    Returns:
        Depth and kernels after every round.

    Raises:
        DeviceError: when memory runs out at the smallest tile.
    """
    tell = progress or _silent

    def attempt(tile: int, models: Models) -> Analysis:
        tell("estimating depth", 0, 1)
        work = prepare(photo, models, tile, depth)
        priors = fit_rounds(work, models, tell, options.ablation.rounds)
        maps = Maps(work)
        for done, piece in enumerate(work.tiles):
            tell("mapping kernels", done, len(work.tiles))
            y, _ = cut(work, piece, models)
            states = refine(work, piece, models, priors[:-1])
            for t, state in enumerate(states):
                maps.put_round(t, piece, state)
            maps.put(
                "gates", piece, models.suite.amf(y, states[-1], priors[-1], _dropped(options, models.device)).gates
            )
        tell("mapping kernels", len(work.tiles), len(work.tiles))
        return maps.analysis(work, priors, models.dictionary.scale)

    return _guarded(photo, options, models, attempt, [])


@dataclass
class _Energy:
    """Sums of squared residuals over all tiles."""

    before: float = 0.0
    after: float = 0.0
    count: int = 0

    def add(self, before: Tensor, after: Tensor) -> None:
        """Count the core of a tile."""
        self.before += float(before.double().square().sum())
        self.after += float(after.double().square().sum())
        self.count += before.numel()

    def psnr(self, energy: float) -> float | None:
        """LR-PSNR in dB."""
        return None if not self.count else -10 * math.log10(max(energy / self.count, 1e-12))


def _left_alone(state: RoundState, models: Models) -> Tensor:
    """The noise level the kernels leave alone, (1, 1, h, w)."""
    return state.noise * models.suite.config.consistency.level


def _held(
    image: Tensor, y: Tensor, state: RoundState, prior: PhotoPrior, tile: Tile, models: Models, energy: _Energy
) -> Tensor:
    """A tile's picture held by its kernels to its photo as it was before the camera sharpened it."""
    rows, columns = tile.inner()
    operator = field_operator(state.weights, models.dictionary)
    projected = project(image, desharpen(y, prior.gain), operator, _left_alone(state, models))
    energy.add(projected.before[..., rows, columns], projected.after[..., rows, columns])
    return projected.image


def _hold_tiles(work: Work, models: Models, priors: list[PhotoPrior], out: Tensor, energy: _Energy) -> None:
    """Hold a whole picture (3, H, W) to the photo, tile by tile, in place."""
    scale = models.dictionary.scale
    whole = out.clone()  # a tile reads its neighbours as they were
    for tile in work.tiles:
        y, _ = cut(work, tile, models)
        rows, columns = tile.read()
        read = (slice(rows.start * scale, rows.stop * scale), slice(columns.start * scale, columns.stop * scale))
        image = whole[(None, slice(None), *read)].to(models.device)
        state = refine(work, tile, models, priors[:-1])[-1]
        core = _held(image, y, state, priors[-1], tile, models, energy)[(0, slice(None), *tile.inner(scale))]
        out[(slice(None), *tile.outer(scale))] = core.cpu()


def _restore_tile(
    work: Work,
    tile: Tile,
    models: Models,
    options: UpscaleOptions,
    priors: list[PhotoPrior],
    maps: Maps,
    energy: _Energy,
) -> Tensor:
    """Step 3 for one tile: (3, H, W) encoded, of the tile's core."""
    suite, scale = models.suite, models.dictionary.scale
    y, _ = cut(work, tile, models)  # (1, 3, h, w)
    states = refine(work, tile, models, priors[:-1])
    fused = suite.amf(y, states[-1], priors[-1], _dropped(options, models.device))
    operator = field_operator(states[-1].weights, models.dictionary)
    guess = first_guess(y, operator, _left_alone(states[-1], models), priors[-1].gain)  # (1, 3, h s, w s)
    mean, features = suite.restorer(y, fused, guess)  # the same size
    image = mean
    if options.steps:
        box = tile.padded
        noise = place_noise(options.seed, box.top * scale, box.left * scale, box.height * scale, box.width * scale)
        start = mean + suite.flow.config.noise * noise.to(mean)
        image = sample(lambda z, t: suite.flow(z, t, mean, features, fused), start, options.steps)
    image = image.clamp(0, 1)
    if options.consistency:
        image = _held(image, y, states[-1], priors[-1], tile, models, energy)
    for t, state in enumerate(states):
        maps.put_round(t, tile, state)
    maps.put("gates", tile, fused.gates)
    big_rows, big_columns = tile.inner(scale)
    core: Tensor = image[0, :, big_rows, big_columns].cpu()
    return core


def upscale(
    photo: Photo,
    models: Models,
    options: UpscaleOptions,
    progress: Progress | None = None,
    depth: DepthMap | None = None,
    bits: int | None = None,
    map_pixels: int | None = None,
) -> Upscaled:
    """Make a photo larger and keep it true.

    Args:
        photo: the photo.
        models: see `load_models`.
        options: scale, steps, seed, tile, consistency.
        progress: receives stages.
        depth: to begin with, at the photo's size; None estimates it.
        bits: 8 or 16 gives a result of whole numbers where that is what comes out of the last step; None float32.
        map_pixels: see `Maps`.

    Returns:
        The result of exactly `round(h * scale)` x `round(w * scale)` pixels and what is known about it.

    Raises:
        DeviceError: when memory runs out at the smallest tile, or a tile comes out wrong whatever is tried.
    """
    tell = progress or _silent
    scale = models.dictionary.scale
    incidents: list[str] = []

    def attempt(tile: int, models: Models) -> Upscaled:
        tell("estimating depth", 0, 1)
        work = prepare(photo, models, tile, depth)
        priors = fit_rounds(work, models, tell, options.ablation.rounds)
        maps, energy = Maps(work, map_pixels), _Energy()
        diffused = models.stable is not None and options.steps > 0
        first = replace(options, steps=0, consistency=False) if diffused else options
        size = (max(1, round(photo.height * options.scale)), max(1, round(photo.width * options.scale)))
        final = not diffused and size == (photo.height * scale, photo.width * scale)
        # a picture that goes on being worked on is whole cells large, and exact
        height, width = size if final else (n * scale for n in work.photo.shape[-2:])
        canvas = Canvas(height, width, bits if final else None)
        for done, piece in enumerate(work.tiles):
            tell("restoring", done, len(work.tiles))
            rows, columns = piece.outer(scale)
            core = _restore_tile(work, piece, models, first, priors, maps, energy)
            canvas.put(rows, columns, checked(core, work.photo[(0, slice(None), *piece.outer())]))
        tell("restoring", len(work.tiles), len(work.tiles))
        out = canvas.pixels
        if diffused:
            drawn = draw_stable(work, models, options, priors, out, _dropped(options, models.device), tell)
            out = checked(drawn, work.photo)
            if options.consistency:
                _hold_tiles(work, models, priors, out, energy)
        rgb = out[:, : photo.height * scale, : photo.width * scale]
        if size != tuple(rgb.shape[-2:]):
            rgb = resize(rgb, size).clamp(0, 1)  # step 4
        analysis = maps.analysis(work, priors, scale)
        return Upscaled(Photo(rgb, photo.metadata), analysis, energy.psnr(energy.before), energy.psnr(energy.after))

    return replace(_guarded(photo, options, models, attempt, incidents), incidents=tuple(incidents))
