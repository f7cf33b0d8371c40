"""The observation operator: spatially variant blur and decimation in gather form, with its exact adjoint.

`y(p) = sum_l c_l(p) (b_l * x)(s p)` (blueprint 2). LR pixel p is centred at HR coordinate `s p + (s - 1) / 2`
(the align_corners=False convention), so at an even scale the atoms have an even side. Blocks of s x s HR pixels become
channels, which turns the strided convolution into a small dense one on the LR grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def _as_block_filters(atoms: Tensor, scale: int) -> Tensor:
    """(L, k, k) -> (L, s * s, k / s, k / s), the layout of `pixel_unshuffle`."""
    count, k, _ = atoms.shape
    n = k // scale
    blocks = atoms.reshape(count, n, scale, n, scale).permute(0, 2, 4, 1, 3)
    return blocks.reshape(count, scale * scale, n, n).contiguous()


def _fold_replicate(padded: Tensor, pad: int) -> Tensor:
    """Adjoint of replicate padding: border values are added to the edge pixels they were copied from."""
    inner = padded[..., pad:-pad].clone()
    inner[..., 0] += padded[..., :pad].sum(-1)
    inner[..., -1] += padded[..., -pad:].sum(-1)
    out = inner[..., pad:-pad, :].clone()
    out[..., 0, :] += inner[..., :pad, :].sum(-2)
    out[..., -1, :] += inner[..., -pad:, :].sum(-2)
    return out


class SpatiallyVariantBlur:
    """The linear operator A of one kernel field, light-agnostic: it mixes whatever values it is given.

    Args:
        atoms: (L, k, k) kernels, the sensor's box included; k a multiple of 2 s with k / s odd.
        weights: (B, L, h, w) coefficients at every LR pixel.
        scale: s.

    Raises:
        ValueError: if the atoms' side does not fit the scale.
    """

    def __init__(self, atoms: Tensor, weights: Tensor, scale: int) -> None:
        if atoms.shape[-1] % scale or (atoms.shape[-1] // scale) % 2 == 0:
            raise ValueError(f"atoms of side {atoms.shape[-1]} cannot be centred on LR pixels at scale {scale}")
        self.scale = scale
        self.weights = weights
        self.filters = _as_block_filters(atoms, scale).to(weights)
        self.reach = self.filters.shape[-1] // 2  # LR pixels

    def responses(self, x: Tensor) -> Tensor:
        """What every atom alone would give.

        Args:
            x: (B, C, h s, w s).

        Returns:
            (B, C, L, h, w).
        """
        b, c, height, width = x.shape
        pad = self.reach * self.scale
        padded = F.pad(x, (pad, pad, pad, pad), mode="replicate")
        blocks = F.pixel_unshuffle(padded.reshape(b * c, 1, height + 2 * pad, width + 2 * pad), self.scale)
        seen = F.conv2d(blocks, self.filters)  # (B C, L, h, w)
        return seen.reshape(b, c, *seen.shape[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Blur and decimate.

        Args:
            x: (B, C, h s, w s).

        Returns:
            (B, C, h, w).
        """
        return (self.responses(x) * self.weights[:, None]).sum(2)

    def adjoint(self, r: Tensor) -> Tensor:
        """The transpose of `forward`.

        Args:
            r: (B, C, h, w).

        Returns:
            (B, C, h s, w s).
        """
        b, c, h, w = r.shape
        spread = (r[:, :, None] * self.weights[:, None]).reshape(b * c, -1, h, w)
        blocks = F.conv_transpose2d(spread, self.filters)
        padded = F.pixel_shuffle(blocks, self.scale)
        folded = _fold_replicate(padded, self.reach * self.scale)
        return folded.reshape(b, c, h * self.scale, w * self.scale)


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
