"""The end of a tile: its picture held to the photo, meant blur given back, and how much of it was invented."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from ssr_cli.diffusion.colour import dimming, keep_colour
from ssr_cli.diffusion.consistency import colours_told, project, residual
from ssr_cli.diffusion.focus import keep_focus, told_by_depth
from ssr_cli.diffusion.invented import Split, split
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.suite import Models
from ssr_cli.tiling import Tile, part_of


@dataclass(frozen=True)
class Restored:
    """A finished tile.

    Attributes:
        core: (3, h s, w s), encoded, on the CPU.
        before: sum of squares of the core's residuals under the kernels before consistency, 0 without it.
        after: the same after it.
        count: residuals counted.
        invented: (3, h s, w s), encoded units, what of the core the photo does not determine; or None.
        confidence: (1, h s, w s), 0..1, or None.
        energy: sums of squares of the invented part and of all detail.
    """

    core: Tensor
    before: float = 0.0
    after: float = 0.0
    count: int = 0
    invented: Tensor | None = None
    confidence: Tensor | None = None
    energy: tuple[float, float] = (0.0, 0.0)


@dataclass
class Tally:
    """Sums over finished tiles."""

    before: float = 0.0
    after: float = 0.0
    count: int = 0
    invented: float = 0.0
    detail: float = 0.0

    def add(self, restored: Restored) -> None:
        """Count the core of a tile."""
        self.before += restored.before
        self.after += restored.after
        self.count += restored.count
        self.invented += restored.energy[0]
        self.detail += restored.energy[1]

    @property
    def invented_share(self) -> float | None:
        """Of the detail's energy, what the photo does not determine."""
        return self.invented / self.detail if self.detail else None

    @property
    def lr_psnr(self) -> tuple[float | None, float | None]:
        """LR-PSNR in dB under the kernels, before consistency and after it; None without it."""
        return self._psnr(self.before), self._psnr(self.after)

    def _psnr(self, energy: float) -> float | None:
        return None if not self.count else -10 * math.log10(max(energy / self.count, 1e-12))


@dataclass(frozen=True)
class Anchor:
    """What the picture of a padded tile is held to.

    Attributes:
        y: (1, 3, h, w), the photo, encoded.
        before: (1, 3, h, w), the photo as it was before the camera sharpened it.
        operator: A by SVKR's last round.
        noise: (1, 1, h, w), see `consistency.left_alone`.
        grain: (1,), standard deviation of the photo's own noise, encoded units.
        processed: probability that these are a camera's pixels, which it processed.
        light: (1,) share of linear light that the blur happened in, see `physics.light`; None for linear.
        dimmed: (1, 3, h, w), see `colour.dimming`; None where colours are the photo's.
    """

    y: Tensor
    before: Tensor
    operator: SpatiallyVariantBlur
    noise: Tensor
    grain: Tensor
    processed: float
    light: Tensor | None
    dimmed: Tensor | None = None

    def part(self, box: tuple[slice, slice]) -> Anchor:
        """That of a part of the tile, given in LR pixels."""
        y, before, noise = (part_of(plane, box) for plane in (self.y, self.before, self.noise))
        dimmed = None if self.dimmed is None else part_of(self.dimmed, box)
        return replace(self, y=y, before=before, operator=self.operator.part(box), noise=noise, dimmed=dimmed)

    def expecting(self, mean: Tensor) -> Anchor:
        """With what the posterior mean (1, 3, h s, w s) says of colours, where the light that was blurred is known."""
        return self if self.light is None else replace(self, dimmed=dimming(mean, self.y, self.light))


def held(image: Tensor, to: Anchor, tile: Tile, models: Models, consistency: str) -> Restored:
    """A tile's picture held to its photo: to its detail by the kernels, to its colours in any case.

    Args:
        image: (1, 3, h s, w s) of the padded tile, 0..1.
        to: the photo there, and what is known of it.
        tile: whose core is returned.
        models: whose dictionary is used.
        consistency: see `UpscaleOptions`.
    """
    core = (0, slice(None), *tile.inner(models.dictionary.scale))
    if consistency == "off":
        return Restored(keep_colour(image, to.y, to.processed, to.dimmed)[core].cpu())
    colours = colours_told(to.processed, models.suite.config.consistency)
    projected = project(image, to.before, to.operator, to.noise, grain=to.grain, colours=colours, light=to.light)
    picture = keep_colour(projected.image if consistency == "project" else image, to.y, to.processed, to.dimmed)
    inner = (..., *tile.inner())
    unexplained, left = projected.before[inner], residual(picture, to.before, to.operator, to.light)[inner]
    return Restored(picture[core].cpu(), _energy(unexplained), _energy(left), left.numel())


def _energy(plane: Tensor) -> float:
    """Sum of squares."""
    return float(plane.double().square().sum())


def refocused(
    restored: Restored,
    around: Tensor,
    y: Tensor,
    radius_px: Tensor,
    disparity: Tensor,
    prior: PhotoPrior,
    tile: Tile,
    models: Models,
    strength: float,
) -> Restored:
    """A finished tile whose meant blur is given back.

    Args:
        restored: the tile.
        around: (1, 3, h s, w s) picture of the padded tile, for the places around the core.
        y: (1, 3, h, w) of the padded tile.
        radius_px: (1, 1, h, w) likewise, HR px.
        disparity: (1, 1, h, w) likewise, refined.
        prior: of the photo, on the same device.
        tile: whose core it is.
        models: for the scale.
        strength: share of the blur that stays, 0..1.
    """
    if not strength:
        return restored
    scale = models.dictionary.scale
    rows, columns = tile.inner(scale)
    image = around.clone()
    image[(0, slice(None), rows, columns)] = restored.core.to(image)
    radius_px = told_by_depth(radius_px, prior.radius_of(disparity))
    kept = keep_focus(image, y, radius_px, prior.sharpest_px, strength)
    return replace(restored, core=kept[(0, slice(None), rows, columns)].cpu())


def with_split(restored: Restored, around: Tensor, to: Anchor, tile: Tile, models: Models) -> Restored:
    """A finished tile with what of it was invented.

    Args:
        restored: the tile.
        around: (1, 3, h s, w s) picture of the padded tile, for the places around the core.
        to: the photo there, and what is known of it.
        tile: whose core it is.
        models: for the scale.
    """
    inner = (..., *tile.inner(models.dictionary.scale))
    image = around.clone()
    image[inner] = restored.core.to(image)
    parts = split(image, to.operator.exact, to.light)
    energy = Split(parts.determined[inner], parts.invented[inner]).energy
    return replace(restored, invented=parts.invented[inner][0].cpu(), energy=energy)
