"""Clean photos degraded by known blur: the synthetic sets of the bench, each a pure function of photo and seed.

- `defocus`: sloping ground and cut-outs through a random thin lens, rendered with occlusion in linear light.
- `blocks-1` ... `blocks-5`: the five spatially variant modes of MANet (arXiv 2108.05302): 40 x 40 HR px blocks of
  Gaussians whose axes have variances of 0.175 s to 2.5 s, applied to encoded values, without a sensor's box.
- `shake`: one camera shake per photo, measured where kernels are given, else drawn.
- `single`: one Gaussian per photo, isotropic or oriented.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ssr_cli.evaluation.benchmark import as_written
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import default_dictionary, with_sensor_box
from ssr_cli.synthesis.blur_models import lens_blur, motion_blur, random_lens, thin_lens
from ssr_cli.synthesis.degrade import add_noise
from ssr_cli.synthesis.photo_scenes import random_mask
from ssr_cli.synthesis.render import BlurModel, render
from ssr_cli.synthesis.scene import Layer, LocalKernels, Rendered

SCALE = 4
_LARGEST_SIDE = 512
_CUTOUTS = 2
#: Own blur of the rendered lens where it is in focus.
_LENS_SIGMA_PX = 0.8
#: Disparity of the ground at the bottom of the picture; cut-outs stand before it.
_GROUND_NEAREST = 0.5
_BLOCK = 40 // SCALE
_LEAST, _MOST = 0.175 * SCALE, 2.5 * SCALE
#: Side of a kernel, the dictionary's.
_KERNEL = 28

Light = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scene:
    """A degraded photo and everything known of it.

    Attributes:
        truth: photograph (noisy, 8 bits) and truth.
        clean: (3, h, w) the photograph before noise, in the light the blur was applied in.
        decode: from encoded values to that light.
    """

    truth: Rendered
    clean: Tensor
    decode: Light


#: Makes a scene of (crops, index, seed, noise in encoded units).
Maker = Callable[[Sequence[Tensor], int, int, float], Scene]


def square_crops(photos: Sequence[Tensor]) -> list[Tensor]:
    """Centre crops of one size: the shortest side of all, at most 512, a multiple of 4.

    Args:
        photos: each (3, H, W).

    Returns:
        Each (3, S, S).
    """
    side = min(_LARGEST_SIDE, *(min(photo.shape[-2:]) for photo in photos)) // SCALE * SCALE
    crops = []
    for photo in photos:
        top, left = (photo.shape[-2] - side) // 2, (photo.shape[-1] - side) // 2
        crops.append(photo[:, top : top + side, left : left + side])
    return crops


def _photograph(
    layers: Sequence[Layer], blur: BlurModel, light: tuple[Light, Light], noise: float, rng: np.random.Generator
) -> Scene:
    """Render, keep what noise will hide, add noise, write with 8 bits."""
    decode, encode = light
    scene = render(layers, blur, default_dictionary(SCALE), encode)
    seen = as_written(add_noise(scene.lr, noise, 0.0, rng))
    return Scene(replace(scene, lr=seen), decode(scene.lr), decode)


_LINEAR: tuple[Light, Light] = (srgb_to_linear, lambda x: linear_to_srgb(x.clamp(0, 1)))
_ENCODED: tuple[Light, Light] = (lambda x: x, lambda x: x.clamp(0, 1))


def defocus(crops: Sequence[Tensor], index: int, seed: int, noise: float) -> Scene:
    """Crop `index` as sloping ground, cut-outs of the next crops before it, through a random thin lens."""
    rng = np.random.default_rng((seed, index))
    side = crops[index].shape[-1]
    ground = torch.linspace(0, _GROUND_NEAREST, side)[:, None].expand(side, side).contiguous()
    layers = [Layer(srgb_to_linear(crops[index]), torch.ones(side, side), ground)]
    for i, near in enumerate(np.sort(rng.uniform(_GROUND_NEAREST + 0.1, 1.0, _CUTOUTS))):
        texture = crops[(index + 1 + i) % len(crops)]
        layers.append(Layer(srgb_to_linear(texture), random_mask(side, rng), torch.full((side, side), float(near))))
    lens = random_lens(rng)
    blur = thin_lens(rng, *lens, shapes.gaussian(_LENS_SIGMA_PX, _LENS_SIGMA_PX), SCALE)
    scene = _photograph(layers, blur, _LINEAR, noise, rng)
    return replace(scene, truth=replace(scene.truth, alpha_beta=lens))


def _flat(crop: Tensor, light: tuple[Light, Light]) -> list[Layer]:
    """A photo as one layer at one depth."""
    side = crop.shape[-1]
    return [Layer(light[0](crop), torch.ones(side, side), torch.full((side, side), 0.5))]


def block_axes(mode: int, row: float, column: float, rng: np.random.Generator) -> tuple[float, float, float]:
    """Variances (HR px^2) of the two axes and the angle of a block, MANet's mode 1 to 5.

    Args:
        mode: 1 one axis grows downwards; 2 one grows downwards, one rightwards; 3 the longest Gaussian turns; 4 is 2
            turning; 5 is random.
        row: 0..1, place of the block.
        column: 0..1.
        rng: for mode 5.
    """
    down, right = _LEAST + (_MOST - _LEAST) * row, _LEAST + (_MOST - _LEAST) * column
    if mode == 5:
        return float(rng.uniform(_LEAST, _MOST)), float(rng.uniform(_LEAST, _MOST)), float(rng.uniform(0, math.pi))
    first = _MOST if mode in (1, 3) else right
    return first, _LEAST if mode == 3 else down, math.pi * row if mode in (3, 4) else 0.0


def blocks(mode: int) -> Maker:
    """The maker of one of MANet's modes."""

    def make(crops: Sequence[Tensor], index: int, seed: int, noise: float) -> Scene:
        rng = np.random.default_rng((seed, index, mode))
        side = crops[index].shape[-1] // SCALE
        count = math.ceil(side / _BLOCK)
        kernels = []
        for i in range(count):
            for j in range(count):
                v1, v2, angle = block_axes(mode, i / count, j / count, rng)
                kernels.append(shapes.gaussian(math.sqrt(v1), math.sqrt(v2), angle, size=_KERNEL))
        axis = torch.arange(side) // _BLOCK
        number = axis[:, None] * count + axis[None]
        weights = torch.nn.functional.one_hot(number, count * count).permute(2, 0, 1).float()
        local = LocalKernels(torch.stack(kernels), weights)
        return _photograph(_flat(crops[index], _ENCODED), lambda disparity: local, _ENCODED, noise, rng)

    return make


def _uniform(optical: Callable[[np.random.Generator, int], Tensor], tag: int) -> Maker:
    """The maker of scenes with one optical kernel (25, 25), chosen by chance and by the photo's index."""

    def make(crops: Sequence[Tensor], index: int, seed: int, noise: float) -> Scene:
        rng = np.random.default_rng((seed, index, tag))
        kernel = with_sensor_box(optical(rng, index)[None], SCALE)
        local = LocalKernels(kernel, torch.ones(1, *(n // SCALE for n in crops[index].shape[-2:])))
        return _photograph(_flat(crops[index], _LINEAR), lambda disparity: local, _LINEAR, noise, rng)

    return make


def measured_shake(kernels: Sequence[Tensor]) -> Maker:
    """The maker of scenes shaken by measured kernels, each (25, 25), taken in turn."""
    return _uniform(lambda rng, index: kernels[index % len(kernels)], 21)


#: Maker of every set.
SETS: dict[str, Maker] = {
    "defocus": defocus,
    **{f"blocks-{mode}": blocks(mode) for mode in range(1, 6)},
    "shake": _uniform(lambda rng, index: motion_blur(rng, 16.0), 21),
    "single": _uniform(lambda rng, index: lens_blur(rng), 22),
}
