"""Train the flow: end points of the path from the noisy mean to the sharp photo, perceptual where weights are given."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ssr_cli.diffusion.sampler import sample
from ssr_cli.evaluation.lpips import Lpips
from ssr_cli.models.amf import Fused
from ssr_cli.physics.sharpening import soften
from ssr_cli.suite import Suite
from ssr_cli.training.critic import Adversary
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool
from ssr_cli.training.stage_restorer import psnr
from ssr_cli.training.surroundings import draw

#: Share of crops at t = 0, where one-step results come from.
_AT_START = 0.6
#: Share of crops that the perceptual term sees softened, and by which sigmas, HR px. Seen sharp alone, it rewards
#: patterns of a period of three pixels that are in no photo, 8 dB above what real ones have there, and coarser texture
#: is missed.
_SOFTENED, _SOFT = 0.5, (0.4, 1.0)
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
        if self.adversary is not None:
            self.networks += (self.adversary.network,)

    def _drawn(
        self, batch: int, seed: tuple[int, ...], validation: bool = False
    ) -> tuple[Crops, tuple[Tensor, Tensor, Fused]]:
        """Crops and what the frozen models make of them: mean, features and AMF's condition."""
        with torch.no_grad():
            crops, told = draw(self.suite, self.pool, batch, self.options.crop, seed, validation=validation)
            fused = self.suite.amf(crops.lr, told.state, told.prior)
            mean, features = self.suite.restorer(crops.lr, fused, told.guess)
        return crops, (mean, features, fused)

    def _points(self, start: Tensor, hr: Tensor, told: tuple[Tensor, Tensor, Fused], rng: np.random.Generator) -> Point:
        """Points of the path: most at its start; of the others half lead to the truth, half to the net's own answer.

        Points that lead to the truth carry it, and a net that only knows those is lost among its own answers.
        """
        share = rng.random(len(start))
        times = np.where(share < _AT_START, 0.0, rng.uniform(0, 0.95, len(start))).astype(np.float32)
        t = torch.from_numpy(times).to(start.device)
        goal = hr
        if bool((share > (1 + _AT_START) / 2).any()):
            with torch.no_grad():
                answer = self.suite.flow(start, torch.zeros_like(t), *told)
            own = torch.from_numpy(share > (1 + _AT_START) / 2).to(start.device)
            goal = torch.where(own.view(-1, 1, 1, 1), answer, hr)
        return torch.lerp(start, goal, t.view(-1, 1, 1, 1)), t

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`."""
        seed = (self.options.seed, 3, step)
        crops, told = self._drawn(self.options.batch, seed)
        mean = told[0]
        rng = np.random.default_rng((*seed, 9))
        noise = torch.from_numpy(rng.standard_normal(mean.shape, dtype=np.float32)).to(mean.device)
        start = mean + self.suite.flow.config.noise * noise
        point, t = self._points(start, crops.hr, told, rng)
        end = self.suite.flow(point, t, *told)
        loss = l1 = (end - crops.hr).abs().mean()
        figures = {"l1": l1}
        if self.lpips is not None:
            figures["lpips"] = self._perceived(end.clamp(0, 1), crops.hr, rng)
            loss = loss + self.options.perceptual * figures["lpips"]
        if self.adversary is not None:
            figures["doubt"] = self.adversary.doubt(end, crops.hr, mean)
            loss = loss + self.options.adversarial * figures["doubt"]
        return loss, figures

    def _perceived(self, end: Tensor, hr: Tensor, rng: np.random.Generator) -> Tensor:
        """The perceptual distance of a batch, some of it softened, seen from a random offset.

        The offset is for the trunk's strides, which must not lock onto the grid of the LR pixels.
        """
        assert self.lpips is not None
        dy, dx = (int(n) for n in rng.integers(0, self.suite.flow.config.scale, 2))
        sigmas = np.where(rng.random(len(end)) < _SOFTENED, rng.uniform(*_SOFT, len(end)), 1e-3).astype(np.float32)
        soft = torch.from_numpy(sigmas).to(end.device)
        seen: Tensor = self.lpips(soften(end, soft)[..., dy:, dx:], soften(hr, soft)[..., dy:, dx:]).mean()
        return seen

    def validate(self) -> dict[str, float]:
        """See `Stage`: PSNR and LPIPS of 64 held-out crops at 1 and 2 steps, and of the mean."""
        sums: dict[str, float] = {}
        for i in range(4):
            with torch.autocast(self.pool.device.type, torch.bfloat16):
                crops, (mean, features, fused) = self._drawn(16, (99, i), validation=True)
                noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(i)).to(mean)
                results = {0: mean}
                for steps in (1, 2):
                    model = lambda z, t: self.suite.flow(z, t, mean, features, fused)  # noqa: B023, E731
                    results[steps] = sample(model, mean + self.suite.flow.config.noise * noise, steps)
                for steps, image in results.items():
                    figures = {f"psnr@{steps}": psnr(image, crops.hr)}
                    if self.lpips is not None:
                        figures[f"lpips@{steps}"] = float(self.lpips(image.clamp(0, 1), crops.hr).mean())
                    for key, value in figures.items():
                        sums[key] = sums.get(key, 0.0) + value / 4
        return sums
