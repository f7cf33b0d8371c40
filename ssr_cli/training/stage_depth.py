"""Train the lite depth net on ray-cast worlds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ssr_cli.models.blocks import local_gradient
from ssr_cli.models.depth import DepthNet
from ssr_cli.training.critic import Adversary
from ssr_cli.training.fitted import fitted
from ssr_cli.training.loop import Report
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.shards import render_shards
from ssr_cli.training.worlds import SHARD, render_worlds

#: Worlds at the end kept for validation.
_HELD_OUT = 48


class DepthStage:
    """Loss and validation of the depth net; the worlds are rendered once."""

    name = "depth"
    adversary: Adversary | None = None

    def __init__(
        self, model: DepthNet, photos: Sequence[Path], options: TrainOptions, device: torch.device, report: Report
    ) -> None:
        self.trained: nn.Module = model
        self.networks: tuple[nn.Module, ...] = (model,)
        self.options = options
        self.device = device
        progress = lambda done, of: report(f"worlds: {done}/{of} shards of {SHARD}")  # noqa: E731
        folder = options.out / "worlds"
        shards = render_shards(
            render_worlds, photos, folder, options.scenes, SHARD, options.seed, options.workers, progress
        )
        parts = [load_file(s) for s in shards]
        self.rgb = torch.cat([p["rgb"] for p in parts]).to(device)
        self.disparity = torch.cat([p["disparity"] for p in parts]).to(device)

    def _batch(self, picks: np.ndarray, flips: np.ndarray) -> tuple[Tensor, Tensor]:
        rgb, disparity = self.rgb[picks].float() / 255, self.disparity[picks].float()
        flip = torch.from_numpy(flips).to(self.device).view(-1, 1, 1, 1)
        return torch.where(flip, rgb.flip(-1), rgb), torch.where(flip, disparity.flip(-1), disparity)

    def _figures(self, rgb: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """L1 after the best scale and shift per picture, and the error of its edges."""
        answer = self.trained(rgb).float()
        said = fitted(answer, truth, 1e-3, (0.3, 3.0))
        error = 0.5 * (said - truth).abs().mean() + 0.5 * (answer - truth).abs().mean()
        return error, (local_gradient(said) - local_gradient(truth)).abs().mean()

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`."""
        rng = np.random.default_rng((self.options.seed, 13, step))
        picks = rng.integers(0, len(self.rgb) - _HELD_OUT, self.options.batch)
        error, edges = self._figures(*self._batch(picks, rng.random(len(picks)) < 0.5))
        return error + edges, {"l1": error, "edges": edges}

    def validate(self) -> dict[str, float]:
        """See `Stage`: the held-out worlds, beside the guess that lower is nearer."""
        picks = np.arange(len(self.rgb) - _HELD_OUT, len(self.rgb))
        rgb, truth = self._batch(picks, np.zeros(_HELD_OUT, dtype=bool))
        error, edges = self._figures(rgb, truth)
        ramp = torch.linspace(0, 1, truth.shape[-2]).view(1, 1, -1, 1).expand_as(truth).to(truth)
        rank = float(np.mean([_correlation(a, b) for a, b in zip(self.trained(rgb).float(), truth, strict=True)]))
        guess = float(np.mean([_correlation(a, b) for a, b in zip(ramp, truth, strict=True)]))
        return {"l1": float(error), "edges": float(edges), "correlation": rank, "correlation_ramp": guess}


def _correlation(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of two maps."""
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].nan_to_num(0.0))
