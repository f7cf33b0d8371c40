"""The demonstration: a small rendered world, photographed through a thin lens, with its whole truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ssr_cli.frames import DepthMap, Photo, ThinLens
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.synthesis.blur_models import thin_lens
from ssr_cli.synthesis.degrade import add_noise
from ssr_cli.synthesis.geometry import Camera, as_layers, hit_card, hit_plane, hit_sphere
from ssr_cli.synthesis.photo_scenes import random_mask
from ssr_cli.synthesis.render import render
from ssr_cli.synthesis.scene import Layer
from ssr_cli.synthesis.textures import textures

_SUPERSAMPLING = 2


@dataclass(frozen=True)
class Demo:
    """A rendered photograph and its truth.

    Attributes:
        hr: the sharp scene.
        lr: its photograph, a quarter of the size, with noise of 1/255 and 8 bits.
        depth: true disparity on the LR grid.
        covariance: (3, h, w) true optical second moments yy, xx, yx, HR px^2.
        lens: the thin lens that was used.
    """

    hr: Photo
    lr: Photo
    depth: DepthMap
    covariance: Tensor
    lens: ThinLens


def _layers(size: int, rng: np.random.Generator) -> list[Layer]:
    """A tiled floor before a brick wall, a page, two spheres and a cut-out at different distances."""
    floor, wall, page, confetti, cloud = (srgb_to_linear(t) for t in textures(512, rng))
    rays = Camera(size, 1.0, 0.22).rays()
    ground = 1.3
    hits = [
        (hit_plane(rays, (0, 1, 0), ground, 2.2), floor),
        (hit_plane(rays, (0.1, 0, 1), 9.0, 5.0), wall),
    ]
    lamp = (-0.6, -1.0, -0.6)
    square = torch.ones(256, 256)
    cards = [(-1.0, 6.5, 2.3, page, square), (0.9, 3.4, 1.5, page, square)]
    if rng.random() < 0.8:
        cards.append((float(rng.uniform(-0.2, 0.5)), 5.0, 1.6, cloud, random_mask(256, rng)))
    for x, z, tall, texture, mask in cards:
        x += float(rng.normal(0, 0.15))
        hits.append((hit_card(rays, (x, ground - tall / 2), z, tall, mask), texture))
    for x, z, r, texture in ((-0.75, 2.6, 0.42, confetti), (0.35, 2.0, 0.25, cloud)):
        hits.append((hit_sphere(rays, (x + float(rng.normal(0, 0.1)), ground - r, z), r, lamp), texture))
    return as_layers(hits, 2)


def _averaged(layer: Layer, n: int) -> Layer:
    """Average n x n samples per pixel; depth is picked, not averaged."""
    pool = torch.nn.functional.avg_pool2d
    alpha = pool(layer.alpha[None], n)[0]
    return Layer(pool(layer.rgb[None], n)[0], alpha, layer.disparity[::n, ::n])


def render_demo(seed: int = 0, size: int = 512) -> Demo:
    """Render a scene, photograph it out of focus, and keep the truth.

    Args:
        seed: everything random follows from it.
        size: HR pixels on a side, a multiple of 4.

    Returns:
        Photograph and truth.
    """
    rng = np.random.default_rng((seed, 77))
    dictionary = default_dictionary()
    layers = [_averaged(layer, _SUPERSAMPLING) for layer in _layers(size * _SUPERSAMPLING, rng)]
    focus, largest = float(rng.uniform(0.25, 0.8)), float(rng.uniform(4.0, 7.0))
    alpha = largest / max(focus, 1 - focus)
    blur = thin_lens(rng, alpha, -alpha * focus, shapes.gaussian(1.1, 1.1), dictionary.scale, None)
    rendered = render(layers, blur, dictionary, lambda x: linear_to_srgb(x.clamp(0, 1)))
    noisy = add_noise(rendered.lr, 1 / 255, 0.0, rng)
    rendered = replace(rendered, lr=(noisy.clamp(0, 1) * 255).round() / 255)
    return Demo(
        hr=Photo((rendered.hr * 255).round() / 255),
        lr=Photo(rendered.lr),
        depth=DepthMap(rendered.disparity),
        covariance=rendered.covariance,
        lens=ThinLens(alpha, -alpha * focus, 0.0),
    )
