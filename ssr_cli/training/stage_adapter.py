"""Train the adapter of a Stable Diffusion backbone: the UNet and the lite suite stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssr_cli.diffusion.stable import Backbone, StablePrior
from ssr_cli.models.adapter import AdapterConfig, SdAdapter, residual_channels
from ssr_cli.models.amf import Fused
from ssr_cli.suite import Suite
from ssr_cli.training.critic import Adversary
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool
from ssr_cli.training.stage_restorer import psnr
from ssr_cli.training.surroundings import draw, frozen_mean

#: Share of crops that begin where a run begins, at the noised posterior mean; the others are points of diffusion.
_AT_START = 0.5


def config_for(unet: Any, context: int) -> AdapterConfig:
    """Numbers of an adapter that fits a UNet.

    Args:
        unet: with diffusers' `config`.
        context: width of the prompt's embedding.
    """
    blocks = list(unet.config.block_out_channels)
    default = AdapterConfig()
    return AdapterConfig(
        width=default.width[: len(blocks)],
        residuals=residual_channels(blocks, int(unet.config.layers_per_block)),
        middle=blocks[-1],
        latents=int(unet.config.in_channels),
        context=context,
    )


class AdapterStage:
    """Loss and validation of the adapter."""

    name = "sd-adapter"
    adversary: Adversary | None = None

    def __init__(
        self, suite: Suite, backbone: Backbone, adapter: SdAdapter, pool: ScenePool, options: TrainOptions
    ) -> None:
        self.suite = suite.requires_grad_(False).eval()
        self.prior = StablePrior(backbone, adapter)
        self.pool = pool
        self.options = options
        self.trained: nn.Module = adapter
        self.networks: tuple[nn.Module, ...] = (adapter,)
        enable = getattr(backbone.unet, "enable_gradient_checkpointing", None)
        if enable is not None:
            enable()  # the UNet's activations are most of the memory

    def _drawn(
        self, batch: int, seed: tuple[int, ...], validation: bool = False
    ) -> tuple[Crops, Fused, Tensor, Tensor]:
        """Crops, AMF's answer, and the latents of the posterior mean and of the truth."""
        with torch.no_grad():
            crops, told = draw(self.suite, self.pool, batch, self.options.crop, seed, validation=validation)
            mean, _, fused = frozen_mean(self.suite, crops, told)
            encode = self.prior.backbone.encode
            return crops, fused, encode(mean.clamp(0, 1) * 2 - 1), encode(crops.hr * 2 - 1)

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`: what the UNet should predict, at the start of a run and at points of diffusion below it."""
        seed = (self.options.seed, 4, step)
        crops, fused, begun, truth = self._drawn(self.options.batch, seed)
        schedule = self.prior.backbone.schedule
        top = schedule.times(1, self.prior.adapter.config.strength)[0]
        rng = np.random.default_rng((*seed, 9))
        noise = torch.from_numpy(rng.standard_normal(truth.shape, dtype=np.float32)).to(truth.device)
        at_start = torch.from_numpy(rng.random(len(truth)) < _AT_START).to(truth.device)
        drawn = torch.from_numpy(rng.integers(0, top + 1, len(truth))).to(truth.device)
        time = torch.where(at_start, torch.full_like(drawn, top), drawn)
        z = schedule.noised(torch.where(at_start.view(-1, 1, 1, 1), begun, truth), noise, time)
        predicted = self.prior.predict(z, time, crops.lr, fused, begun)
        clean = schedule.clean(z, predicted, time)
        loss = (clean - truth).square().mean()
        return loss, {"latent": (clean - truth).detach().abs().mean()}

    def validate(self) -> dict[str, float]:
        """See `Stage`: PSNR of 8 held-out crops after one step, beside the posterior mean's through the same VAE."""
        crops, fused, begun, _ = self._drawn(8, (99, 0), validation=True)
        schedule, backbone = self.prior.backbone.schedule, self.prior.backbone
        top = schedule.times(1, self.prior.adapter.config.strength)[0]
        noise = torch.randn(begun.shape, generator=torch.Generator().manual_seed(0)).to(begun)
        z = schedule.noised(begun, noise, top)
        clean = schedule.clean(z, self.prior.predict(z, top, crops.lr, fused, begun), top)
        ours, mean = ((backbone.decode(latent) + 1) / 2 for latent in (clean, begun))
        return {"psnr@1": psnr(ours, crops.hr), "psnr of the mean": psnr(mean, crops.hr)}
