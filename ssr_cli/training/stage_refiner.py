"""Train SVKR's depth refiner, behind the kernels: outlines and ranks of depth, whatever its scale and shift."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ssr_cli.evaluation.metrics import depth_edges
from ssr_cli.models.opinion import Opinion, second_opinion
from ssr_cli.models.svkr import Refining, Svkr, photo_prior
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.training.bank import Bank, bank_by
from ssr_cli.training.critic import Adversary
from ssr_cli.training.fitted import fitted
from ssr_cli.training.given_depth import given_depth
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import ScenePool
from ssr_cli.training.validation import CROPS, mean_figures

#: Spread of a depth below which its errors count no more.
_FLAT = 0.02
#: How often the depth to be refined is the lite net's: most of what is wrong with that no net can tell.
_ESTIMATED = 0.25
#: Weight of the error in the units that depth came in: without it depth drifts away, as scale and shift are free.
_UNITS = 0.5
#: Errors of a given depth below which all count alike.
_GOOD = 0.05
#: How often another has one fault alone: in a mixture the faults that are easily mended hide the others.
_SINGLE = 0.6
#: Photo, features, depth as given, our own beside it, true depth, processing and grain of a batch.
Batch = tuple[Tensor, Tensor, Tensor, Opinion, Tensor, Tensor, Tensor]


def refined_errors(depth: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Errors of depths (B,), in units of the true depth's spread: everywhere, at outlines, and squared.

    Scale and shift of a depth mean nothing. Counted, they are most of what is wrong with a given one, and what a net
    learns then is to fade it. Outlines are a hundredth of all places and half of what depth is judged by.

    Args:
        depth: (B, 1, h, w).
        truth: (B, 1, h, w).
    """
    dims = (1, 2, 3)
    error = (fitted(depth, truth, 1e-5) - truth).abs()
    error = error / truth.std(dims, correction=0, keepdim=True).clamp_min(_FLAT)
    beside = depth_edges(truth).to(error)
    outline = (error * beside).sum(dims) / beside.sum(dims).clamp_min(1)
    return {"error": error.mean(dims), "outline": outline, "square": error.square().mean(dims)}


class RefinerStage:
    """Loss and validation of the refiner; the rest of SVKR stays as it is."""

    name = "refiner"
    adversary: Adversary | None = None

    def __init__(self, svkr: Svkr, pool: ScenePool, options: TrainOptions) -> None:
        assert svkr.refiner is not None
        svkr.eval().requires_grad_(False)
        self.svkr = svkr
        self.trained: nn.Module = svkr.refiner.requires_grad_(True).train()
        self.networks: tuple[nn.Module, ...] = (svkr.encoder, *svkr.rounds, svkr.refiner)
        self.pool = pool
        self.options = options
        self.dictionary = default_dictionary()
        self.bank: Bank[Batch] = bank_by(self._drawn, options, 4)

    def _drawn(self, count: int, seed: tuple[int, ...], validation: bool = False) -> Batch:
        crops = self.pool.crops(count, self.options.crop, seed, validation)
        given, truth = given_depth(crops, (*seed, 7), _ESTIMATED, _SINGLE)
        opinion = second_opinion(crops.lr, given, crops.estimated)
        with torch.no_grad():
            begun = self.svkr.begin(crops.lr, given, crops.processed, opinion=opinion)
        return crops.lr, begun.features, given, opinion, truth, crops.processed, begun.grain

    def _run(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        y, features, given, opinion, truth, processed, grain = batch
        run = Refining(y, features, given, opinion, grain)
        before = refined_errors(given, truth)
        figures = {f"{name}0": error.mean() for name, error in before.items()}
        total = torch.zeros((), device=y.device)
        for t in range(self.svkr.config.depth_rounds):
            prior = photo_prior(run.states[-1], processed, grain) if t else None
            state = self.svkr.refine(run, prior, self.dictionary)
            errors = refined_errors(state.disparity, truth)
            # As shares of what was wrong: a depth that is nearly right has as much to gain as one that is wholly wrong.
            for name, error in errors.items():
                total = total + (error / (before[name] + _GOOD)).mean()
            total = total + _UNITS * (state.disparity - truth).abs().mean()
            figures |= {f"{name}{t + 1}": error.mean() for name, error in errors.items()}
            # A round answers for its own change.
            run.states[-1] = replace(state, disparity=state.disparity.detach())
        return total, figures

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`."""
        return self._run(self.bank.batch(step))

    def validate(self) -> dict[str, float]:
        """See `Stage`: 64 held-out crops."""
        return mean_figures(lambda i: self._run(self._drawn(CROPS, (99, i), validation=True))[1])
