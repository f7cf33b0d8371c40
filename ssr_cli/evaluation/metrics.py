"""The figures a result is judged by: PSNR and SSIM on luma, rank correlation and edge error for depth."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

#: BT.601 luma from encoded RGB in 0..1: `16 + 65.481 R + 128.553 G + 24.966 B`, in 16..235 (MATLAB `rgb2ycbcr`).
_LUMA = (65.481, 128.553, 24.966)
_LUMA_OFFSET = 16.0
#: Peak of PSNR and SSIM. Published tables use 255 although luma spans only 219 of it.
_PEAK = 255.0

_WINDOW = 11
_WINDOW_SIGMA = 1.5

#: A depth edge: a step of this share of the depth's range, judged this many pixels around.
_EDGE_STEP = 0.1
_EDGE_REACH = 2


def luma(rgb: Tensor) -> Tensor:
    """BT.601 luma, not rounded.

    Args:
        rgb: (..., 3, H, W), encoded sRGB, 0..1.

    Returns:
        (..., H, W), float64, 16..235.

    Raises:
        ValueError: when there are not three channels.

    Source: ITU-R BT.601, in the scaling of MATLAB's `rgb2ycbcr`.
    """
    if rgb.ndim < 3 or rgb.shape[-3] != 3:
        raise ValueError(f"luma needs (..., 3, H, W), not {tuple(rgb.shape)}")
    weights = torch.tensor(_LUMA, dtype=torch.float64, device=rgb.device)
    return (rgb.double() * weights[:, None, None]).sum(-3) + _LUMA_OFFSET


def _same_shape(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ValueError(f"the two have different shapes: {tuple(a.shape)} and {tuple(b.shape)}")


def psnr_y(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio of the luma, no border cropped.

    Args:
        a: (3, H, W), encoded sRGB, 0..1.
        b: (3, H, W), likewise.

    Returns:
        dB; infinite when the two are equal.

    Raises:
        ValueError: when the shapes differ or there are not three channels.
    """
    _same_shape(a, b)
    error = float((luma(a) - luma(b)).square().mean())
    return math.inf if error == 0.0 else 10.0 * math.log10(_PEAK**2 / error)


def _gaussian_window(device: torch.device) -> Tensor:
    offset = torch.arange(_WINDOW, dtype=torch.float64, device=device) - _WINDOW // 2
    window = torch.exp(-offset.square() / (2 * _WINDOW_SIGMA**2))
    return window / window.sum()


def _local_mean(image: Tensor, window: Tensor) -> Tensor:
    """Separable weighted mean over every window that fits: (B, H, W) -> (B, H - 10, W - 10)."""
    rows = F.conv2d(image[:, None], window[None, None, :, None])
    return F.conv2d(rows, window[None, None, None, :])[:, 0]


def ssim_y(a: Tensor, b: Tensor) -> float:
    """Structural similarity of the luma over the windows that fit, no border cropped besides.

    Args:
        a: (3, H, W), encoded sRGB, 0..1; H and W at least 11.
        b: (3, H, W), likewise.

    Returns:
        Mean over the windows, at most 1.

    Raises:
        ValueError: when the shapes differ, there are not three channels, or a side is shorter than the window.

    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment", IEEE TIP 2004, eq. 13-16; K1 0.01, K2 0.03.
    """
    _same_shape(a, b)
    if min(a.shape[-2:]) < _WINDOW:
        raise ValueError(f"SSIM needs sides of at least {_WINDOW} pixels, not {tuple(a.shape[-2:])}")
    x, y = luma(a), luma(b)
    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    mean_x, mean_y, xx, yy, xy = _local_mean(torch.stack([x, y, x * x, y * y, x * y]), _gaussian_window(x.device))
    variance = (xx - mean_x.square()) + (yy - mean_y.square())
    covariance = xy - mean_x * mean_y
    structure = (2 * covariance + c2) / (variance + c2)
    brightness = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return float((brightness * structure).mean())


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 0, equal values sharing the mean of theirs: (N,) -> (N,) float64."""
    _, group, count = torch.unique(values, return_inverse=True, return_counts=True)
    mean_rank: Tensor = count.cumsum(0).double() - 1 - (count - 1).double() / 2
    return mean_rank[group]


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation over all places where both are finite.

    Args:
        a: any shape, any unit.
        b: the same shape.

    Returns:
        -1..1; NaN with fewer than two finite places or when one of the two is constant.

    Raises:
        ValueError: when the shapes differ.

    Source: Spearman 1904; ties get their average rank.
    """
    _same_shape(a, b)
    known = (torch.isfinite(a) & torch.isfinite(b)).flatten()
    x, y = _ranks(a.flatten()[known]), _ranks(b.flatten()[known])
    if x.numel() < 2:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    spread = math.sqrt(float(x.square().sum()) * float(y.square().sum()))
    if spread == 0.0:
        return math.nan
    return max(-1.0, min(1.0, float((x * y).sum()) / spread))


def align_affine(depth: Tensor, truth: Tensor) -> Tensor:
    """Least-squares scale and shift of `depth` onto `truth`, over the places where both are finite.

    Args:
        depth: (h, w), relative inverse depth.
        truth: (h, w), inverse depth, NaN where unknown.

    Returns:
        (h, w), float64: `scale * depth + shift`; the mean of the truth when `depth` is constant.
    """
    known = torch.isfinite(depth) & torch.isfinite(truth)
    x, y = depth[known].double(), truth[known].double()
    centred = x - x.mean()
    spread = centred.square().sum()
    scale = (centred * (y - y.mean())).sum() / spread if float(spread) > 0 else torch.zeros_like(spread)
    return scale * (depth.double() - x.mean()) + y.mean()


def depth_edges(truth: Tensor) -> Tensor:
    """Places within 2 px of a step of their depth map: (..., h, w) -> (..., h, w), bool; unknown places have no steps.

    A step is a difference between neighbours of more than a tenth of the map's range.
    """
    known = torch.isfinite(truth)
    infinite = math.inf  # of a map of which nothing is known the range is none
    high = truth.masked_fill(~known, -infinite).amax((-2, -1), keepdim=True)
    low = truth.masked_fill(~known, infinite).amin((-2, -1), keepdim=True)
    threshold = _EDGE_STEP * (high - low)
    edge = torch.zeros_like(known)
    for axis in (-2, -1):
        length = truth.shape[axis] - 1
        step = (truth.diff(dim=axis).abs() > threshold) & (threshold > 0)  # NaN compares false
        for side in (0, 1):
            edge.narrow(axis, side, length).logical_or_(step)
    maps = edge.view(-1, 1, *edge.shape[-2:]).float()
    grown = F.max_pool2d(maps, 2 * _EDGE_REACH + 1, 1, _EDGE_REACH) > 0
    return grown.view_as(known) & known


def edge_error(depth: Tensor, truth: Tensor) -> float:
    """Error of the depth beside the steps of the truth, after the best scale and shift over the whole map.

    The mean absolute error within 2 px of true steps, in units of that of the best constant depth: the more an edge is
    blurred or displaced, the larger it is.

    Args:
        depth: (h, w), relative inverse depth; scale and shift do not matter.
        truth: (h, w), inverse depth, NaN where unknown.

    Returns:
        0 for a perfect depth, 1 for a constant one; NaN when the truth has no steps.

    Raises:
        ValueError: when the shapes differ or are not (h, w).
    """
    _same_shape(depth, truth)
    if depth.ndim != 2:
        raise ValueError(f"a depth map is (h, w), not {tuple(depth.shape)}")
    judged = depth_edges(truth) & torch.isfinite(depth)
    if not bool(judged.any()):
        return math.nan
    error = (align_affine(depth, truth) - truth.double())[judged].abs().sum()
    constant = (align_affine(torch.zeros_like(depth), truth) - truth.double())[judged].abs().sum()
    return float(error / constant)
