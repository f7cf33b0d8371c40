"""Occlusion-aware rendering of a layered scene onto the LR sensor, with the true local kernels beside it.

Layers are blurred and decimated in one strided convolution each, then composited back to front in linear light with
their blurred coverage, so a soft foreground lets the (fully known) background through. The true local kernel of an LR
pixel is the mixture of its layers' kernels with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.physics.kernels import KernelDictionary, moments
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.synthesis.scene import Layer, LocalKernels, Rendered

#: What turns a layer's disparity on the LR grid (h, w) into its local kernels.
BlurModel = Callable[[Tensor], LocalKernels]


def composite(layers: Sequence[Layer]) -> tuple[Tensor, Tensor]:
    """The sharp scene.

    Returns:
        rgb (3, H, W) in linear light and disparity (H, W).
    """
    rgb, disparity = layers[0].rgb, layers[0].disparity
    for layer in layers[1:]:
        rgb = torch.lerp(rgb, layer.rgb, layer.alpha)
        disparity = torch.where(layer.alpha > 0.5, layer.disparity, disparity)
    return rgb, disparity


def _centres(plane: Tensor, scale: int) -> Tensor:
    """(H, W) -> (h, w): the pixel nearest the centre of each block; averaging would invent depths at edges."""
    return plane[..., scale // 2 :: scale, scale // 2 :: scale]


def render(
    layers: Sequence[Layer], blur: BlurModel, dictionary: KernelDictionary, encode: Callable[[Tensor], Tensor]
) -> Rendered:
    """Photograph a scene.

    Args:
        layers: back to front; the first covers everything.
        blur: gives the local kernels of a layer from its disparity.
        dictionary: for kernel codes and scale.
        encode: linear light -> encoded values in 0..1.

    Returns:
        The noise-free photograph and the truth.
    """
    scale = dictionary.scale
    sharp, disparity = composite(layers)
    linear = code = covariance = None
    for layer in layers:
        local = blur(_centres(layer.disparity, scale))
        operator = SpatiallyVariantBlur(local.kernels, local.weights[None], scale)
        premultiplied = torch.cat([layer.rgb * layer.alpha, layer.alpha[None]])
        seen = operator.forward(premultiplied[None])[0]
        layer_code = torch.einsum("nhw,np->phw", local.weights, dictionary.code(local.kernels))
        layer_cov = torch.einsum("nhw,cn->chw", local.weights, moments(local.kernels, scale))
        if linear is None or code is None or covariance is None:
            linear, code, covariance = seen[:3], layer_code, layer_cov
            continue
        cover = seen[3].clamp(0, 1)
        linear = seen[:3] + (1 - cover) * linear
        code = torch.lerp(code, layer_code, cover)
        covariance = torch.lerp(covariance, layer_cov, cover)
    if linear is None or code is None or covariance is None:
        raise ValueError("a scene needs at least one layer")
    return Rendered(encode(sharp), encode(linear), code, covariance, _centres(disparity, scale))


def hat_weights(value: Tensor, nodes: Tensor) -> Tensor:
    """Linear interpolation weights over sorted nodes.

    Args:
        value: (h, w).
        nodes: (n,), ascending.

    Returns:
        (n, h, w), sum 1.
    """
    if len(nodes) == 1:
        return torch.ones(1, *value.shape)
    index = torch.bucketize(value.clamp(nodes[0], nodes[-1]), nodes[1:-1], right=True)
    low, high = nodes[index], nodes[index + 1]
    t = ((value - low) / (high - low)).clamp(0, 1)
    weights = torch.zeros(len(nodes), *value.shape)
    weights.scatter_(0, index[None], (1 - t)[None])
    weights.scatter_(0, index[None] + 1, t[None])
    return weights


def control_weights(rows: int, columns: int, h: int, w: int) -> Tensor:
    """Bilinear weights (rows * columns, h, w) of a control grid of kernels spread over the photo."""
    eye = torch.eye(rows * columns).reshape(1, rows * columns, rows, columns)
    return F.interpolate(eye, size=(h, w), mode="bilinear", align_corners=True)[0]
