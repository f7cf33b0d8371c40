"""Train the flow: end points of the path from the noisy mean to the sharp photo, perceptual where weights are given."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ssr_cli.diffusion.sampler import sample
from ssr_cli.evaluation.lpips import Lpips
from ssr_cli.evaluation.patterns import pattern_distance
from ssr_cli.models.amf import Fused
from ssr_cli.physics.sharpening import soften
from ssr_cli.suite import Suite
from ssr_cli.training.bank import bank_of
from ssr_cli.training.critic import Adversary
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import ScenePool
from ssr_cli.training.stage_restorer import psnr
from ssr_cli.training.surroundings import draw, frozen_mean
from ssr_cli.training.texture import texture_distance
from ssr_cli.training.validation import CROPS, mean_figures

#: Share of batches that are at t = 0 altogether, where one-step results come from; of the others, the share of crops
#: that are, and of those that lead to the net's own answer.
_AT_START, _ALSO, _OWN = 0.6, 0.2, 0.4
#: Share of crops that the perceptual term sees softened, and by which sigmas, HR px. Seen sharp alone, it rewards
#: patterns of a period of three pixels that are in no photo, 8 dB above what real ones have there, and coarser texture
#: is missed.
_SOFTENED, _SOFT = 0.5, (0.4, 1.0)
#: Weight of the texture's power at every fineness.
_TEXTURE = 0.06
#: Weight of how power is spread over fineness and direction: enough that no weave is worth what LPIPS gives for it.
_PATTERNS = 0.6
#: A point of the path and its time.
Point = tuple[Tensor, Tensor]


class FlowStage:
    """Loss and validation of the flow."""

    name = "flow"

    def __init__(self, suite: Suite, pool: ScenePool, options: TrainOptions) -> None:
        self.suite = suite
        self.pool = pool
        self.options = options
        suite.requires_grad_(False).eval()
        suite.flow.requires_grad_(True).train()
        self.trained: nn.Module = suite.flow
        self.networks: tuple[nn.Module, ...] = (suite.svkr.encoder, suite.amf, suite.restorer, suite.flow)
        device = pool.device
        self.lpips = Lpips(options.lpips_weights).to(device) if options.lpips_weights else None
        self.adversary = Adversary(device) if options.adversarial else None
        self.bank = bank_of(suite, pool, options, 3)
        for extra in (self.lpips, None if self.adversary is None else self.adversary.network):
            if extra is not None:
                self.networks += (extra,)

    def _points(self, start: Tensor, hr: Tensor, told: tuple[Tensor, Tensor, Fused], rng: np.random.Generator) -> Point:
        """Points of the path: most batches at its start, the others anywhere on it.

        Points that lead to the truth carry it, and a net that only knows those is lost among its own answers; so some
        lead to the net's own answer.
        """
        b = len(start)
        if rng.random() < _AT_START:
            return start, start.new_zeros(b)
        kind = rng.random(b)
        times = np.where(kind < _ALSO, 0.0, rng.uniform(0, 0.95, b)).astype(np.float32)
        t = torch.from_numpy(times).to(start.device)
        with torch.no_grad():
            answer = self.suite.flow(start, torch.zeros_like(t), *told)
        own = torch.from_numpy(kind > 1 - _OWN).to(start.device)
        goal = torch.where(own.view(-1, 1, 1, 1), answer, hr)
        return torch.lerp(start, goal, t.view(-1, 1, 1, 1)), t

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`."""
        crops, conditions = self.bank.batch(step)
        return self.distance(crops.hr, frozen_mean(self.suite, crops, conditions), step)

    def distance(self, hr: Tensor, told: tuple[Tensor, Tensor, Fused], step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """How far the flow's end points are from sharp photos, and the figures that this is made of.

        Args:
            hr: (B, 3, H, W) sharp photos.
            told: mean, features and condition that the flow goes by.
            step: decides where on the path it is asked.
        """
        mean = told[0]
        rng = np.random.default_rng((self.options.seed, 3, step, 9))
        noise = torch.from_numpy(rng.standard_normal(mean.shape, dtype=np.float32)).to(mean.device)
        start = mean + self.suite.flow.config.noise * noise
        point, t = self._points(start, hr, told, rng)
        end = self.suite.flow(point, t, *told)
        l1 = (end - hr).abs().mean()
        texture = texture_distance(end, hr)
        patterns = pattern_distance(end, hr)
        loss = l1 + _TEXTURE * texture + _PATTERNS * patterns
        figures = {"l1": l1, "texture": texture, "patterns": patterns}
        if self.lpips is not None:
            figures["lpips"] = self._perceived(end.clamp(0, 1), hr, rng)
            loss = loss + self.options.perceptual * figures["lpips"]
        if self.adversary is not None:
            figures["doubt"] = self.adversary.doubt(end, hr, mean)
            loss = loss + self.options.adversarial * figures["doubt"]
        return loss, figures

    def _perceived(self, end: Tensor, hr: Tensor, rng: np.random.Generator) -> Tensor:
        """The perceptual distance of a batch, some of it softened, seen from a random offset.

        The offset is for the trunk's strides, which must not lock onto the grid of the LR pixels.
        """
        assert self.lpips is not None
        scale = self.suite.flow.config.scale
        dy, dx = (int(n) for n in rng.integers(0, scale, 2))
        height, width = (n - scale + 1 for n in end.shape[-2:])
        window = (..., slice(dy, dy + height), slice(dx, dx + width))  # of one size: a compiled trunk likes no others
        sigmas = np.where(rng.random(len(end)) < _SOFTENED, rng.uniform(*_SOFT, len(end)), 1e-3).astype(np.float32)
        soft = torch.from_numpy(sigmas).to(end.device)
        seen: Tensor = self.lpips(soften(end, soft)[window], soften(hr, soft)[window]).mean()
        return seen

    def validate(self) -> dict[str, float]:
        """See `Stage`: PSNR and LPIPS of 64 held-out crops at 1 and 2 steps, and of the mean."""

        def figures(i: int) -> dict[str, float]:
            found: dict[str, float] = {}
            with torch.autocast(self.pool.device.type, torch.bfloat16):
                crops, conditions = draw(self.suite, self.pool, CROPS, self.options.crop, (99, i), validation=True)
                mean, features, fused = frozen_mean(self.suite, crops, conditions)
                noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(i)).to(mean)
                results = {0: mean}
                for steps in (1, 2):
                    model = lambda z, t: self.suite.flow(z, t, mean, features, fused)  # noqa: E731
                    results[steps] = sample(model, mean + self.suite.flow.config.noise * noise, steps)
                for steps, image in results.items():
                    found[f"psnr@{steps}"] = psnr(image, crops.hr)
                    found[f"texture@{steps}"] = float(texture_distance(image, crops.hr))
                    found[f"patterns@{steps}"] = float(pattern_distance(image, crops.hr))
                    if self.lpips is not None:
                        found[f"lpips@{steps}"] = float(self.lpips(image.clamp(0, 1), crops.hr).mean())
            return found

        return mean_figures(figures)
