"""Train the lite depth net on ray-cast worlds textured with the training photos, blurred by a lens half of the time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.models.blocks import local_gradient
from ssr_cli.models.depth import DepthNet
from ssr_cli.synthesis.blur_models import random_lens
from ssr_cli.synthesis.degrade import degrade
from ssr_cli.synthesis.geometry import random_world
from ssr_cli.synthesis.photo_scenes import random_mask
from ssr_cli.synthesis.render import composite, hat_weights
from ssr_cli.training.loop import Report
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import _load

_SIDE = 160
_WORLDS = 1500


def _defocused(rgb: Tensor, disparity: Tensor, rng: np.random.Generator) -> Tensor:
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


class DepthStage:
    """Loss and validation of the depth net; worlds are rendered once and kept in memory."""

    name = "depth"

    def __init__(
        self, model: DepthNet, photos: Sequence[Path], options: TrainOptions, device: torch.device, report: Report
    ) -> None:
        self.trained: nn.Module = model
        self.options = options
        self.device = device
        rng = np.random.default_rng((options.seed, 11))
        chosen = rng.permutation(len(photos))[:300]
        small = [F.avg_pool2d(_load(photos[i])[None].float() / 255, 2)[0] for i in chosen]
        self.textures = [srgb_to_linear(t) for t in small]
        masks = [F.avg_pool2d(random_mask(256, rng)[None, None], 2)[0, 0] for _ in range(100)]
        worlds = min(_WORLDS, max(64, options.scenes))
        pairs = []
        for i in range(worlds):
            if i % 300 == 0:
                report(f"depth: {i}/{worlds} worlds")
            pairs.append(self._world(masks, np.random.default_rng((options.seed, 12, i))))
        self.rgb = torch.stack([a for a, _ in pairs]).to(device)
        self.disparity = torch.stack([b for _, b in pairs]).to(device)

    def _world(self, masks: list[Tensor], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A picture (3, S, S) encoded and its disparity (1, S, S); rendered twice as large and averaged down."""
        rgb, disparity = composite(random_world(self.textures, masks, 2 * _SIDE, rng))
        rgb = F.avg_pool2d(rgb[None], 2)[0]
        disparity = disparity[::2, ::2]
        if rng.random() < 0.5:
            rgb = _defocused(rgb, disparity, rng)
        gain = float(np.exp(rng.normal(0, 0.25)))
        return degrade(linear_to_srgb((rgb * gain).clamp(0, 1)), rng), disparity[None]

    def _batch(self, picks: np.ndarray, flips: np.ndarray) -> tuple[Tensor, Tensor]:
        rgb, disparity = self.rgb[picks], self.disparity[picks]
        flip = torch.from_numpy(flips).to(self.device).view(-1, 1, 1, 1)
        return torch.where(flip, rgb.flip(-1), rgb), torch.where(flip, disparity.flip(-1), disparity)

    def _figures(self, rgb: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """L1 after the best scale and shift per picture, and the error of its edges."""
        answer = self.trained(rgb).float()
        a, b = answer.flatten(1), truth.flatten(1)
        am, bm = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
        slope = ((a - am) * (b - bm)).mean(1, keepdim=True) / ((a - am).square().mean(1, keepdim=True) + 1e-3)
        fitted = (slope.clamp(0.3, 3) * (a - am) + bm).view_as(answer)
        error = 0.5 * (fitted - truth).abs().mean() + 0.5 * (answer - truth).abs().mean()
        return error, (local_gradient(fitted) - local_gradient(truth)).abs().mean()

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`."""
        rng = np.random.default_rng((self.options.seed, 13, step))
        picks = rng.integers(0, len(self.rgb) - 48, self.options.batch)
        error, edges = self._figures(*self._batch(picks, rng.random(len(picks)) < 0.5))
        return error + edges, {"l1": error, "edges": edges}

    def validate(self) -> dict[str, float]:
        """See `Stage`: the last 48 worlds, beside the guess that lower is nearer."""
        picks = np.arange(len(self.rgb) - 48, len(self.rgb))
        rgb, truth = self._batch(picks, np.zeros(48, dtype=bool))
        error, edges = self._figures(rgb, truth)
        ramp = torch.linspace(0, 1, _SIDE).view(1, 1, -1, 1).expand_as(truth).to(truth)
        rank = float(np.mean([_correlation(a, b) for a, b in zip(self.trained(rgb).float(), truth, strict=True)]))
        guess = float(np.mean([_correlation(a, b) for a, b in zip(ramp, truth, strict=True)]))
        return {"l1": float(error), "edges": float(edges), "correlation": rank, "correlation_ramp": guess}


def _correlation(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of two maps."""
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].nan_to_num(0.0))
