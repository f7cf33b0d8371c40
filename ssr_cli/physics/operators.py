"""The observation operator: spatially variant blur and decimation in gather form, with its exact adjoint.

`y(p) = sum_l c_l(p) (b_l * x)(s p)` (blueprint 2). LR pixel p is centred at HR coordinate `s p + (s - 1) / 2`
(the align_corners=False convention), so at an even scale the atoms have an even side. Blocks of s x s HR pixels become
channels, which turns the strided convolution into a small dense one on the LR grid.
"""

from __future__ import annotations

import copy
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.image.cells import in_cells
from ssr_cli.tiling import part_of


def _as_block_filters(atoms: Tensor, scale: int) -> Tensor:
    """(L, k, k) -> (L, s * s, k / s, k / s), the layout of `pixel_unshuffle`."""
    count, k, _ = atoms.shape
    n = k // scale
    blocks = atoms.reshape(count, n, scale, n, scale).permute(0, 2, 4, 1, 3)
    return blocks.reshape(count, scale * scale, n, n).contiguous()


def per_photo(planes: Tensor, count: int) -> Tensor:
    """Planes (B C, ...) of `count` photos as (B, C, ...)."""
    return planes.view(count, len(planes) // count, *planes.shape[1:])


def _in_cells(blocks: Tensor, scale: int) -> Tensor:
    """A view (N, sub-row, sub-column, h, w) of a picture in blocks (N, s s, h, w)."""
    return blocks.view(len(blocks), scale, scale, *blocks.shape[-2:])


def _padded(blocks: Tensor, scale: int, reach: int) -> Tensor:
    """Replicate padding by `reach` LR pixels of a picture in blocks, (N, s s, h, w) -> (N, s s, h + 2 r, w + 2 r).

    Outside there is what the outermost HR row or column had, at every place of a block.
    """
    out = _in_cells(F.pad(blocks, (reach,) * 4), scale)
    out[:, :, :, :reach] = out[:, :1, :, reach : reach + 1]
    out[:, :, :, -reach:] = out[:, -1:, :, -reach - 1 : -reach]
    out[..., :reach] = out[:, :, :1, :, reach : reach + 1]
    out[..., -reach:] = out[:, :, -1:, :, -reach - 1 : -reach]
    return out.flatten(1, 2)


def _folded(padded: Tensor, scale: int, reach: int) -> Tensor:
    """Adjoint of `_padded`: border values are added to the HR pixels they were copied from."""
    parts = _in_cells(padded, scale)
    inner = parts[..., reach:-reach].clone()
    inner[:, :, 0, :, 0] += parts[..., :reach].sum((2, 4))
    inner[:, :, -1, :, -1] += parts[..., -reach:].sum((2, 4))
    out = inner[..., reach:-reach, :].clone()
    out[:, 0, :, 0] += inner[..., :reach, :].sum((1, 3))
    out[:, -1, :, -1] += inner[..., -reach:, :].sum((1, 3))
    return out.flatten(1, 2)


class SpatiallyVariantBlur:
    """The linear operator A of one kernel field, light-agnostic: it mixes whatever values it is given.

    Solvers that apply it again and again stay in blocks, (B C, s s, h, w), and in the layout that convolutions like.

    Args:
        atoms: (L, k, k) kernels, the sensor's box included; k a multiple of 2 s with k / s odd.
        weights: (B, L, h, w) coefficients at every LR pixel.
        scale: s.
        precision: of its factors; None for that of the weights. Sums are of the weights' precision.
        rough: an operator that is nearly this one and quicker, for steps towards a correction, not for residuals; None
            where this one serves.

    Raises:
        ValueError: if the atoms' side does not fit the scale.
    """

    def __init__(
        self,
        atoms: Tensor,
        weights: Tensor,
        scale: int,
        precision: torch.dtype | None = None,
        rough: SpatiallyVariantBlur | None = None,
    ) -> None:
        if atoms.shape[-1] % scale or (atoms.shape[-1] // scale) % 2 == 0:
            raise ValueError(f"atoms of side {atoms.shape[-1]} cannot be centred on LR pixels at scale {scale}")
        self.scale = scale
        self.weights = weights
        filters = _as_block_filters(atoms, scale).to(weights)
        self.filters = filters.to(precision or weights.dtype).contiguous(memory_format=torch.channels_last)
        self.reach = self.filters.shape[-1] // 2  # LR pixels
        self._mixing = weights.permute(0, 2, 3, 1)[:, None].to(self.filters.dtype).contiguous()  # (B, 1, h, w, L)
        self._rough = rough

    @property
    def rough(self) -> SpatiallyVariantBlur:
        """See above."""
        # Not kept where it is this one: what refers to itself stays in memory until garbage is collected.
        return self if self._rough is None else self._rough

    @property
    def exact(self) -> SpatiallyVariantBlur:
        """This one without its rough version."""
        out = copy.copy(self)
        out._rough = None
        return out

    def part(self, box: tuple[slice, slice]) -> SpatiallyVariantBlur:
        """The operator of a part of the photos, given in LR pixels; itself where that is all of them."""
        if self.weights[(..., *box)].shape == self.weights.shape:
            return self
        out = copy.copy(self)
        out.__dict__.pop("coverage", None)
        out.weights = part_of(self.weights, box)
        out._mixing = self._mixing[(..., *box, slice(None))]
        out._rough = None if self._rough is None else self._rough.part(box)
        return out

    def blocks(self, x: Tensor) -> Tensor:
        """A picture (B, C, h s, w s) in blocks (B C, s s, h, w)."""
        return in_cells(x.flatten(0, 1)[:, None], self.scale)

    def picture(self, blocks: Tensor) -> Tensor:
        """The inverse of `blocks`."""
        return per_photo(F.pixel_shuffle(blocks, self.scale)[:, 0], len(self.weights))

    def _answers(self, blocks: Tensor) -> Tensor:
        """What every atom sees, (B C, L, h, w)."""
        return F.conv2d(_padded(blocks, self.scale, self.reach), self.filters)

    def responses(self, x: Tensor) -> Tensor:
        """What every atom alone would give.

        Args:
            x: (B, C, h s, w s).

        Returns:
            (B, C, L, h, w).
        """
        return per_photo(self._answers(self.blocks(x)), len(x))

    def see(self, blocks: Tensor) -> Tensor:
        """`forward` of a picture in blocks, (B, C, h, w)."""
        answers = per_photo(self._answers(blocks).permute(0, 2, 3, 1), len(self.weights))
        return (answers * self._mixing).sum(-1, dtype=self.weights.dtype)

    def spread(self, r: Tensor) -> Tensor:
        """`adjoint`, in blocks, of the operator's precision."""
        shares = (r[..., None].to(self._mixing) * self._mixing).flatten(0, 1).permute(0, 3, 1, 2)
        return _folded(F.conv_transpose2d(shares, self.filters), self.scale, self.reach)

    @cached_property
    def coverage(self) -> Tensor:
        """How often HR pixels are looked at, the adjoint of ones, in blocks (B, s s, h, w)."""
        return self.spread(torch.ones_like(self.weights[:, :1]))

    def forward(self, x: Tensor) -> Tensor:
        """Blur and decimate.

        Args:
            x: (B, C, h s, w s).

        Returns:
            (B, C, h, w).
        """
        return self.see(self.blocks(x).to(self.filters.dtype))

    def adjoint(self, r: Tensor) -> Tensor:
        """The transpose of `forward`.

        Args:
            r: (B, C, h, w).

        Returns:
            (B, C, h s, w s).
        """
        return self.picture(self.spread(r))


def reduced_basis(atoms: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Leading singular components of a dictionary, for cheap repeated application of A.

    Args:
        atoms: (L, k, k).
        rank: components kept, <= L.

    Returns:
        components (rank, k, k) and the map (L, rank) with `atoms ~ map @ components`; rows of mixtures keep their sum
        to within the truncation, so constants move by less than 1e-3 at rank 12.
    """
    count, k, _ = atoms.shape
    u, s, vh = torch.linalg.svd(atoms.flatten(1), full_matrices=False)
    coefficients = u[:, :rank] * s[:rank]
    components = vh[:rank]
    # Restore the unit sums exactly: a constant must stay that constant.
    sums = coefficients @ components.sum(1)
    return components.reshape(rank, k, k), coefficients / sums[:, None]
