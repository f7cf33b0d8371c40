"""Spoil true depth the way estimators spoil it, so that SVKR learns when not to trust depth."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.physics import shapes

#: How often a depth with one fault alone has none.
_FAULTLESS = 0.1
#: How often the fault is soft outlines, displaced ones, waves, another scene: the first is mended soon.
_FAULTS = (0.15, 0.3, 0.25, 0.3)


def blurred(depth: Tensor, sigma: float) -> Tensor:
    """Soft edges: Gaussian blur of (1, h, w), sigma in LR pixels."""
    kernel = shapes.gaussian(sigma, sigma, size=13)[None, None].to(depth)
    return F.conv2d(F.pad(depth[None], (6, 6, 6, 6), mode="replicate"), kernel)[0]


def displaced(depth: Tensor, rng: np.random.Generator, reach: float) -> Tensor:
    """Outlines in the wrong place: a smooth displacement of up to `reach` LR pixels."""
    h, w = depth.shape[-2:]
    shift = torch.from_numpy(rng.normal(0, reach / 2, (1, 2, 4, 4)).astype(np.float32)).to(depth)
    flow = F.interpolate(shift, size=(h, w), mode="bicubic", align_corners=True)[0].permute(1, 2, 0)
    axis_y, axis_x = torch.linspace(-1, 1, h).to(depth), torch.linspace(-1, 1, w).to(depth)
    base = torch.stack(torch.meshgrid(axis_y, axis_x, indexing="ij")[::-1], -1)
    grid = base + flow * torch.tensor([2 / w, 2 / h]).to(depth)
    return F.grid_sample(depth[None], grid[None], padding_mode="border", align_corners=True)[0]


def bent(depth: Tensor, rng: np.random.Generator, size: float) -> Tensor:
    """A low-frequency error of the whole map."""
    waves = torch.from_numpy(rng.normal(0, size, (1, 1, 3, 3)).astype(np.float32)).to(depth)
    return depth + F.interpolate(waves, size=depth.shape[-2:], mode="bicubic", align_corners=True)[0]


def spoil(depth: Tensor, others: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One photo's depth as an estimator might give it.

    Args:
        depth: (1, h, w) true disparity.
        others: (1, h, w) another photo's, for wholly wrong answers.
        rng: source of all choices.

    Returns:
        the spoiled map and the true one in the same unknown units, both in 0..1: an affine change of disparity is not
        an error, since nothing in one photo fixes it.
    """
    low, span = rng.uniform(0, 0.25), rng.uniform(0.6, 1.0)
    truth = (low + (min(span, 1 - low)) * depth).clamp(0, 1)
    kind = rng.random()
    if kind < 0.08:
        return others.clamp(0, 1), truth
    if kind < 0.14:
        return torch.full_like(truth, float(rng.uniform(0.2, 0.8))), truth
    given = truth
    if rng.random() < 0.7:
        given = blurred(given, float(rng.uniform(0.4, 3.0)))
    if rng.random() < 0.6:
        given = displaced(given, rng, float(rng.uniform(0.3, 3.0)))
    if rng.random() < 0.6:
        given = bent(given, rng, float(rng.uniform(0.0, 0.15)))
    if rng.random() < 0.4:
        given = given.clamp(0, 1).pow(float(np.exp(rng.normal(0, 0.3))))
    return given.clamp(0, 1), truth


def one_fault(depth: Tensor, others: Tensor, rng: np.random.Generator) -> Tensor:
    """True disparity (1, h, w) with a single fault, up to as strong as `spoil` has it, or with none.

    Args:
        depth: (1, h, w).
        others: (1, h, w), for wrong answers.
        rng: source of all choices.
    """
    if rng.random() < _FAULTLESS:
        return depth
    kind = rng.choice(["soft", "displaced", "bent", "wrong"], p=_FAULTS)
    if kind == "soft":
        return blurred(depth, float(rng.uniform(1.0, 3.0)))
    if kind == "displaced":
        return displaced(depth, rng, float(rng.uniform(1.0, 3.0)))
    if kind == "bent":
        return bent(depth, rng, float(rng.uniform(0.05, 0.15))).clamp(0, 1)
    # the harder ones share the scene's layout: ground below, sky above
    return others if rng.random() < 0.5 else depth.flip(-1)


def spoil_batch(depth: Tensor, seed: tuple[int, ...], single: float = 0.0) -> tuple[Tensor, Tensor]:
    """`spoil` for a batch (B, 1, h, w); the wrong answers are the neighbours' maps. A share has one fault alone."""
    rng = np.random.default_rng(seed)
    alone = np.random.default_rng((*seed, 5)).random(len(depth)) < single
    pairs = []
    for i in range(len(depth)):
        others = depth[i - 1].flip(-1)
        pairs.append((one_fault(depth[i], others, rng), depth[i]) if alone[i] else spoil(depth[i], others, rng))
    return torch.stack([a for a, _ in pairs]), torch.stack([b for _, b in pairs])
