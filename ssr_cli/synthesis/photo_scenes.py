"""Random training scenes made from photos: cut-outs over a background, a blur model, a light."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import KernelDictionary
from ssr_cli.physics.light import share_of_gamma
from ssr_cli.synthesis import blur_models
from ssr_cli.synthesis.origins import PROCESSED
from ssr_cli.synthesis.render import render
from ssr_cli.synthesis.scene import Layer, Rendered

#: Gives the photo (3, S, S) uint8 of an index; the first ones have the most structure.
PhotoSource = Callable[[int], Tensor]
#: Cameras' scenes are of photo `count u^PREFERENCE`, u uniform in 0..1: of the first quarter 44 % of the time.
#: Photos for training have more foliage and fewer lines and edges than what people photograph (`training.structure`).
PREFERENCE = 1.7
#: Up to which number, drawn from 0..1, a scene that no camera took has one kernel, a smooth field, a field of blocks;
#: the others have a thin lens.
_ONE, _SMOOTH, _BLOCKS = 0.18, 0.28, 0.7
#: Share of them that a program made smaller, with the filter such programs have, and share of these that it did in
#: encoded values.
_RESIZED, _RESIZED_ENCODED = 0.06, 0.8
#: Share of fields that are applied to encoded values, as most programs do that make pictures smaller.
_ENCODED = 0.9
#: Share of a camera's scenes that have one kernel; the others have a thin lens.
_CAMERA_ONE = 0.5
#: Gamma of the light that cameras' pixels are blurred in. Most of what softens them comes after the tone curve, or the
#: curve is none of sRGB's: pairs of RealSR and DRealSR are explained best with a gamma of 1 to 1.8 (a Gaussian, then
#: unsharp masking, both fitted: an error of 6.9 and 7.1/255 with 1.4; 7.0 and 7.4 with 1, 7.4 and 7.1 with sRGB's).
_CAMERA_GAMMA = (1.0, 2.2)
#: Share of thin lenses that were focused with the scene in view; the others are out of focus as often as not. Cameras
#: mostly are: with 0.4 of them, too, hardly one of their scenes was as sharp as half of RealSR's photos.
_FOCUSED, _CAMERA_FOCUSED = 0.4, 0.8


def _turn(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """Random flip and quarter turns."""
    if rng.random() < 0.5:
        photo = photo.flip(-1)
    return torch.rot90(photo, int(rng.integers(4)), (-2, -1)).contiguous()


def _zoom_out(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """Shrink by up to a half and mirror to the old size: sharper detail, other object sizes."""
    size = photo.shape[-1]
    small = max(int(size * rng.uniform(0.5, 0.95)), size // 2 + 1)  # mirrors give less than once the size
    shrunk = F.interpolate(photo[None], size=(small, small), mode="bicubic", antialias=True)[0].clamp(0, 1)
    left = int(rng.integers(0, size - small + 1))
    top = int(rng.integers(0, size - small + 1))
    pads = (left, size - small - left, top, size - small - top)
    return F.pad(shrunk[None], pads, mode="reflect")[0]


def _picture(source: PhotoSource, count: int, rng: np.random.Generator, camera: bool) -> Tensor:
    """One encoded photo (3, S, S), turned, sometimes shrunk, brightness and contrast slightly moved."""
    index = int(count * rng.random() ** (PREFERENCE if camera else 1.0))
    photo = _turn(source(index).float() / 255, rng)
    if rng.random() < 0.3:
        photo = _zoom_out(photo, rng)
    if rng.random() < 0.3:
        photo = (photo * float(rng.uniform(0.75, 1.1)) + float(rng.uniform(-0.05, 0.05))).clamp(0, 1)
    return photo


def random_mask(size: int, rng: np.random.Generator) -> Tensor:
    """Antialiased coverage (size, size) of one cut-out: blob, polygon, bar or a bundle of thin twigs."""
    n = 2 * size
    image = Image.new("L", (n, n))
    draw = ImageDraw.Draw(image)
    cy, cx = rng.uniform(0.1, 0.9, 2) * n
    kind = rng.random()
    if kind < 0.6:
        corners = int(rng.choice([4, 5, 40]))
        phi = np.sort(rng.uniform(0, 2 * math.pi, corners)) if corners < 10 else np.linspace(0, 2 * math.pi, 40)
        radius = rng.uniform(0.1, 0.4) * n * np.ones(corners)
        for order in range(2, 6):
            radius *= 1 + rng.normal(0, 0.3 / order) * np.cos(order * phi + rng.uniform(0, 6.28))
        draw.polygon([(cx + r * math.cos(p), cy + r * math.sin(p)) for r, p in zip(radius, phi, strict=True)], fill=255)
    elif kind < 0.8:
        angle, half = rng.uniform(0, math.pi), rng.uniform(0.01, 0.12) * n
        dx, dy = math.cos(angle) * 2 * n, math.sin(angle) * 2 * n
        draw.line([(cx - dx, cy - dy), (cx + dx, cy + dy)], fill=255, width=max(3, int(2 * half)))
    else:
        for _ in range(int(rng.integers(3, 12))):
            steps = rng.normal(0, n / 14, (8, 2)).cumsum(0) + rng.uniform(0, n, 2)
            draw.line([(float(x), float(y)) for x, y in steps], fill=255, width=int(rng.integers(3, 24)), joint="curve")
    mask = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255)
    return F.avg_pool2d(mask[None], 2)[0]


def _background_disparity(size: int, rng: np.random.Generator) -> Tensor:
    """A slanted plane plus gentle waves, in 0..0.6."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle, slope = rng.uniform(0, 2 * math.pi), rng.uniform(0, 1) ** 1.5
    plane = slope * (math.cos(angle) * x + math.sin(angle) * y) * 0.5
    waves = torch.from_numpy(rng.normal(0, 0.15 * rng.random(), (1, 1, 4, 4)).astype(np.float32))
    field = plane + F.interpolate(waves, size=(size, size), mode="bicubic", align_corners=True)[0, 0]
    field = field - field.min()
    scaled: Tensor = field / field.max().clamp_min(1.0) * 0.6
    return scaled


def photo_layers(
    source: PhotoSource,
    count: int,
    cutouts: int,
    rng: np.random.Generator,
    decode: Callable[[Tensor], Tensor],
    camera: bool = False,
) -> list[Layer]:
    """A background photo and cut-outs of others before it, nearest last, disparities spread over 0..1."""
    background = _picture(source, count, rng, camera)
    size = background.shape[-1]
    behind = _background_disparity(size, rng)
    layers = [Layer(decode(background), torch.ones(size, size), behind)]
    for near in np.sort(rng.uniform(0.15, 1.0, cutouts)):
        tilt = behind * float(rng.uniform(0, 0.3))
        disparity = (near + tilt - tilt.mean()).clamp(0, 1)
        layers.append(Layer(decode(_picture(source, count, rng, camera)), random_mask(size, rng), disparity))
    return layers


def _boost_highlights(layers: list[Layer], gain: float) -> list[Layer]:
    """Restore some of the light a camera clipped: bokeh of lamps needs it."""
    return [replace(a, rgb=a.rgb * (1 + gain * ((a.rgb.amax(0) - 0.85) / 0.15).clamp(0, 1))) for a in layers]


def _disparities(layers: list[Layer]) -> tuple[float, float]:
    """The largest and the smallest disparity of a scene."""
    return (
        max(float(layer.disparity.max()) for layer in layers),
        min(float(layer.disparity.min()) for layer in layers),
    )


@dataclass(frozen=True)
class _Light:
    """What blur happens in: from encoded values, back to them, and the share of linear light, see `physics.light`."""

    decode: Callable[[Tensor], Tensor]
    encode: Callable[[Tensor], Tensor]
    share: float


#: That of programs that take encoded values for light.
_AS_ENCODED = _Light(lambda x: x, lambda x: x.clamp(0, 1), 0.0)


def _light(rng: np.random.Generator, camera: bool) -> _Light:
    """SRGB in three cases of four, else a pure gamma of 1-4; of cameras a gamma of 1-2.2."""
    if camera:
        gamma = float(rng.uniform(*_CAMERA_GAMMA))
    elif rng.random() < 0.75:
        return _Light(srgb_to_linear, lambda x: linear_to_srgb(x.clamp(0, 1)), 1.0)
    else:
        gamma = float(1 + 3 * rng.random() ** 1.5)
    return _Light(lambda x: x.pow(gamma), lambda x: x.clamp(1e-8, 1).pow(1 / gamma), share_of_gamma(gamma))


def random_scene(
    source: PhotoSource, count: int, dictionary: KernelDictionary, seed: tuple[int, ...], cameras: float = PROCESSED
) -> Rendered:
    """One training scene, a pure function of the photos and the seed.

    Args:
        source: gives photo i, 0 <= i < count, as (3, S, S) uint8, S a multiple of the scale.
        count: number of photos.
        dictionary: for kernel codes and scale.
        seed: e.g. (run seed, scene number).
        cameras: share of scenes that are as a camera's pixels show them; the others as pictures that were made smaller
            do.

    Returns:
        What the optics gave, before noise and the camera's processing, and its truth.
    """
    rng = np.random.default_rng(seed)
    camera = rng.random() < cameras
    light = _light(rng, camera)
    kind = rng.random()
    scale = dictionary.scale
    alpha_beta = None
    if not camera and kind < _RESIZED:
        if rng.random() < _RESIZED_ENCODED:
            light = _AS_ENCODED
        layers = photo_layers(source, count, 0, rng, light.decode)
        blur = blur_models.resized(rng, scale)
    elif kind < (_CAMERA_ONE if camera else _ONE):
        layers = photo_layers(source, count, int(rng.random() < 0.3), rng, light.decode, camera)
        optical = blur_models.camera_blur(rng) if camera else blur_models.random_optical(rng)
        if camera and rng.random() < 0.15:
            optical = shapes.convolve(blur_models.motion_blur(rng, 10.0), optical)
        blur = blur_models.uniform(optical, scale)
    elif not camera and kind < _BLOCKS:
        if rng.random() < _ENCODED:
            light = _AS_ENCODED
        layers = photo_layers(source, count, int(rng.random() < 0.1), rng, light.decode)
        field = blur_models.smooth_field if kind < _SMOOTH else blur_models.block_field
        blur = field(rng, scale)
    else:
        layers = photo_layers(source, count, int(rng.integers(1, 5)), rng, light.decode, camera)
        if rng.random() < 0.25:
            layers = _boost_highlights(layers, float(rng.uniform(0.5, 4)))
        if rng.random() < (_CAMERA_FOCUSED if camera else _FOCUSED):
            alpha_beta = blur_models.scene_lens(rng, *_disparities(layers))
        else:
            alpha_beta = blur_models.random_lens(rng)
        motion = blur_models.motion_blur(rng, 10.0) if rng.random() < 0.12 else None
        base = blur_models.camera_blur(rng) if camera else blur_models.lens_blur(rng, 2.0)
        blur = blur_models.thin_lens(rng, *alpha_beta, base, scale, motion)
    rendered = render(layers, blur, dictionary, light.encode)
    return replace(rendered, alpha_beta=alpha_beta, camera=camera, light=light.share)
