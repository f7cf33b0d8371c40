"""A photo with its transparency through the pipeline: colours first, then the mask, both by the same models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ssr_cli.estimation import Progress
from ssr_cli.frames import DepthMap, Findings, Photo, PhotoStream, Upscaled
from ssr_cli.image.alpha import bleed, within_neighbours
from ssr_cli.image.rows import in_whole_numbers
from ssr_cli.pipeline import Enlarging, gathered
from ssr_cli.settings import PLAIN, Delivery, UpscaleOptions
from ssr_cli.suite import Models


class PhotoEnlarging:
    """As `pipeline.Enlarging`, for photos with transparency too.

    Colours under transparent places are continued from their surroundings before the work, so nothing hidden shines
    through afterwards. The mask is enlarged by the same models as a grey picture, by the mean: an edge is no texture.

    Args:
        photo: its metadata may hold "alpha".
        models: see `assemble`.
        options: see `pipeline.Enlarging`.
        progress: receives stages.
        depth: to begin with, at the photo's size.
        delivery: how the result is handed over, and what beside it.
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
        self.photo = photo
        self.alpha: Tensor | None = photo.metadata.get("alpha")
        self.mask: Enlarging | None = None
        colours = photo if self.alpha is None else Photo(bleed(photo.rgb, self.alpha))
        self.colours = Enlarging(colours, models, options, progress, depth, delivery)
        if self.alpha is not None and float(self.alpha.max() - self.alpha.min()) > 0.0:
            grey, flat = Photo(self.alpha.expand(3, -1, -1)), DepthMap(torch.full_like(self.alpha, 0.5))
            self.mask = Enlarging(grey, models, replace(options, steps=0), None, flat, Delivery(map_pixels=1))

    def stream(self) -> PhotoStream:
        """The result, to be taken once."""
        bands = self.colours.bands() if self.alpha is None else self._with_mask(self.alpha)
        return PhotoStream(self.colours.height, self.colours.width, bands, self.photo.metadata)

    def findings(self) -> Findings:
        """What is known, once the stream was taken."""
        found = self.colours.findings()
        return (
            found if self.mask is None else replace(found, incidents=found.incidents + self.mask.findings().incidents)
        )

    def _with_mask(self, alpha: Tensor) -> Iterator[Tensor]:
        """Colours and transparency, (4, b, W)."""
        top = 0
        masks = None if self.mask is None else self.mask.bands()
        for band in self.colours.bands():
            shape = (1, *band.shape[1:])
            if masks is None:
                mask = alpha[:1, :1].expand(shape)
            else:
                # both are made of the same tiles, and so of the same bands
                enlarged = next(masks).mean(0)
                mask = within_neighbours(enlarged, alpha, top, self.colours.height)[None]
            top += band.shape[1]
            yield torch.cat([band, in_whole_numbers(mask, band.dtype)])


def enlarge(
    photo: Photo,
    models: Models,
    options: UpscaleOptions,
    progress: Progress | None = None,
    depth: DepthMap | None = None,
) -> Upscaled:
    """All of it in memory; the arguments are those of `PhotoEnlarging`."""
    work = PhotoEnlarging(photo, models, options, progress, depth)
    stream = work.stream()
    planes = gathered(stream.bands, stream.height, stream.width)
    alpha = {"alpha": planes[3]} if len(planes) == 4 else {}
    found = work.findings()
    made = Photo(planes[:3], {**photo.metadata, **alpha})
    return Upscaled(made, found.analysis, found.lr_psnr_before, found.lr_psnr_after, found.incidents)
