"""Finished rows as the whole numbers a file holds, a few at a time: grey, rounding, dithering, transparency."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssr_cli.canvas import as_float
from ssr_cli.frames import Photo, PhotoStream
from ssr_cli.image.color import resize

Samples = npt.NDArray[np.uint16] | npt.NDArray[np.uint8]
#: Rows that are rounded and encoded at a time; a multiple of a JPEG's block of 8, of which its markers count 8.
ROWS = 64


@dataclass(frozen=True)
class Layout:
    """What a file's samples are.

    Attributes:
        height: rows.
        width: columns.
        channels: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
        bits: 8 or 16 per channel.
    """

    height: int
    width: int
    channels: int
    bits: int

    @property
    def size(self) -> int:
        """Bytes of all samples."""
        return self.height * self.width * self.channels * self.bits // 8


def layout_of(photo: Photo | PhotoStream, deep: bool) -> Layout:
    """How a photo's samples are written; `deep` keeps 16 bits where it has them."""
    colours = 1 if photo.metadata.get("grey") else 3
    bits = 16 if deep and photo.metadata.get("bits") == 16 else 8
    return Layout(photo.height, photo.width, colours + (photo.metadata.get("alpha") is not None), bits)


def stream_of(photo: Photo) -> PhotoStream:
    """A photo in memory, band by band; transparency of another size is resized to its own."""
    alpha = photo.metadata.get("alpha")
    size = (photo.height, photo.width)
    if alpha is not None and tuple(alpha.shape) != size:
        alpha = resize(alpha[None], size).clamp(0, 1)[0]

    def bands() -> Iterator[Tensor]:
        for top in range(0, photo.height, ROWS):
            band = photo.rgb[:, top : top + ROWS]
            yield band if alpha is None else torch.cat([as_float(band), alpha[None, top : top + ROWS]])

    return PhotoStream(photo.height, photo.width, bands(), photo.metadata)


def rows_of(bands: Iterator[Tensor], count: int = ROWS) -> Iterator[Tensor]:
    """Bands of any height (C, b, W) as bands of `count` rows, the last one as high as is left."""
    waiting: list[Tensor] = []
    held = 0
    for band in bands:
        waiting.append(band)
        held += band.shape[1]
        if held < count:
            continue
        joined = torch.cat(waiting, 1) if len(waiting) > 1 else band
        whole = held - held % count
        for top in range(0, whole, count):
            yield joined[:, top : top + count]
        # a copy of what is left, so that it does not keep the whole band in memory
        waiting, held = ([joined[:, whole:].clone()] if held > whole else []), held - whole
    if held:
        yield torch.cat(waiting, 1)


def in_whole_numbers(planes: Tensor, kind: torch.dtype, noise: Tensor | None = None) -> Tensor:
    """Planes (C, b, W) of any kind as uint8 or uint16, as they lie; unchanged if they are that or floats are wanted.

    Args:
        planes: encoded.
        kind: what is wanted.
        noise: added before the rounding, in units of the least step.
    """
    if planes.dtype == kind or kind.is_floating_point:
        return planes
    largest = 255 if kind == torch.uint8 else 65_535
    values = as_float(planes).clamp(0, 1) * largest
    if noise is not None:
        values = (values + noise).clamp(0, largest)
    rounded: Tensor = values.round().to(kind)
    return rounded


def _dither(shape: tuple[int, ...], number: int) -> Tensor:
    """Noise of the `number`-th rows: triangular, so that the error's strength does not follow the picture."""
    uniform = torch.rand((2, *shape), generator=torch.Generator().manual_seed(number))
    return uniform[0] - uniform[1]


def samples_of(stream: PhotoStream, layout: Layout) -> Iterator[Samples]:
    """All rows of a stream, `ROWS` at a time.

    Args:
        stream: the photo; what it carries in "bits" decides whether it is dithered.
        layout: see `layout_of`.

    Yields:
        (b, W, channels), uint8 or uint16.
    """
    dithered = layout.bits == 8 and stream.metadata.get("bits") == 16
    grey, kind = layout.channels < 3, torch.uint8 if layout.bits == 8 else torch.uint16
    for number, band in enumerate(rows_of(stream.bands)):
        # a grey photo's channels differ by rounding alone
        colour = as_float(band[:3]).mean(0, keepdim=True) if grey else band[:3]
        noise = _dither(tuple(colour.shape), number) if dithered else None
        planes = [in_whole_numbers(colour, kind, noise)]
        if layout.channels in (2, 4):
            planes.append(in_whole_numbers(band[3:], kind))
        out = np.empty((band.shape[1], band.shape[2], layout.channels), np.uint8 if layout.bits == 8 else np.uint16)
        channel = 0
        for group in planes:
            out[..., channel : channel + len(group)] = group.permute(1, 2, 0).numpy()
            channel += len(group)
        yield out
