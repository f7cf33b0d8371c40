"""The maps of a photo, put together from its tiles at a stride that fits in memory."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssr_cli.estimation import Work
from ssr_cli.frames import Analysis, DepthMap, KernelField, Round, ThinLens
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.svkr import RoundState
from ssr_cli.tiling import Tile

#: Maps of larger photos are kept at every n-th pixel: the weights of 63 atoms would not fit in memory.
MAP_PIXELS = 1_000_000
#: The same where nobody asked for pictures of them: enough for the figures of a whole photo.
FEW_PIXELS = 65_536


class Maps:
    """Collects the maps of all tiles at a stride that fits in memory.

    Args:
        work: the photo.
        pixels: how many of a map's are kept at most, or None for `MAP_PIXELS`.
    """

    def __init__(self, work: Work, pixels: int | None = None) -> None:
        self.stride = max(1, math.ceil(math.sqrt(work.height * work.width / (pixels or MAP_PIXELS))))
        self.shape = (math.ceil(work.height / self.stride), math.ceil(work.width / self.stride))
        self.planes: dict[str, Tensor] = {}

    def put(self, name: str, tile: Tile, values: Tensor) -> None:
        """Keep (1, C, h, w) values of a padded tile, or of its core, as plane `name`."""
        n = self.stride
        bare = values.shape[-2:] == (tile.core.height, tile.core.width)
        rows, columns = (slice(None), slice(None)) if bare else tile.inner()
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
        coarse, fine = prior.gain[0].tolist()
        depth, light = DepthMap(get[f"{t}.disparity"][0]), float(prior.light[0])
        return Round(field, depth, lens, (coarse, fine), float(prior.processed[0]), light)

    def analysis(self, work: Work, priors: list[PhotoPrior], scale: int) -> Analysis:
        """All rounds."""
        n = self.stride
        before = DepthMap(work.depth[0, 0, : work.height : n, : work.width : n])
        rounds = tuple(self.round(t, prior, scale) for t, prior in enumerate(priors))
        return Analysis(before, rounds, self.planes.get("gates"))
