"""A photo with its transparency through the pipeline: colours first, then the mask, both by the same models."""

from __future__ import annotations

from dataclasses import replace

import torch

from ssr_cli.estimation import Progress
from ssr_cli.frames import DepthMap, Photo, Upscaled
from ssr_cli.image.alpha import bleed, within_neighbours
from ssr_cli.pipeline import upscale
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import Models


def enlarge(
    photo: Photo,
    models: Models,
    options: UpscaleOptions,
    progress: Progress | None = None,
    depth: DepthMap | None = None,
    bits: int | None = None,
    map_pixels: int | None = None,
) -> Upscaled:
    """As `pipeline.upscale`, for photos with transparency too.

    Colours under transparent places are continued from their surroundings before the work, so nothing hidden shines
    through afterwards. The mask is enlarged by the same models as a grey picture, by the mean: an edge is no texture.

    Args:
        photo: its metadata may hold "alpha".
        models: see `assemble`.
        options: see `pipeline.upscale`.
        progress: receives stages.
        depth: to begin with, at the photo's size.
        bits: see `pipeline.upscale`.
        map_pixels: see `Maps`.
    """
    alpha = photo.metadata.get("alpha")
    if alpha is None:
        return upscale(photo, models, options, progress, depth, bits, map_pixels)
    result = upscale(Photo(bleed(photo.rgb, alpha), photo.metadata), models, options, progress, depth, bits, map_pixels)
    size = (result.photo.height, result.photo.width)
    if float(alpha.max() - alpha.min()) == 0.0:
        mask = alpha[:1, :1].expand(*size)
    else:
        grey = Photo(alpha.expand(3, -1, -1).contiguous())
        flat = DepthMap(torch.full_like(alpha, 0.5))
        enlarged = upscale(grey, models, replace(options, steps=0), progress, flat, map_pixels=1).photo.rgb
        mask = within_neighbours(enlarged.mean(0), alpha)
    return replace(result, photo=Photo(result.photo.rgb, {**photo.metadata, "alpha": mask}))
