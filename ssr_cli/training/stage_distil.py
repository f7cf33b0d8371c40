"""Train smaller AMF, restorer and flow to answer as larger ones do.

Nothing is asked of sharp photos here: what the larger networks make of a photo, they learnt from far more steps than a
smaller one gets, and a student of theirs cannot leave what they know of real photos for what scenes alone would teach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ssr_cli.models.amf import Fused
from ssr_cli.suite import Suite
from ssr_cli.training.bank import CROPS_OF_EACH, Bank, bank_by
from ssr_cli.training.critic import Adversary
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import Crops, ScenePool
from ssr_cli.training.surroundings import Conditions, draw
from ssr_cli.training.validation import CROPS, mean_figures

#: Mean squared difference, encoded units, below which two pictures are one.
_SAME = (0.2 / 255) ** 2
#: Weight of the gates' squared difference.
_GATES = 10.0
#: Share of batches at the start of the path altogether; times of the others' crops end here.
_AT_START, _LATEST = 0.6, 0.95


@dataclass(frozen=True)
class Answer:
    """What AMF and restorer make of crops.

    Attributes:
        mean: (B, 3, H, W), of which nothing was taken back.
        features: (B, C, h, w) of the restorer.
        fused: AMF's condition.
    """

    mean: Tensor
    features: Tensor
    fused: Fused


@dataclass(frozen=True)
class Lesson:
    """What the teacher made of crops, and where its path leads from some noise.

    Attributes:
        answer: see there.
        noise: (B, 3, H, W), standard normal.
        end: (B, 3, H, W) the flow's answer at the start of the path.
    """

    answer: Answer
    noise: Tensor
    end: Tensor


#: What is learnt from: crops, what SVKR says of them, and what the teacher does.
Batch = tuple[Crops, Conditions, Lesson]


class DistilStage:
    """Loss and validation of AMF, restorer and flow beside their teachers."""

    name = "distil"
    adversary: Adversary | None = None

    def __init__(self, suite: Suite, teacher: Suite, pool: ScenePool, options: TrainOptions) -> None:
        self.suite, self.teacher = suite, teacher
        self.pool = pool
        self.options = options
        suite.requires_grad_(False).eval()
        teacher.requires_grad_(False).eval()
        self.trained: nn.Module = suite.generation
        self.trained.requires_grad_(True).train()
        taught = [net for s in (suite, teacher) for net in (s.amf, s.restorer, s.flow)]
        self.networks: tuple[nn.Module, ...] = (teacher.svkr.encoder, *taught)
        self.bank: Bank[Batch] = bank_by(self._drawn, options, 5)

    def _drawn(self, count: int, seed: tuple[int, ...], validation: bool = False) -> Batch:
        each = 2 if validation else CROPS_OF_EACH
        crops, told = draw(self.teacher, self.pool, count, self.options.crop, seed, not validation, validation, each)
        rng = np.random.default_rng((*seed, 9))
        noise = torch.from_numpy(rng.standard_normal(crops.hr.shape, dtype=np.float32)).to(crops.hr.device)
        with torch.no_grad():
            answer = _answer(self.teacher, crops, told)
            end = _end(self.teacher, crops, told, answer, noise)
        return crops, told, Lesson(answer, noise, end)

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Stage`."""
        batch = self.bank.batch(step)
        rng = np.random.default_rng((self.options.seed, 5, step, 9))
        if rng.random() < _AT_START:
            return self._compared(batch)
        lr = batch[0].lr
        return self._compared(
            batch, torch.from_numpy(rng.uniform(0, _LATEST, len(lr)).astype(np.float32)).to(lr.device)
        )

    def _compared(self, batch: Batch, t: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """How far the student is from its teacher, in the mean, the gates and the flow's end points.

        Args:
            batch: see there.
            t: (B,) times that the flow is asked at; None asks at the start.
        """
        crops, told, lesson = batch
        wanted, found = lesson.answer, _answer(self.suite, crops, told)
        end, on_path = lesson.end, (lesson.noise, lesson.end, t)
        if t is not None:
            with torch.no_grad():
                end = _end(self.teacher, crops, told, wanted, *on_path)
        # The path begins at one's own mean, which the teacher's mean alone trains.
        reached = _end(self.suite, crops, told, replace(found, mean=found.mean.detach()), *on_path)
        mean, flow = _apart(found.mean, wanted.mean), _apart(reached, end)
        gates = (found.fused.gates - wanted.fused.gates).square().mean()
        figures = {"mean_255": _rms(mean), "flow_255": _rms(flow), "gates": gates}
        return (mean + _SAME).log().mean() + (flow + _SAME).log().mean() + _GATES * gates, figures

    def validate(self) -> dict[str, float]:
        """See `Stage`: 64 held-out crops, at the start of the path."""

        def figures(i: int) -> dict[str, Tensor]:
            with torch.no_grad(), torch.autocast(self.pool.device.type, torch.bfloat16):
                batch = self._drawn(CROPS, (99, i), validation=True)
                return self._compared(batch)[1]

        return mean_figures(figures)


def _answer(suite: Suite, crops: Crops, told: Conditions) -> Answer:
    """What AMF and restorer make of crops."""
    fused = suite.amf(crops.lr, told.state, told.prior, told.drop)
    mean, features = suite.restorer(crops.lr, fused, told.guess)
    return Answer(mean, features, fused)


def _end(
    suite: Suite,
    crops: Crops,
    told: Conditions,
    answer: Answer,
    noise: Tensor,
    towards: Tensor | None = None,
    t: Tensor | None = None,
) -> Tensor:
    """The flow's end point (B, 3, H, W), from the start of its path, or from where it is on its way to a picture."""
    mean = suite.restorer.hedged(crops.lr, answer.mean, told.prior.processed)
    point = mean + suite.flow.config.noise * noise
    if towards is None or t is None:
        t = point.new_zeros(len(point))
    else:
        point = torch.lerp(point, towards, t.view(-1, 1, 1, 1))
    end: Tensor = suite.flow(point, t, mean, answer.features, answer.fused)
    return end


def _apart(a: Tensor, b: Tensor) -> Tensor:
    """Mean squared differences (B,) of pictures."""
    return (a - b).square().mean((1, 2, 3))


def _rms(squares: Tensor) -> Tensor:
    """Root mean square of all pictures together, in 1/255."""
    return 255 * squares.detach().mean().sqrt()
