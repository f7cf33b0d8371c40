"""The pipeline with a Stable Diffusion prior: AMF under any window of the latent, diffusion over the whole photo, then
every tile of it held to the photo.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ssr_cli.diffusion.stable import Window
from ssr_cli.estimation import OVERLAP, Progress, Work, cut, padded_photo, prior_on, refine, refined_part
from ssr_cli.models.amf import Fused
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.settings import Delivery, UpscaleOptions
from ssr_cli.suite import Models
from ssr_cli.tile_end import Restored, held, refocused, with_split
from ssr_cli.tile_pass import anchor_of, cropped, fuse
from ssr_cli.tiling import ALIGNMENT, Box, Tile

#: LR pixels per latent pixel.
_PER_LATENT = 2


def _tile_of(window: Window, work: Work) -> Tile:
    """The part of the photo under a window, with the surroundings that its answer depends on."""
    core = Box(*(n * _PER_LATENT for n in (window.top, window.left, window.bottom, window.right)))
    around = -(-OVERLAP // ALIGNMENT) * ALIGNMENT
    h, w = work.size
    padded = Box(
        max(0, core.top - around), max(0, core.left - around), min(h, core.bottom + around), min(w, core.right + around)
    )
    return Tile(core, padded)


def conditions(
    work: Work, models: Models, priors: list[PhotoPrior], options: UpscaleOptions
) -> Callable[[Window], Fused]:
    """AMF's answer under any window; made once for a photo that is one tile."""

    def answer(tile: Tile) -> Fused:
        y, _ = cut(work, refined_part(tile), models)
        return fuse(models, y, refine(work, tile, models, priors[:-1])[-1], priors[-1], options)

    whole = answer(work.tiles[0]) if len(work.tiles) == 1 else None

    def at(window: Window) -> Fused:
        tile = _tile_of(window, work)
        if whole is not None:
            core = tile.core
            return cropped(whole, slice(core.top, core.bottom), slice(core.left, core.right))
        return cropped(answer(tile), *refined_part(tile).inner())

    return at


def held_tile(
    work: Work,
    whole: Tensor,
    tile: Tile,
    models: Models,
    options: UpscaleOptions,
    priors: list[PhotoPrior],
    delivery: Delivery,
) -> Restored:
    """A tile of a whole picture (3, H, W) held to the photo."""
    state = refine(work, tile, models, priors[:-1])[-1]
    tile = refined_part(tile)
    scale, (rows, columns) = models.dictionary.scale, tile.read()
    read = (slice(rows.start * scale, rows.stop * scale), slice(columns.start * scale, columns.stop * scale))
    y, _ = cut(work, tile, models)
    image = whole[(None, slice(None), *read)].to(models.device)
    prior = prior_on(priors[-1], y.device)
    anchor = anchor_of(work, y, state, prior, models)
    restored = held(image, anchor, tile, models, options.consistency)
    blur = state.radius_px, state.disparity
    restored = refocused(restored, image, y, *blur, prior, tile, models, options.kept_blur)
    return with_split(restored, image, anchor, tile, models) if delivery.invented else restored


def draw_stable(
    work: Work,
    models: Models,
    options: UpscaleOptions,
    priors: list[PhotoPrior],
    mean: Tensor,
    tell: Progress,
) -> Tensor:
    """A sample of the Stable Diffusion prior around the posterior mean.

    Args:
        work: the photo.
        models: with `stable`.
        options: steps, seed and what AMF leaves out.
        priors: of every round.
        mean: (3, H, W), the whole mean.
        tell: receives stages.

    Returns:
        (3, H, W), encoded, 0..1.
    """
    assert models.stable is not None
    image = models.stable.draw(
        padded_photo(work),
        mean[None],
        conditions(work, models, priors, options),
        options.steps,
        options.seed,
        lambda done, total: tell("diffusing", done, total),
    )
    return torch.clamp(image[0], 0, 1)
