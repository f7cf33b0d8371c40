"""Train AMF and the restorer together: the posterior mean, under SVKR's frozen answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ssr_cli.models.amf import Fused
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.suite import Suite
from ssr_cli.training.bank import bank_of
from ssr_cli.training.critic import Adversary
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool
from ssr_cli.training.surroundings import Conditions, draw
from ssr_cli.training.validation import CROPS, mean_figures

#: Squared error, encoded units, that is added to what interpolation misses; what the errors are multiplied by.
_PERFECT, _SIZE = (3 / 255) ** 2, 26.0
#: Weight of what AMF is told of its gates, and the blur radius, HR px, of which half the weight is the kernel's.
_GATES, _HALF_PX = 0.5, 4.0


def _gate_error(fused: Fused, told: Conditions) -> Tensor:
    """Mean squared distance of the kernel's gate from its share of the blur, where kernels were there to be seen."""
    radius = told.state.radius_px
    error = (fused.gates[:, 2:] - radius / (radius + _HALF_PX)).square().mean((1, 2, 3))
    return (error if told.drop is None else error * told.drop[:, 1]).mean()


def mean_loss(mean: Tensor, crops: Crops, fused: Fused, told: Conditions) -> tuple[Tensor, dict[str, Tensor]]:
    """How far the mean is from sharp photos, and AMF's gates from what they should be.

    The squared error of every crop over the root of interpolation's. Squares, as it is a mean that is asked for, and
    where blur is not known for certain a median is another thing. The root, as photos are judged by decibels: crops of
    flat ones count by their own measure, and within a photo those count that have most to gain. Nothing in that says
    what the gates should be, so they are told.

    Args:
        mean: (B, 3, H, W).
        crops: photos and what they should be.
        fused: AMF's condition.
        told: what SVKR says.
    """
    gates = _gate_error(fused, told)
    bicubic = upscale_bicubic(crops.lr, mean.shape[-1] // crops.lr.shape[-1]).clamp(0, 1)
    error, missed = ((picture - crops.hr).square().mean((1, 2, 3)) for picture in (mean, bicubic))
    loss = _SIZE * (error / (missed + _PERFECT).sqrt()).mean() + _GATES * gates
    return loss, {"l1": (mean - crops.hr).detach().abs().mean(), "gates": gates}


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
        self.bank = bank_of(suite, pool, options, 2, dropping=True)

    def mean(self, crops: Crops, told: Conditions) -> tuple[Tensor, Fused]:
        """The restored batch (B, 3, 4 n, 4 n), and AMF's condition."""
        fused = self.suite.amf(crops.lr, told.state, told.prior, told.drop)
        return self.suite.restorer(crops.lr, fused, told.guess)[0], fused

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage` and `mean_loss`."""
        crops, told = self.bank.batch(step)
        mean, fused = self.mean(crops, told)
        return mean_loss(mean, crops, fused, told)

    def validate(self) -> dict[str, float]:
        """See `Stage`: PSNR of 64 held-out crops beside bicubic's."""

        def figures(i: int) -> dict[str, float]:
            with torch.autocast(self.pool.device.type, torch.bfloat16):
                crops, told = draw(self.suite, self.pool, CROPS, self.options.crop, (99, i), validation=True)
                ours = psnr(self.mean(crops, told)[0], crops.hr)
            bicubic = psnr(upscale_bicubic(crops.lr, 4), crops.hr)
            return {"psnr": ours, "bicubic": bicubic, "gain": ours - bicubic}

        return mean_figures(figures)
