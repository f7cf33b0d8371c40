"""Ray-cast worlds for the depth net, textured with the training photos, blurred by a lens half of the time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.synthesis.blur_models import random_lens
from ssr_cli.synthesis.degrade import shoot
from ssr_cli.synthesis.geometry import random_world
from ssr_cli.synthesis.origins import draw_origins
from ssr_cli.synthesis.photo_scenes import random_mask
from ssr_cli.synthesis.render import composite, hat_weights
from ssr_cli.training.pool import load_photo

#: Side of a world's picture, the working size of the depth net.
SIDE = 160
#: Worlds per file.
SHARD = 100
_TEXTURES = 60
_MASKS = 40


def defocused(rgb: Tensor, disparity: Tensor, rng: np.random.Generator) -> Tensor:
    """Depth-dependent blur of a small picture (3, h, w), linear light; occlusion hardly matters at this size."""
    alpha, beta = random_lens(rng)
    sigma = ((alpha * disparity + beta).abs() * 0.25).clamp_max(3.0)
    nodes = torch.tensor([0.0, 0.6, 1.2, 2.0, 3.0])
    weights = hat_weights(sigma, nodes)
    out = weights[0] * rgb
    for node, weight in zip(nodes[1:], weights[1:], strict=True):
        reach = int(3 * float(node)) + 1
        axis = torch.arange(-reach, reach + 1, dtype=torch.float32)
        bell = torch.exp(-0.5 * (axis / node).square())
        kernel = (bell[:, None] * bell[None] / bell.sum() ** 2)[None, None]
        out = out + weight * F.conv2d(F.pad(rgb[:, None], (reach,) * 4, mode="replicate"), kernel)[:, 0]
    return out


def render_world(
    textures: Sequence[Tensor], masks: Sequence[Tensor], side: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A picture and its depth, rendered twice as large and averaged down.

    Args:
        textures: linear-light pictures (3, S, S).
        masks: cut-out shapes (S, S).
        side: of the picture.
        rng: source of all choices.

    Returns:
        rgb (3, side, side) encoded and disparity (1, side, side).
    """
    rgb, disparity = composite(random_world(textures, masks, 2 * side, rng))
    rgb = F.avg_pool2d(rgb[None], 2)[0]
    disparity = disparity[::2, ::2]
    if rng.random() < 0.5:
        rgb = defocused(rgb, disparity, rng)
    gain = float(np.exp(rng.normal(0, 0.25)))
    seen = linear_to_srgb((rgb * gain).clamp(0, 1))[None]
    return shoot(seen, draw_origins(1, rng), rng).lr[0], disparity[None]


def render_worlds(photos: Sequence[Path], first: int, items: int, seed: int) -> dict[str, Tensor]:
    """Worlds [first, first + items) as 8-bit pictures and half-precision depth."""
    rng = np.random.default_rng((seed, 11, first))
    chosen = rng.permutation(len(photos))[:_TEXTURES]
    textures = [srgb_to_linear(F.avg_pool2d(load_photo(photos[i])[None].float() / 255, 2)[0]) for i in chosen]
    masks = [F.avg_pool2d(random_mask(256, rng)[None, None], 2)[0, 0] for _ in range(_MASKS)]
    worlds = [render_world(textures, masks, SIDE, np.random.default_rng((seed, 12, first + i))) for i in range(items)]
    return {
        "rgb": torch.stack([(a * 255).round().byte() for a, _ in worlds]),
        "disparity": torch.stack([b.half() for _, b in worlds]),
    }
