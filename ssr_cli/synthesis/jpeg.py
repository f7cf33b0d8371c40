"""JPEG as tensors: what compression does to a batch of pictures, on any device, without a file.

The lossy steps of the baseline codec and nothing else: colour transform, chroma halved, blockwise cosine transform,
quantisation and back. Huffman coding loses nothing, so it is left out. Tested against a real codec.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

#: Quantisation tables at quality 50, luma and chroma (ITU-T T.81, annex K.1).
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
#: RGB to YCbCr (JFIF 1.02).
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@lru_cache(maxsize=1)
def _cosines() -> Tensor:
    """The orthonormal 8-point cosine transform (8, 8): row k is frequency k."""
    n = torch.arange(8, dtype=torch.float64)
    basis = torch.cos(math.pi * (2 * n[None] + 1) * n[:, None] / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis.float()


def _quantised(plane: Tensor, table: Tensor) -> Tensor:
    """Planes (B, h, w), 0 in the middle of the range, sides multiples of 8, through tables (B, 8, 8) and back."""
    b, h, w = plane.shape
    basis = _cosines().to(plane.device)
    blocks = plane.reshape(b, h // 8, 8, w // 8, 8).transpose(2, 3)  # (B, h/8, w/8, 8, 8)
    steps = table[:, None, None]
    levels = torch.round(basis @ blocks @ basis.T / steps)
    return (basis.T @ (levels * steps) @ basis).transpose(2, 3).reshape(b, h, w)


def _tables(quality: Tensor) -> tuple[Tensor, Tensor]:
    """Tables (B, 8, 8) of luma and chroma at qualities (B,), scaled as the IJG library does."""
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1)
    luma, chroma = (torch.tensor(t, dtype=torch.float32, device=quality.device) for t in (_LUMA, _CHROMA))
    return tuple(torch.floor((t * scale + 50) / 100).clamp(1, 255) for t in (luma, chroma))  # type: ignore[return-value]


def jpeg(rgb: Tensor, quality: Tensor, halved: Tensor) -> Tensor:
    """Compress and decompress.

    Args:
        rgb: (B, 3, h, w), 0..1.
        quality: (B,), 1-100.
        halved: (B,) bool, chroma at half the resolution (4:2:0) instead of full (4:4:4).

    Returns:
        (B, 3, h, w), multiples of 1/255.

    Source: ITU-T T.81 (baseline sequential), JFIF 1.02.
    """
    b, _, h, w = rgb.shape
    matrix = torch.tensor(_YCC, device=rgb.device)
    pixels = F.pad((rgb.clamp(0, 1) * 255).round(), (0, -w % 16, 0, -h % 16), mode="replicate")
    ycc = torch.einsum("ij,bjhw->bihw", matrix, pixels).round()
    luma_table, chroma_table = _tables(quality.float())
    luma = _quantised(ycc[:, 0] - 128, luma_table) + 128
    pairs, tables = ycc[:, 1:].flatten(0, 1), chroma_table.repeat_interleave(2, 0)
    full = _quantised(pairs, tables)
    half = _quantised(F.avg_pool2d(pairs[:, None], 2)[:, 0].round(), tables)
    raised = F.interpolate(half[:, None], scale_factor=2.0, mode="bilinear", align_corners=False)[:, 0]
    chroma = torch.where(halved.repeat_interleave(2).view(-1, 1, 1), raised, full).view(b, 2, *luma.shape[1:])
    decoded = torch.cat([luma[:, None], chroma], 1).round()
    back = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(matrix.double()).float(), decoded)
    return back[..., :h, :w].round().clamp(0, 255) / 255
