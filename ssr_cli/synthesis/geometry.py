"""Small ray-cast worlds with exact depth: a ground, walls, upright cut-outs and spheres, textured with pictures.

Each object becomes a layer that is known behind whatever hides it, so defocus can be rendered with true occlusion.
Camera at the origin, x right, y down, z forward; lengths in arbitrary units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.synthesis.scene import Layer

_LEVELS = 6


@dataclass(frozen=True)
class Camera:
    """Pinhole camera.

    Attributes:
        size: pixels on a side.
        focal: focal length in units of the picture's side.
        pitch: radians, positive looks down.
    """

    size: int
    focal: float
    pitch: float = 0.0

    def rays(self) -> Tensor:
        """(3, H, W) directions with unit z before pitch."""
        axis = (torch.arange(self.size, dtype=torch.float32) + 0.5) / self.size - 0.5
        y, x = torch.meshgrid(axis / self.focal, axis / self.focal, indexing="ij")
        c, s = math.cos(self.pitch), math.sin(self.pitch)
        return torch.stack([x, y * c + s, c - y * s])


@dataclass(frozen=True)
class Hit:
    """Where rays meet one object.

    Attributes:
        distance: (H, W) along the ray's z, infinite where missed.
        u: (H, W) texture coordinate, 1 per texture width.
        v: (H, W) likewise.
        shade: (H, W) factor on the texture.
        cover: (H, W) coverage 0..1.
    """

    distance: Tensor
    u: Tensor
    v: Tensor
    shade: Tensor
    cover: Tensor


def hit_plane(rays: Tensor, normal: tuple[float, float, float], offset: float, texture_size: float) -> Hit:
    """Meet the infinite plane `n . p = offset`; texture repeats every `texture_size` units."""
    n = torch.tensor(normal)
    facing = (n.view(3, 1, 1) * rays).sum(0)
    distance = offset / torch.where(facing.abs() < 1e-6, torch.full_like(facing, 1e-6), facing)
    distance = torch.where(distance > 0.05, distance, torch.full_like(distance, math.inf))
    point = rays * distance.clamp_max(1e4)
    order = [i for i in range(3) if i != int(n.abs().argmax())]
    u, v = point[order[0]] / texture_size, point[order[1]] / texture_size
    return Hit(distance, u, v, torch.ones_like(u), torch.isfinite(distance).float())


def hit_card(rays: Tensor, centre: tuple[float, float], depth: float, size: float, mask: Tensor) -> Hit:
    """Meet an upright card facing the camera at `depth`, cut out by a mask (S, S)."""
    x, y = rays[0] / rays[2] * depth, rays[1] / rays[2] * depth
    u, v = (x - centre[0]) / size, (y - centre[1]) / size  # -0.5..0.5 on the card
    grid = torch.stack([2 * u, 2 * v], -1)[None]
    cover = F.grid_sample(mask[None, None], grid, padding_mode="zeros", align_corners=False)[0, 0]
    return Hit(torch.full_like(u, depth), u, v, torch.ones_like(u), cover)


def hit_sphere(
    rays: Tensor, centre: tuple[float, float, float], radius: float, light: tuple[float, float, float]
) -> Hit:
    """Meet a sphere, shaded by a directional light; outside it, depth continues at the centre's."""
    c = torch.tensor(centre).view(3, 1, 1)
    a, b = (rays * rays).sum(0), (rays * c).sum(0)
    inside = b * b - a * ((c * c).sum() - radius**2)
    reach = (b - inside.clamp_min(0).sqrt()) / a
    normal = (rays * reach - c) / radius
    lamp = F.normalize(torch.tensor(light), dim=0).view(3, 1, 1)
    shade = 0.35 + 0.75 * (normal * lamp).sum(0).clamp_min(0)
    # The outline is about a pixel wide: coverage from the signed discriminant, scaled by its gradient.
    slope = (inside[:, 1:] - inside[:, :-1]).abs().mean().clamp_min(1e-9) * 2
    cover = (inside / slope + 0.5).clamp(0, 1)
    distance = torch.where(inside > 0, reach, torch.full_like(reach, centre[2]))
    u, v = normal[0].clamp(-1, 1) * 0.5, normal[1].clamp(-1, 1) * 0.5
    return Hit(distance, u, v, shade.clamp_max(1.1), cover)


def _pyramid(texture: Tensor) -> list[Tensor]:
    """The texture and its halvings, for lookups that do not alias."""
    levels = [texture]
    for _ in range(_LEVELS - 1):
        levels.append(F.avg_pool2d(levels[-1][None], 2)[0])
    return levels


def lookup(texture: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Trilinear texture lookup with mirrored repetition.

    Args:
        texture: (3, S, S).
        u: (H, W), 1 per texture width, 0 at its centre.
        v: (H, W).

    Returns:
        (3, H, W).
    """
    size = texture.shape[-1]
    du = F.pad((u[:, 1:] - u[:, :-1]).abs(), (0, 1), value=0) + F.pad((u[1:] - u[:-1]).abs(), (0, 0, 0, 1), value=0)
    dv = F.pad((v[:, 1:] - v[:, :-1]).abs(), (0, 1), value=0) + F.pad((v[1:] - v[:-1]).abs(), (0, 0, 0, 1), value=0)
    level = (torch.maximum(du, dv) * size).clamp_min(1e-6).log2().clamp(0, _LEVELS - 1)
    grid = torch.stack([2 * u, 2 * v], -1).nan_to_num(0, 0, 0)[None]
    out = torch.zeros(3, *u.shape)
    for i, image in enumerate(_pyramid(texture)):
        share = (1 - (level - i).abs()).clamp_min(0)
        if bool((share > 0).any()):
            out += share * F.grid_sample(image[None], grid, padding_mode="reflection", align_corners=False)[0]
    return out


def as_layers(hits: Sequence[tuple[Hit, Tensor]], background: int) -> list[Layer]:
    """Merge objects into layers, back to front, with disparities normalised over the visible scene.

    Args:
        hits: objects with their linear-light textures (3, S, S); the first `background` of them (ground, walls) form
            the background together, nearest first at every pixel; the others are single layers.
        background: how many.

    Returns:
        Layers for `render`.
    """
    distance = torch.stack([h.distance for h, _ in hits[:background]])
    colours = torch.stack([lookup(t, h.u, h.v) * h.shade for h, t in hits[:background]])
    nearest = distance.argmin(0)
    back = colours.gather(0, nearest[None, None].expand(1, 3, -1, -1))[0]
    inverse = [1.0 / distance.amin(0)]
    others = sorted(hits[background:], key=lambda pair: -float(pair[0].distance.median()))
    inverse += [1.0 / h.distance for h, _ in others]
    visible = torch.cat(
        [inverse[0].flatten()] + [i[h.cover > 0.5] for i, (h, _) in zip(inverse[1:], others, strict=True)]
    )
    low, high = visible.min(), visible.max()

    def normalised(i: Tensor) -> Tensor:
        return ((i - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)

    layers = [Layer(back, torch.ones_like(back[0]), normalised(inverse[0]))]
    for i, (h, texture) in zip(inverse[1:], others, strict=True):
        layers.append(Layer(lookup(texture, h.u, h.v) * h.shade, h.cover, normalised(i)))
    return layers


def random_world(
    textures: Sequence[Tensor], masks: Sequence[Tensor], size: int, rng: np.random.Generator
) -> list[Layer]:
    """A random ground or room with cut-outs standing in it and spheres lying on it.

    Args:
        textures: linear-light pictures (3, S, S); used in random order.
        masks: cut-out shapes (S, S).
        size: pixels on a side of the picture.
        rng: source of all choices.

    Returns:
        Layers, back to front.
    """
    camera = Camera(size, float(rng.uniform(0.6, 1.5)), float(rng.uniform(-0.1, 0.4)))
    rays = camera.rays()
    height, far = float(rng.uniform(0.8, 2.0)), float(rng.uniform(4, 25))

    def texture() -> Tensor:
        return textures[int(rng.integers(len(textures)))]

    def repeat() -> float:
        return float(rng.uniform(1.5, 5))

    hits = [(hit_plane(rays, (0, 1, 0), height, repeat()), texture())]
    hits.append(
        (
            hit_plane(rays, (float(rng.normal(0, 0.1)), 0, 1), far, far / camera.focal * float(rng.uniform(0.8, 1.3))),
            texture(),
        )
    )
    if rng.random() < 0.5:  # a room
        for side in (-1.0, 1.0):
            hits.append((hit_plane(rays, (side, 0, 0), float(rng.uniform(1.2, 5)), repeat()), texture()))
        hits.append((hit_plane(rays, (0, -1, 0), float(rng.uniform(0.6, 3)), repeat()), texture()))
    background = len(hits)
    for _ in range(int(rng.integers(1, 6))):
        z = float(np.exp(rng.uniform(math.log(1.6), math.log(far * 0.9))))
        x = float(rng.uniform(-0.45, 0.45)) / camera.focal * z
        if rng.random() < 0.65:
            tall = float(rng.uniform(0.5, 2.2))
            hits.append(
                (hit_card(rays, (x, height - tall / 2), z, tall, masks[int(rng.integers(len(masks)))]), texture())
            )
        else:
            r = float(rng.uniform(0.2, 0.8))
            lamp = (float(rng.uniform(-1, 1)), float(rng.uniform(-1, -0.3)), float(rng.uniform(-1, -0.2)))
            hits.append((hit_sphere(rays, (x, height - r, z + r), r, lamp), texture()))
    return as_layers(hits, background)
