"""The story of one photo, in numbered steps. No printing, no paths; progress goes to a callback.

1. Depth of the whole photo.
2. SVKR, round by round over all tiles; after each round the whole photo gives its thin lens and consensus.
3. Per tile: SVKR with those answers, AMF, posterior mean, flow, kernel consistency.
4. The exact size that was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.device import is_out_of_memory
from ssr_cli.diffusion.consistency import field_operator, project
from ssr_cli.diffusion.sampler import place_noise, sample
from ssr_cli.errors import DeviceError, WeightsError
from ssr_cli.frames import Analysis, DepthMap, KernelField, Photo, Round, ThinLens, Upscaled
from ssr_cli.image.color import resize
from ssr_cli.models.lens import PhotoPrior, fit_prior
from ssr_cli.models.svkr import RoundState
from ssr_cli.physics.kernels import KernelDictionary, default_dictionary
from ssr_cli.settings import DEFAULT_TILE, UpscaleOptions
from ssr_cli.suite import Suite, SuiteConfig
from ssr_cli.tiling import Tile, plan_tiles, with_halving
from ssr_cli.weights import Checkpoint

#: Called with (what is being done, done, total).
Progress = Callable[[str, int, int], None]

#: LR pixels a tile reads beyond its core: beyond it, nothing changes the result by as much as 1/255 (tests hold this).
OVERLAP = 64
#: Maps of larger photos are kept at every n-th pixel: the weights of 63 atoms would not fit in memory.
_MAP_PIXELS = 1_000_000
#: Samples per photo for the thin-lens fit.
_FIT_SAMPLES = 16_384


@dataclass(frozen=True)
class Models:
    """Built models on their device."""

    suite: Suite
    dictionary: KernelDictionary
    device: torch.device


def load_models(checkpoint: Checkpoint, device: torch.device) -> Models:
    """Build the models of a checkpoint.

    Args:
        checkpoint: see `weights.load_checkpoint`.
        device: where they run.

    Raises:
        WeightsError: if the tensors do not fit the configuration.
    """
    try:
        with torch.device("meta"):
            suite = Suite(SuiteConfig.from_dict(checkpoint.config))
        suite.load_state_dict(checkpoint.state, assign=True)
    except (KeyError, TypeError, RuntimeError) as error:
        text = str(error).splitlines()[0]
        raise WeightsError(
            f"The checkpoint does not fit this version of ssr: {text}.", "Update ssr or use --model lite."
        ) from error
    suite.eval().requires_grad_(False)
    return Models(suite.to(device, memory_format=torch.channels_last), default_dictionary(), device)  # type: ignore[call-overload]


@dataclass(frozen=True)
class _Work:
    """One photo on its way: padded to whole cells of 8 x 8, with its depth, on the CPU."""

    photo: Tensor  # (1, 3, h', w')
    depth: Tensor  # (1, 1, h', w')
    height: int
    width: int
    tiles: list[Tile]


def _prepare(photo: Photo, models: Models, tile: int) -> _Work:
    """Step 1: depth of the whole photo, and the plan of tiles."""
    rgb = photo.rgb[None]
    depth = models.suite.depth.estimate(rgb.to(models.device)).cpu()
    h, w = rgb.shape[-2:]
    pads = (0, -w % 8, 0, -h % 8)
    padded = F.pad(rgb, pads, mode="replicate")
    tiles = plan_tiles(padded.shape[-2], padded.shape[-1], tile, OVERLAP)
    return _Work(padded, F.pad(depth, pads, mode="replicate"), h, w, tiles)


def _cut(work: _Work, tile: Tile, models: Models) -> tuple[Tensor, Tensor]:
    """Photo and depth of a tile, on the device."""
    rows, columns = tile.read()
    return work.photo[..., rows, columns].to(models.device), work.depth[..., rows, columns].to(models.device)


def _chosen_tile(options: UpscaleOptions, photo: Photo) -> int:
    """The tile to begin with; photos up to the default are done whole."""
    if options.tile is not None:
        return options.tile
    return DEFAULT_TILE if max(photo.height, photo.width) > DEFAULT_TILE else 0


def _fit(work: _Work, models: Models, priors: list[PhotoPrior]) -> PhotoPrior:
    """Step 2, one round: run it over all tiles and ask the whole photo."""
    step = max(2, math.ceil(math.sqrt(work.height * work.width / _FIT_SAMPLES)))
    samples: list[list[Tensor]] = []
    for tile in work.tiles:
        y, depth = _cut(work, tile, models)
        state = models.suite.svkr(y, depth, models.dictionary, priors)[-1]
        rows, columns = tile.inner()
        # The same pixels whatever the tiles are: those whose absolute coordinates are multiples of the step.
        pick = (
            slice(rows.start + -tile.core.top % step, rows.stop, step),
            slice(columns.start + -tile.core.left % step, columns.stop, step),
        )
        planes = [state.disparity, state.radius_px, state.confidence_px, state.code]
        samples.append([p[(..., *pick)].flatten(2).cpu() for p in planes])
    disparity, radius, confidence, code = (torch.cat([s[i] for s in samples], -1) for i in range(4))
    prior = fit_prior(disparity[:, 0], radius[:, 0], confidence[:, 0], code)
    return PhotoPrior(*(getattr(prior, f).to(models.device) for f in PhotoPrior.__dataclass_fields__))


def _fit_rounds(work: _Work, models: Models, progress: Progress) -> list[PhotoPrior]:
    """Step 2: every round; round t runs again from the start with what earlier ones said, which costs no memory."""
    priors: list[PhotoPrior] = []
    rounds = models.suite.svkr.config.rounds
    for t in range(rounds):
        progress("estimating kernels", t, rounds)
        priors.append(_fit(work, models, priors))
    progress("estimating kernels", rounds, rounds)
    return priors


class _Maps:
    """Collects the maps of all tiles at a stride that fits in memory."""

    def __init__(self, work: _Work) -> None:
        self.stride = max(1, math.ceil(math.sqrt(work.height * work.width / _MAP_PIXELS)))
        self.shape = (math.ceil(work.height / self.stride), math.ceil(work.width / self.stride))
        self.planes: dict[str, Tensor] = {}

    def put(self, name: str, tile: Tile, values: Tensor) -> None:
        """Keep the core of (1, C, h, w) values of a padded tile, as plane `name`."""
        n = self.stride
        rows, columns = tile.inner()
        top, left = -tile.core.top % n, -tile.core.left % n
        core = values[0, :, rows, columns][:, top::n, left::n].float().cpu()
        plane = self.planes.setdefault(name, torch.zeros(values.shape[1], *self.shape))
        y, x = -(-tile.core.top // n), -(-tile.core.left // n)
        bottom, right = min(self.shape[0], y + core.shape[1]), min(self.shape[1], x + core.shape[2])
        plane[:, y:bottom, x:right] = core[:, : bottom - y, : right - x]

    def put_round(self, t: int, tile: Tile, state: RoundState) -> None:
        """Keep everything of one round."""
        for name in ("weights", "covariance", "confidence_px", "noise", "disparity"):
            self.put(f"{t}.{name}", tile, getattr(state, name))

    def round(self, t: int, prior: PhotoPrior, scale: int) -> Round:
        """Round t as the frames of the outside world."""
        get = self.planes
        lens = ThinLens(float(prior.alpha[0]), float(prior.beta[0]), float(prior.residual_px[0]))
        field = KernelField(
            get[f"{t}.weights"], get[f"{t}.covariance"], get[f"{t}.confidence_px"][0], get[f"{t}.noise"][0], scale
        )
        return Round(field, DepthMap(get[f"{t}.disparity"][0]), lens)

    def analysis(self, work: _Work, priors: list[PhotoPrior], scale: int) -> Analysis:
        """All rounds."""
        n = self.stride
        before = DepthMap(work.depth[0, 0, : work.height : n, : work.width : n])
        rounds = tuple(self.round(t, prior, scale) for t, prior in enumerate(priors))
        return Analysis(before, rounds, self.planes.get("gates"))


def _silent(what: str, done: int, total: int) -> None:
    """Progress nobody asked for."""


def _guarded(
    photo: Photo, options: UpscaleOptions, attempt: Callable[[int], Upscaled | Analysis]
) -> Upscaled | Analysis:
    """Run with halving tiles; when even the smallest does not fit, say so in a sentence."""
    try:
        with torch.inference_mode():
            return with_halving(_chosen_tile(options, photo), max(photo.height, photo.width), attempt, is_out_of_memory)
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise DeviceError(
                "The device ran out of memory even with the smallest tile.", "Use --device cpu."
            ) from error
        raise


def analyse(photo: Photo, models: Models, options: UpscaleOptions, progress: Progress | None = None) -> Analysis:
    """Find depth and kernels of a photo without restoring it.

    Args:
        photo: the photo.
        models: see `load_models`.
        options: tile is used.
        progress: receives stages.

    Returns:
        Depth and kernels after every round.

    Raises:
        DeviceError: when memory runs out at the smallest tile.
    """
    tell = progress or _silent

    def attempt(tile: int) -> Analysis:
        tell("estimating depth", 0, 1)
        work = _prepare(photo, models, tile)
        priors = _fit_rounds(work, models, tell)
        maps = _Maps(work)
        for done, piece in enumerate(work.tiles):
            tell("mapping kernels", done, len(work.tiles))
            y, depth = _cut(work, piece, models)
            states = models.suite.svkr(y, depth, models.dictionary, priors[:-1])
            for t, state in enumerate(states):
                maps.put_round(t, piece, state)
            maps.put("gates", piece, models.suite.amf(y, states[-1], priors[-1]).gates)
        tell("mapping kernels", len(work.tiles), len(work.tiles))
        return maps.analysis(work, priors, models.dictionary.scale)

    result = _guarded(photo, options, attempt)
    assert isinstance(result, Analysis)
    return result


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


def _restore_tile(
    work: _Work,
    tile: Tile,
    models: Models,
    options: UpscaleOptions,
    priors: list[PhotoPrior],
    maps: _Maps,
    energy: _Energy,
) -> Tensor:
    """Step 3 for one tile: (3, H, W) encoded, of the tile's core."""
    suite, scale = models.suite, models.dictionary.scale
    y, depth = _cut(work, tile, models)  # (1, 3, h, w), (1, 1, h, w)
    states = suite.svkr(y, depth, models.dictionary, priors[:-1])
    fused = suite.amf(y, states[-1], priors[-1])
    mean, features = suite.restorer(y, fused)  # (1, 3, h s, w s)
    image = mean
    if options.steps:
        box = tile.padded
        noise = place_noise(options.seed, box.top * scale, box.left * scale, box.height * scale, box.width * scale)
        start = mean + suite.flow.config.noise * noise.to(mean)
        image = sample(lambda z, t: suite.flow(z, t, mean, features, fused), start, options.steps)
    image = image.clamp(0, 1)
    rows, columns = tile.inner()
    if options.consistency:
        operator = field_operator(states[-1].weights, models.dictionary)
        projected = project(image, y, operator, states[-1].noise)
        energy.add(projected.before[..., rows, columns], projected.after[..., rows, columns])
        image = projected.image
    for t, state in enumerate(states):
        maps.put_round(t, tile, state)
    maps.put("gates", tile, fused.gates)
    big_rows, big_columns = tile.inner(scale)
    core: Tensor = image[0, :, big_rows, big_columns].cpu()
    return core


def upscale(photo: Photo, models: Models, options: UpscaleOptions, progress: Progress | None = None) -> Upscaled:
    """Make a photo larger and keep it true.

    Args:
        photo: the photo.
        models: see `load_models`.
        options: scale, steps, seed, tile, consistency.
        progress: receives stages.

    Returns:
        The result of exactly `round(h * scale)` x `round(w * scale)` pixels and what is known about it.

    Raises:
        DeviceError: when memory runs out at the smallest tile.
    """
    tell = progress or _silent
    scale = models.dictionary.scale

    def attempt(tile: int) -> Upscaled:
        tell("estimating depth", 0, 1)
        work = _prepare(photo, models, tile)
        priors = _fit_rounds(work, models, tell)
        maps, energy = _Maps(work), _Energy()
        out = torch.empty(3, work.photo.shape[-2] * scale, work.photo.shape[-1] * scale)
        for done, piece in enumerate(work.tiles):
            tell("restoring", done, len(work.tiles))
            rows, columns = piece.outer(scale)
            out[:, rows, columns] = _restore_tile(work, piece, models, options, priors, maps, energy)
        tell("restoring", len(work.tiles), len(work.tiles))
        rgb = out[:, : photo.height * scale, : photo.width * scale]
        size = (max(1, round(photo.height * options.scale)), max(1, round(photo.width * options.scale)))
        if size != tuple(rgb.shape[-2:]):
            rgb = resize(rgb, size).clamp(0, 1)  # step 4
        analysis = maps.analysis(work, priors, scale)
        return Upscaled(Photo(rgb, photo.metadata), analysis, energy.psnr(energy.before), energy.psnr(energy.after))

    result = _guarded(photo, options, attempt)
    assert isinstance(result, Upscaled)
    return result
