"""Textures drawn by formula, so that a demonstration needs no photo of anybody's."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_WORDS = [
    "photo",
    "kernel",
    "depth",
    "lens",
    "blur",
    "focus",
    "light",
    "pixel",
    "sharp",
    "grain",
    "edge",
    "plane",
    "shutter",
    "field",
    "prism",
    "halo",
    "f/1.8",
    "50mm",
]


def _colour(rng: np.random.Generator, low: float = 0.1, high: float = 0.9) -> tuple[int, int, int]:
    r, g, b = (int(255 * v) for v in rng.uniform(low, high, 3))
    return r, g, b


def _to_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255).permute(2, 0, 1).contiguous()


def cloud(size: int, rng: np.random.Generator, exponent: float = 1.6) -> Tensor:
    """Coloured 1 / f^exponent noise, (3, size, size) in 0..1."""
    f = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]) + 1 / size
    noise = torch.from_numpy(rng.standard_normal((3, size, size), dtype=np.float32))
    field = torch.fft.irfft2(torch.fft.rfft2(noise) / f**exponent, s=(size, size))
    field = field / field.std()
    # Natural colours vary less than natural brightness.
    mixed = 0.8 * field.mean(0, keepdim=True) * 3**0.5 + 0.35 * field
    base = torch.tensor(_colour(rng, 0.25, 0.75)).view(3, 1, 1) / 255
    picture: Tensor = (base + 0.17 * mixed).clamp(0, 1)
    return picture


def page(size: int, rng: np.random.Generator) -> Tensor:
    """A printed page: lines of words in a few sizes."""
    paper, ink = _colour(rng, 0.75, 0.98), _colour(rng, 0.0, 0.3)
    image = Image.new("RGB", (size, size), paper)
    draw = ImageDraw.Draw(image)
    y = 8.0
    while y < size - 10:
        points = int(rng.choice([11, 14, 18, 30]))
        line = " ".join(_WORDS[int(i)] for i in rng.integers(0, len(_WORDS), 14))
        draw.text((10, y), line, fill=ink, font=ImageFont.load_default(points))
        y += points * 1.35
    return _to_tensor(image)


def bricks(size: int, rng: np.random.Generator) -> Tensor:
    """A wall of bricks, each a little different, with mortar and grain."""
    image = Image.new("RGB", (size, size), _colour(rng, 0.6, 0.8))
    draw = ImageDraw.Draw(image)
    width, height = int(rng.integers(50, 90)), int(rng.integers(20, 34))
    base = np.array(_colour(rng, 0.25, 0.65))
    for row, y in enumerate(range(0, size, height)):
        for x in range(-(row % 2) * width // 2, size, width):
            fill = tuple(int(v) for v in np.clip(base + rng.normal(0, 14), 0, 255))
            draw.rectangle([x + 2, y + 2, x + width - 2, y + height - 2], fill=fill)
    return (_to_tensor(image) + 0.35 * (cloud(size, rng, 1.0) - 0.5)).clamp(0, 1)


def tiles(size: int, rng: np.random.Generator) -> Tensor:
    """A chequered floor with bevels and grain."""
    image = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(image)
    step = int(rng.integers(40, 80))
    first, second = _colour(rng, 0.55, 0.9), _colour(rng, 0.1, 0.4)
    for i, y in enumerate(range(0, size, step)):
        for j, x in enumerate(range(0, size, step)):
            draw.rectangle([x, y, x + step - 3, y + step - 3], fill=first if (i + j) % 2 else second)
    return (_to_tensor(image) + 0.2 * (cloud(size, rng, 1.1) - 0.5)).clamp(0, 1)


def rings(size: int, rng: np.random.Generator) -> Tensor:
    """Discs of many colours and sizes over a cloud: confetti, lamps, pebbles."""
    image = Image.fromarray((cloud(size, rng) * 255).byte().permute(1, 2, 0).numpy())
    draw = ImageDraw.Draw(image)
    for _ in range(160):
        x, y, r = rng.uniform(0, size), rng.uniform(0, size), float(np.exp(rng.uniform(1.0, 3.6)))
        draw.ellipse(
            [x - r, y - r, x + r, y + r], fill=_colour(rng, 0.05, 0.98), outline=_colour(rng, 0.0, 0.5), width=2
        )
    return _to_tensor(image)


def textures(size: int, rng: np.random.Generator) -> list[Tensor]:
    """One of each, (3, size, size) encoded 0..1: floor, wall, page, confetti, cloud."""
    twice = [
        tiles(2 * size, rng),
        bricks(2 * size, rng),
        page(2 * size, rng),
        rings(2 * size, rng),
        cloud(2 * size, rng, 1.3),
    ]
    return [F.avg_pool2d(t[None], 2)[0] for t in twice]
