"""Train AMF and the restorer together: the posterior mean, under SVKR's frozen answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ssr_cli.diffusion.consistency import field_operator, first_guess, guess_level
from ssr_cli.models.amf import Fused
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.svkr import RoundState, photo_prior
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.sharpening import desharpen
from ssr_cli.suite import Suite
from ssr_cli.training.critic import Adversary
from ssr_cli.training.given_depth import given_depth
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool

#: How often a modality is missing in training, so that none is leant on blindly.
_DROP = 0.1
#: Mean squared error, encoded units, below which a crop is as good as perfect.
_PERFECT = (3 / 255) ** 2
#: Weight of what AMF is told of its gates, and the blur radius, HR px, of which half the weight is the kernel's.
_GATES, _HALF_PX = 0.5, 4.0


@dataclass(frozen=True)
class Conditions:
    """What the frozen SVKR says of a batch."""

    state: RoundState
    prior: PhotoPrior
    drop: Tensor | None
    guess: Tensor


def run_svkr(suite: Suite, crops: Crops, seed: tuple[int, ...], dropping: bool) -> Conditions:
    """SVKR on depth as it may be given, without gradients; modality dropout decided by the seed."""
    dictionary = default_dictionary()
    with torch.no_grad():
        given, _ = given_depth(crops, seed)
        state = suite.svkr(crops.lr, given, crops.processed, dictionary)[-1]
        prior = photo_prior(state, crops.processed)
        with torch.autocast(crops.lr.device.type, enabled=False):
            operator = field_operator(state.weights, dictionary)
            level = guess_level(state.noise, prior.processed, suite.config.consistency)
            guess = first_guess(desharpen(crops.lr, prior.gain), operator, level)
    keep = np.random.default_rng((*seed, 5)).random((len(crops.lr), 2)) >= _DROP
    drop = torch.from_numpy(keep.astype(np.float32)).to(crops.lr.device) if dropping else None
    return Conditions(state, prior, drop, guess)


def _gate_error(fused: Fused, told: Conditions) -> Tensor:
    """Mean squared distance of the kernel's gate from its share of the blur, where kernels were there to be seen."""
    radius = told.state.radius_px
    error = (fused.gates[:, 2:] - radius / (radius + _HALF_PX)).square().mean((1, 2, 3))
    return (error if told.drop is None else error * told.drop[:, 1]).mean()


def psnr(a: Tensor, b: Tensor) -> float:
    """Mean over the batch of the RGB PSNR in dB."""
    return float((-10 * (a.clamp(0, 1) - b).square().mean((1, 2, 3)).clamp_min(1e-10).log10()).mean())


class RestorerStage:
    """Loss and validation of AMF and restorer."""

    name = "restorer"
    adversary: Adversary | None = None

    def __init__(self, suite: Suite, pool: ScenePool, options: TrainOptions) -> None:
        self.suite = suite
        self.pool = pool
        self.options = options
        suite.svkr.eval().requires_grad_(False)
        self.trained: nn.Module = suite.restoration
        self.networks: tuple[nn.Module, ...] = (suite.svkr.encoder, suite.amf, suite.restorer)

    def mean(self, crops: Crops, seed: tuple[int, ...], dropping: bool) -> tuple[Tensor, Tensor]:
        """The restored batch (B, 3, 4 n, 4 n), and how far AMF's gates are from following the blur."""
        told = run_svkr(self.suite, crops, seed, dropping)
        fused = self.suite.amf(crops.lr, told.state, told.prior, told.drop)
        return self.suite.restorer(crops.lr, fused, told.guess)[0], _gate_error(fused, told)

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`: the logarithm of each crop's mean squared error, as decibels have it.

        Squares, so that what is in doubt is averaged and not chosen; logarithms, so that flat and rich crops count
        alike. Nothing in that says what the gates should be, so they are told.
        """
        seed = (self.options.seed, 2, step)
        crops = self.pool.crops(self.options.batch, self.options.crop, seed)
        mean, gates = self.mean(crops, (*seed, 7), dropping=True)
        error = mean - crops.hr
        loss = (error.square().mean((1, 2, 3)) + _PERFECT).log().mean() + _GATES * gates
        return loss, {"l1": error.detach().abs().mean(), "gates": gates}

    def validate(self) -> dict[str, float]:
        """See `Stage`: PSNR of 64 held-out crops beside bicubic's."""
        from ssr_cli.models.blocks import upscale_bicubic

        ours = bicubic = 0.0
        for i in range(4):
            crops = self.pool.crops(16, self.options.crop, (99, i), validation=True)
            with torch.autocast(crops.lr.device.type, torch.bfloat16):
                ours += psnr(self.mean(crops, (98, i), dropping=False)[0], crops.hr) / 4
            bicubic += psnr(upscale_bicubic(crops.lr, 4), crops.hr) / 4
        return {"psnr": ours, "bicubic": bicubic, "gain": ours - bicubic}
