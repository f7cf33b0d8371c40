"""Train AMF, restorer and flow as one: what the restorer sees of a photo serves the mean and the flow alike.

Trained apart, the restorer's features are those that the mean needs, and the flow has to do with them; what is too
weak to be worth a decibel, but is seen, it has to find again by itself. Together both have the same weights and twice
the depth.
"""

from __future__ import annotations

from torch import Tensor, nn

from ssr_cli.suite import Suite
from ssr_cli.training.bank import bank_of
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import ScenePool
from ssr_cli.training.stage_flow import FlowStage
from ssr_cli.training.stage_restorer import mean_loss

#: Weight of the mean's loss: half of what makes both losses pull equally hard at what they share, as the mean has
#: little left to gain.
_MEAN = 0.5


class JointStage(FlowStage):
    """Loss and validation of AMF, restorer and flow together."""

    name = "joint"

    def __init__(self, suite: Suite, pool: ScenePool, options: TrainOptions) -> None:
        super().__init__(suite, pool, options)
        self.trained: nn.Module = suite.generation
        self.trained.requires_grad_(True).train()
        self.bank = bank_of(suite, pool, options, 3, dropping=True)

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`: the restorer's loss and the flow's.

        The flow's does not reach the mean, which stays what it is, only the features and AMF's condition.
        """
        crops, conditions = self.bank.batch(step)
        fused = self.suite.amf(crops.lr, conditions.state, conditions.prior, conditions.drop)
        mean, features = self.suite.restorer(crops.lr, fused, conditions.guess)
        loss, figures = mean_loss(mean, crops, fused, conditions)
        start = self.suite.restorer.hedged(crops.lr, mean.detach(), conditions.prior.processed)
        perceived, seen = self.distance(crops.hr, (start, features, fused), step)
        return _MEAN * loss + perceived, {f"mean_{k}": v for k, v in figures.items()} | seen
