"""The kernel field as an NPZ file: everything that blurring a picture as the photo was blurred takes, in numpy alone.

Arrays, with `L` atoms of `k x k` HR px, a photo of `h x w` pixels and scale `s` (HR pixels per photo pixel):

- `atoms` (L, k, k) float32: the dictionary, unit sums, the sensor's s x s pixel included.
- `weights` (L, h', w') float16: how the atoms mix at every kept place; sum 1.
- `stride`: every stride-th row and column of the photo is kept; 1 for photos up to a megapixel.
- `scale`, `shape` (h, w), `names` (L,), `format` (1).
- `covariance` (3, h', w') float32: second moments yy, xx, yx of the optical kernel, HR px^2, y up and x right.
- `radius_px`, `error_px` (h', w') float32: blur radius and its expected error, HR px.
- `noise` (h', w') float32: standard deviation of what the kernels leave unexplained, encoded values 0..1.
- `disparity`, `disparity_before` (h', w') float32: relative inverse depth, 1 nearest; refined, and as estimated.
- `kind` (h', w') uint8: place in `kinds`.
- `linear_light`: share of linear light that the blur happened in, 0..1.
- `lens` (3,) float32: alpha, beta and residual of `radius_px = |alpha disparity + beta|`.

Photo pixel p is centred on HR pixel coordinate `s p + (s - 1) / 2`, and kernels are correlated, not flipped:
`photo[p] = sum over i, j of kernel[p][i, j] * sharp[s p - (k - s) / 2 + (i, j)]`, beyond the border the border's value.
Values are in the light that the blur happened in, `linear_light`: 1 is linear, 0 encoded values; between,
encoded values x are light `(1 - b) x + b x^2` with `b = 0.92 linear_light` (`ssr_cli/physics/light.py`).
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from ssr_cli.physics.kinds import KINDS
from ssr_cli.report.findings import Findings

#: Changes with the meaning of the arrays.
FORMAT = 1


def save_field(found: Findings, path: Path) -> None:
    """Write the archive, compressed.

    Args:
        found: see `find`.
        path: ends in .npz.
    """
    field, analysis, dictionary = found.analysis.field, found.analysis, found.dictionary
    stride = math.ceil(found.photo.height / field.radius_px.shape[0])
    lens = analysis.lens
    np.savez_compressed(
        path,
        format=np.int64(FORMAT),
        atoms=dictionary.atoms.numpy().astype(np.float32),
        names=np.array(dictionary.names),
        weights=field.weights.numpy().astype(np.float16),
        stride=np.int64(stride),
        scale=np.int64(field.scale),
        shape=np.array([found.photo.height, found.photo.width]),
        covariance=field.covariance.numpy(),
        radius_px=field.radius_px.numpy(),
        error_px=field.confidence_px.numpy(),
        noise=field.noise.numpy(),
        disparity=analysis.depth.disparity.numpy(),
        disparity_before=analysis.depth_before.disparity.numpy(),
        kind=found.kinds.index.numpy().astype(np.uint8),
        kinds=np.array(KINDS),
        linear_light=np.float32(analysis.rounds[-1].light),
        lens=np.array([lens.alpha, lens.beta, lens.residual_px], dtype=np.float32),
    )
