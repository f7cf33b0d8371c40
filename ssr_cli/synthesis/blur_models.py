"""Random continuous blurs: one kernel, a smooth field of kernels, or a thin lens over depth.

None of them uses the dictionary's own atoms, so that a network trained on them cannot win by inverse crime.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import with_sensor_box
from ssr_cli.synthesis.render import BlurModel, control_weights, hat_weights
from ssr_cli.synthesis.scene import LocalKernels

#: Share of lenses that are far better than the photo's pixels, as in every photo that was made smaller.
_CRISP = 0.3
#: Share of fields that were sampled and not integrated over a sensor's pixels, as a resized picture is.
_SAMPLED = 0.9


def lens_blur(rng: np.random.Generator, largest_sigma_px: float = 4.0) -> Tensor:
    """One Gaussian-like optical kernel: isotropic, oriented or generalised; hardly any blur at all in three of ten."""
    sigma = float(rng.uniform(0.12, 0.7) if rng.random() < _CRISP else rng.uniform(0.3, largest_sigma_px))
    kind = rng.random()
    if kind < 0.6:
        return shapes.gaussian(sigma, sigma)
    angle = float(rng.uniform(0, math.pi))
    if kind < 0.85:
        return shapes.gaussian(sigma, max(0.25, sigma * float(rng.uniform(0.25, 1.0))), angle)
    return shapes.gaussian(sigma, sigma * float(rng.uniform(0.5, 1.0)), angle, power=float(rng.uniform(0.6, 2.5)))


def motion_blur(rng: np.random.Generator, longest_px: float = 20.0) -> Tensor:
    """One camera-motion kernel: a straight stroke or a shaky path."""
    length = float(rng.uniform(2.0, longest_px))
    angle = float(rng.uniform(0, math.pi))
    width = float(rng.uniform(0.7, 1.6))
    if rng.random() < 0.5:
        return shapes.stroke(length, angle, width)
    steps = np.stack([rng.normal(0, 0.45, 7) + math.sin(angle), rng.normal(0, 0.45, 7) + math.cos(angle)], 1)
    walk = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)])
    span = float(np.abs(walk - walk.mean(0)).max())
    walk *= min(length / 2, 11.0) / max(span, 1e-6)
    return shapes.path([(float(y), float(x)) for y, x in walk], width)


def defocus(rng: np.random.Generator, radius_px: float, style: tuple[int, float, tuple[float, float]]) -> Tensor:
    """A defocus disk in the style (blades, rotation, cat's eye) of one aperture; a Gaussian when blades is -1."""
    blades, rotation, cat_eye = style
    if blades < 0:
        return shapes.gaussian(max(radius_px / 2, 0.2), max(radius_px / 2, 0.2))
    return shapes.disk(radius_px, blades, rotation, cat_eye)


def random_aperture(rng: np.random.Generator) -> tuple[int, float, tuple[float, float]]:
    """Blades (0 round, -1 Gaussian bokeh), rotation, and cat's eye of one lens."""
    blades = int(rng.choice([0, 0, 0, 5, 6, 7, 8, -1, -1]))
    eye = (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-0.8, 0.8))) if rng.random() < 0.15 else (0.0, 0.0)
    return blades, float(rng.uniform(0, math.pi)), eye


def camera_blur(rng: np.random.Generator) -> Tensor:
    """What lens, optical low-pass and demosaicing do to a camera's pixels, before it sharpens.

    Measured on RealSR and DRealSR as the transfer from true photos to photos: 1.1 at 0.1 cycles per LR pixel, 0.3 to
    0.6 at 0.3, 0.1 to 0.3 at 0.4. That is a Gaussian of 2.5 to 3.9 and of 3.0 to 4.6 HR pixels (eight of ten), then
    unsharp masking.
    """
    sigma = float(rng.uniform(2.2, 4.4))
    return shapes.gaussian(sigma, sigma * float(rng.uniform(0.88, 1.0)), float(rng.uniform(0, math.pi)))


def random_optical(rng: np.random.Generator) -> Tensor:
    """One kernel from everything that blurs photos, weighted as real test photos are."""
    kind = rng.random()
    if kind < 0.72:
        return lens_blur(rng)
    if kind < 0.86:
        return shapes.convolve(defocus(rng, float(rng.uniform(0.5, 11)), random_aperture(rng)), lens_blur(rng, 1.2))
    return shapes.convolve(motion_blur(rng), lens_blur(rng, 1.2))


def uniform(optical: Tensor, scale: int) -> BlurModel:
    """The same kernel everywhere."""
    kernels = with_sensor_box(optical[None], scale)
    return lambda disparity: LocalKernels(kernels, torch.ones(1, *disparity.shape))


def _cubic(x: Tensor, sharpness: float) -> Tensor:
    """Keys' cubic filter of places in samples; `sharpness` is its a, -0.5 or -0.75."""
    near = ((sharpness + 2) * x - (sharpness + 3)) * x * x + 1
    far = sharpness * (((x - 5) * x + 8) * x - 4)
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))


def resized(rng: np.random.Generator, scale: int) -> BlurModel:
    """What programs do that make pictures smaller: the mean of s x s pixels, or bilinear, cubic or Lanczos filters as
    wide as the smaller picture's pixels."""
    size = shapes.OPTICAL_SIZE + scale - 1
    x = ((torch.arange(size) - (size - 1) / 2) / scale).abs()
    taps = [
        (x < 0.5).float(),
        (1 - x).clamp_min(0),
        _cubic(x, -0.5),
        _cubic(x, -0.75),
        torch.where(x < 3, torch.sinc(x) * torch.sinc(x / 3), torch.zeros_like(x)),
    ][int(rng.integers(5))]
    taps = taps / taps.sum()
    kernels = torch.outer(taps, taps)[None]
    return lambda disparity: LocalKernels(kernels, torch.ones(1, *disparity.shape))


def smooth_field(rng: np.random.Generator, scale: int) -> BlurModel:
    """Oriented Gaussians whose axes and angle wander over the photo, on a bilinear 4 x 4 control grid.

    Most fields are sampled, as resized pictures are, the others integrated over the sensor's pixels.
    """
    sampled = rng.random() < _SAMPLED
    size = shapes.OPTICAL_SIZE + scale - 1 if sampled else shapes.OPTICAL_SIZE
    least = 0.8 if sampled else 0.25  # a narrower kernel, sampled, is no blur but aliasing
    base = rng.uniform(max(0.4, least), 3.6)
    kernels = []
    angle0, swirl = rng.uniform(0, math.pi), rng.uniform(-1.2, 1.2)
    for i in range(16):
        major = float(np.clip(base * math.exp(rng.normal(0, 0.35)), least, 4.5))
        minor = float(np.clip(major * rng.uniform(0.25, 1.0), least, major))
        angle = float(angle0 + swirl * (i % 4 + i // 4) / 3 + rng.normal(0, 0.15))
        kernels.append(shapes.gaussian(major, minor, angle, size=size))
    stacked = torch.stack(kernels) if sampled else with_sensor_box(torch.stack(kernels), scale)
    return lambda disparity: LocalKernels(stacked, control_weights(4, 4, *disparity.shape))


def block_field(rng: np.random.Generator, scale: int) -> BlurModel:
    """Oriented Gaussians that change from block to block, of 6 to 20 LR pixels a side, and not within one.

    As blur behaves at the borders of things, and as MANet's benchmark has it (arXiv 2108.05302), but for the kernels:
    three fields of five grow along the photo, the others are drawn block by block; most are sampled, as in
    `smooth_field`.
    """
    sampled = rng.random() < _SAMPLED
    size = shapes.OPTICAL_SIZE + scale - 1 if sampled else shapes.OPTICAL_SIZE
    least = (0.8 if sampled else 0.25) ** 2
    side, offset = int(rng.integers(6, 21)), rng.integers(0, 20, 2)
    growing = rng.random() < 0.6
    ends = rng.uniform(least, 11.0, (2, 2))  # variances of both axes at the photo's two ends
    heading, turn, twist = rng.uniform(0, 2 * math.pi, 2), rng.uniform(0, math.pi), rng.uniform(-math.pi, math.pi)

    def kernel(y: float, x: float) -> Tensor:
        """Of a block at a place in 0..1."""
        if not growing:
            first, second = rng.uniform(least, 11.0, 2)
            return shapes.gaussian(math.sqrt(first), math.sqrt(second), float(rng.uniform(0, math.pi)), size=size)
        along = 0.5 + 0.5 * (np.sin(heading) * (2 * y - 1) + np.cos(heading) * (2 * x - 1)) / math.sqrt(2)
        first, second = ends[:, 0] + (ends[:, 1] - ends[:, 0]) * along
        return shapes.gaussian(math.sqrt(first), math.sqrt(second), float(turn + twist * along[0]), size=size)

    def blur(disparity: Tensor) -> LocalKernels:
        h, w = disparity.shape
        rows, columns = ((torch.arange(n) + int(o)) // side for n, o in zip((h, w), offset, strict=True))
        rows, columns = rows - rows[0], columns - columns[0]
        down, right = int(rows[-1]) + 1, int(columns[-1]) + 1
        kernels = torch.stack([kernel((i + 0.5) / down, (j + 0.5) / right) for i in range(down) for j in range(right)])
        number = rows[:, None] * right + columns[None]
        weights = torch.nn.functional.one_hot(number, down * right).permute(2, 0, 1).float()
        return LocalKernels(kernels if sampled else with_sensor_box(kernels, scale), weights)

    return blur


def thin_lens(
    rng: np.random.Generator, alpha: float, beta: float, base: Tensor, scale: int, motion: Tensor | None = None
) -> BlurModel:
    """Defocus of radius `|alpha d + beta|` px, on top of the lens's own blur, with optional motion parallax.

    Args:
        rng: chooses the aperture.
        alpha: HR px per unit of disparity.
        beta: HR px.
        base: optical kernel of the lens in focus.
        scale: s.
        motion: optical kernel of camera motion, the same for all depths.
    """
    style = random_aperture(rng)
    constant = base if motion is None else shapes.convolve(motion, base)

    def blur(disparity: Tensor) -> LocalKernels:
        radius = (alpha * disparity + beta).abs().clamp_max(11.5)
        low, high = float(radius.min()), float(radius.max())
        count = 1 if high - low < 0.15 else min(9, 2 + int((high - low) / 0.6))
        nodes = torch.linspace(low, high, count) if count > 1 else torch.tensor([(low + high) / 2])
        optical = [shapes.convolve(defocus(rng, float(r), style), constant) for r in nodes]
        return LocalKernels(with_sensor_box(torch.stack(optical), scale), hat_weights(radius, nodes))

    return blur


def scene_lens(rng: np.random.Generator, nearest: float, farthest: float) -> tuple[float, float]:
    """Thin lens (alpha, beta) for a scene: focused in it four times of five, and blurred somewhere by 2 to 18 px.

    A lens drawn without the scene in view blurs most scenes much the same everywhere, and a network learns just that.

    Args:
        rng: chooses the lens.
        nearest: largest disparity of the scene.
        farthest: smallest disparity.
    """
    span = max(nearest - farthest, 0.05)
    margin = 0.0 if rng.random() < 0.8 else 0.4 * span
    focus = float(rng.uniform(farthest - margin, nearest + margin))
    largest = float(math.exp(rng.uniform(math.log(2.0), math.log(18.0))))
    alpha = largest / max(nearest - focus, focus - farthest, 0.05)
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return sign * alpha, -sign * alpha * focus


def random_lens(rng: np.random.Generator) -> tuple[float, float]:
    """Thin lens (alpha, beta): focus anywhere in or just outside the scene, largest radius 0.5-11 px."""
    focus = float(rng.uniform(-0.15, 1.15))
    largest = float(rng.uniform(0.5, 11.0))
    alpha = largest / max(focus, 1 - focus)
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return sign * alpha, -sign * alpha * focus
