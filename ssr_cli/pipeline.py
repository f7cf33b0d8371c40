"""The story of one photo, in numbered steps. No printing, no paths; progress goes to a callback.

1. Depth of the whole photo.
2. SVKR, round by round; after each round the whole photo gives its thin lens and consensus.
3. Per tile: SVKR with those answers, AMF, posterior mean, flow, kernel consistency. Rows of tiles are handed on as soon
   as they are finished. With a Stable Diffusion prior the mean of the whole photo comes first, then the diffusion over
   all of it, then consistency per tile.
4. The exact size that was asked for, band by band.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from ssr_cli.canvas import Canvas
from ssr_cli.device import pixels_that_fit
from ssr_cli.errors import UsageError
from ssr_cli.estimation import OVERLAP, Progress, Work, cut, fit_rounds, padded_photo, prepare, refine, refined_part
from ssr_cli.frames import Analysis, DepthMap, Findings, Photo, Upscaled
from ssr_cli.image.color import resized
from ssr_cli.maps import Maps
from ssr_cli.models.svkr import RoundState
from ssr_cli.recovery import Recovery, checked
from ssr_cli.settings import PLAIN, Delivery, UpscaleOptions
from ssr_cli.stable_pass import draw_stable, held_tile
from ssr_cli.suite import Models
from ssr_cli.tile_end import Restored, Tally
from ssr_cli.tile_pass import fuse, relieve, restore_tile
from ssr_cli.tiling import Tile, side_that_fits

#: Rows of a whole picture handed on at a time.
_ROWS = 256


def _silent(what: str, done: int, total: int) -> None:
    """Progress nobody asked for."""


def tile_side(height: int, width: int, options: UpscaleOptions, device: torch.device) -> int:
    """The side of the tiles that a photo is worked on in, LR pixels; 0 for all of it at once."""
    return side_that_fits(height, width, options.tile, OVERLAP, *pixels_that_fit(device))


def _begun(photo: Photo, models: Models, options: UpscaleOptions, depth: DepthMap | None) -> tuple[Work, Recovery]:
    """Step 1, on a device that suffices for it."""
    models = replace(models, precision=getattr(torch, options.precision))
    incidents: list[str] = []
    size = (photo.height + -photo.height % 8, photo.width + -photo.width % 8)
    recovery = Recovery(models, incidents, size, OVERLAP)

    def attempt(models: Models) -> Work:
        side = tile_side(photo.height, photo.width, options, models.device)
        return prepare(photo, models, side, depth, options.processed)

    work = recovery.whole(attempt)
    recovery.settle(float(work.processed))
    return work, recovery


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
    with torch.inference_mode():
        tell("estimating depth", 0, 1)
        work, recovery = _begun(photo, models, options, depth)
        priors = fit_rounds(work, recovery, tell, options.ablation.rounds)
        maps = Maps(work)

        def attempt(tile: Tile, models: Models) -> None:
            near = refined_part(tile)
            y, _ = cut(work, near, models)
            states = refine(work, tile, models, priors[:-1])
            _note(maps, near, states, fuse(models, y, states[-1], priors[-1], options).gates)

        for done, tile in enumerate(work.tiles):
            tell("mapping kernels", done, len(work.tiles))
            for _ in recovery.pieces(tile, attempt):
                pass
        tell("mapping kernels", len(work.tiles), len(work.tiles))
        return maps.analysis(work, priors, models.dictionary.scale)


def _note(maps: Maps, tile: Tile, states: list[RoundState], gates: Tensor) -> None:
    """Keep what a tile found out."""
    for t, state in enumerate(states):
        maps.put_round(t, tile, state)
    maps.put("gates", tile, gates)


class Enlarging:
    """A photo that is being made larger: estimated as a whole at first, then restored band by band.

    Args:
        photo: the photo.
        models: see `load_models`.
        options: scale, steps, seed, tile, consistency.
        progress: receives stages.
        depth: to begin with, at the photo's size; None estimates it.
        delivery: how the result is handed over, and what beside it.

    Raises:
        UsageError: for a confidence of a Stable Diffusion prior.
        DeviceError: when memory runs out at the smallest tile, or kernels come out wrong whatever is tried.
    """

    def __init__(
        self,
        photo: Photo,
        models: Models,
        options: UpscaleOptions,
        progress: Progress | None = None,
        depth: DepthMap | None = None,
        delivery: Delivery = PLAIN,
    ) -> None:
        self.options = options
        self.tell = progress or _silent
        self.scale = models.dictionary.scale
        #: Of the result.
        self.height = max(1, round(photo.height * options.scale))
        self.width = max(1, round(photo.width * options.scale))
        self.native = (photo.height * self.scale, photo.width * self.scale)
        self.delivery = delivery
        self.diffused = models.stable is not None and options.steps > 0
        if self.diffused and delivery.confidence:
            raise UsageError("A Stable Diffusion prior gives no confidence.", "Leave --save-confidence out.")
        with torch.inference_mode():
            self.tell("estimating depth", 0, 1)
            self.work, self.recovery = _begun(photo, models, options, depth)
            self.priors = fit_rounds(self.work, self.recovery, self.tell, options.ablation.rounds)
        self.maps = Maps(self.work, delivery.map_pixels)
        self.tally = Tally()
        self.views: dict[str, Canvas] = {}

    def bands(self) -> Iterator[Tensor]:
        """The result from the top, each row once: (3, b, W), encoded.

        Raises:
            DeviceError: when memory runs out at the smallest tile, or a tile comes out wrong whatever is tried.
        """
        native = self._diffused() if self.diffused else self._restored(self.options)
        if (self.height, self.width) == self.native:
            return native
        return resized(native, self.native[0], (self.height, self.width))  # step 4

    def findings(self) -> Findings:
        """What is known, once all bands were taken."""
        analysis = self.maps.analysis(self.work, self.priors, self.scale)
        incidents = tuple(self.recovery.incidents)
        views = {name: canvas.pixels for name, canvas in self.views.items()}
        return Findings(analysis, *self.tally.lr_psnr, incidents, views, self.tally.invented_share)

    def _restored(self, options: UpscaleOptions) -> Iterator[Tensor]:
        """Step 3, a row of tiles at a time."""
        final = (self.height, self.width) == self.native and not self.diffused
        # a picture that goes on being worked on is whole cells large, and exact
        size = (n * self.scale for n in self.work.size) if self.diffused else self.native
        height, width = size
        attempt, done = partial(self._attempt, options), 0
        for _, row in groupby(self.work.tiles, lambda tile: tile.core.top):
            tiles = list(row)
            relieve(max(tiles, key=lambda tile: tile.padded.width), self.recovery.models)
            top = tiles[0].core.top * self.scale
            band = Canvas(
                min(tiles[0].core.bottom * self.scale, height) - top, width, self.delivery.bits if final else None
            )
            for tile in tiles:
                self.tell("restoring", done, len(self.work.tiles))
                for piece, restored in self.recovery.pieces(tile, attempt):
                    rows, columns = piece.outer(self.scale)
                    band.put(slice(rows.start - top, rows.stop - top), columns, restored.core)
                    self._keep(restored, rows, columns)
                done += 1
            self.tell("restoring", done, len(self.work.tiles))
            yield band.pixels

    def _keep(self, restored: Restored, rows: slice, columns: slice) -> None:
        """Count a finished tile, and put what was asked for beside it in its place."""
        self.tally.add(restored)
        invented = None if restored.invented is None else 0.5 + restored.invented
        for name, plane in (("invented", invented), ("confidence", restored.confidence)):
            if plane is not None:
                canvas = self.views.setdefault(name, Canvas(*self.native, 8, len(plane)))
                canvas.put(rows, columns, plane)

    @torch.inference_mode()
    def _attempt(self, options: UpscaleOptions, tile: Tile, models: Models) -> Restored:
        """One tile, if it comes out well."""
        note = partial(_note, self.maps, refined_part(tile))
        restored = restore_tile(
            self.work, tile, models, options, self.priors, note, PLAIN if self.diffused else self.delivery
        )
        checked(restored.core, self.work.photo[(0, slice(None), *tile.outer())])
        return restored

    def _diffused(self) -> Iterator[Tensor]:
        """Step 3 with a Stable Diffusion prior, which needs the whole picture."""
        first = replace(self.options, steps=0, consistency="off", focus="all")
        mean = torch.cat(list(self._restored(first)), 1)
        with torch.inference_mode():
            drawn = self.recovery.whole(partial(self._drawn, mean))
        out = self._held_whole(drawn)
        for top in range(0, self.native[0], _ROWS):
            yield out[:, top : min(top + _ROWS, self.native[0]), : self.native[1]]

    def _drawn(self, mean: Tensor, models: Models) -> Tensor:
        """A sample of the Stable Diffusion prior, if it comes out well."""
        drawn = draw_stable(self.work, models, self.options, self.priors, mean, self.tell)
        return checked(drawn, padded_photo(self.work))

    def _held_whole(self, whole: Tensor) -> Tensor:
        """A whole picture (3, H, W) held to the photo, tile by tile."""
        out = whole.clone()  # a tile reads its neighbours as they were
        for tile in self.work.tiles:
            for piece, restored in self.recovery.pieces(tile, partial(self._held, whole)):
                rows, columns = piece.outer(self.scale)
                out[:, rows, columns] = restored.core
                self._keep(restored, rows, columns)
        return out

    @torch.inference_mode()
    def _held(self, whole: Tensor, tile: Tile, models: Models) -> Restored:
        """A tile of a whole picture held to the photo."""
        return held_tile(self.work, whole, tile, models, self.options, self.priors, self.delivery)


def gathered(bands: Iterator[Tensor], height: int, width: int) -> Tensor:
    """Bands (C, b, W) as one picture."""
    out: Tensor | None = None
    top = 0
    for band in bands:
        if out is None:
            out = torch.empty(band.shape[0], height, width, dtype=band.dtype)
        out.numpy()[:, top : top + band.shape[1]] = band.numpy()
        top += band.shape[1]
    assert out is not None
    assert top == height
    return out


def upscale(
    photo: Photo,
    models: Models,
    options: UpscaleOptions,
    progress: Progress | None = None,
    depth: DepthMap | None = None,
    delivery: Delivery = PLAIN,
) -> Upscaled:
    """Make a photo larger and keep it true, all of it in memory; the arguments are those of `Enlarging`.

    Returns:
        The result of exactly `round(h * scale)` x `round(w * scale)` pixels and what is known about it.

    Raises:
        DeviceError: when memory runs out at the smallest tile, or a tile comes out wrong whatever is tried.
    """
    enlarging = Enlarging(photo, models, options, progress, depth, delivery)
    rgb = gathered(enlarging.bands(), enlarging.height, enlarging.width)
    found = enlarging.findings()
    return Upscaled(
        Photo(rgb, photo.metadata), found.analysis, found.lr_psnr_before, found.lr_psnr_after, found.incidents
    )
