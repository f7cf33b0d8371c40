"""One training loop for every stage: schedule, bf16 autocast, moving average, atomic saves, resume, log."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from ssr_cli.training.critic import Adversary
from ssr_cli.training.options import TrainOptions

#: Called with a line of progress.
Report = Callable[[str], None]
_SAVE_EVERY_S = 60.0
_LOG_EVERY = 50
_EMA = 0.998


class Stage(Protocol):
    """What a stage gives the loop.

    Attributes:
        name: of the stage and its state.
        trained: whose parameters are optimised.
        networks: every module the loss calls, compiled when compiling was asked for.
        adversary: whose network is trained against `trained` after each of its steps, or None.
    """

    name: str
    trained: nn.Module
    networks: tuple[nn.Module, ...]
    adversary: Adversary | None

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of one batch, a pure function of the weights and the step, and named figures to log."""
        ...

    def validate(self) -> dict[str, float]:
        """Figures on held-out scenes, with whatever weights `trained` holds now."""
        ...


@dataclass
class Clock:
    """How far a run is, in steps and seconds of training over all its sittings."""

    step: int = 0
    seconds: float = 0.0

    def progress(self, options: TrainOptions) -> float:
        """0 at the start of the schedule, 1 at its end."""
        if options.steps:
            return min(1.0, self.step / options.steps)
        return min(1.0, self.seconds / (options.minutes * 60))


def learning_rate(peak: float, progress: float, step: int) -> float:
    """Linear warm-up over 100 steps, then a cosine to 2 % of the peak."""
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return peak * min(1.0, (step + 1) / 100) * (0.02 + 0.98 * cosine)


def update_average(average: dict[str, Tensor], model: nn.Module, step: int) -> None:
    """Exponential moving average of the weights, faster at the start."""
    decay = min(_EMA, (step + 1) / (step + 10))
    with torch.no_grad():
        for name, value in model.state_dict().items():
            average[name].lerp_(value, 1 - decay)


def state_file(options: TrainOptions, stage: str) -> Path:
    """Where a stage keeps its state."""
    return options.out / f"{stage}.pt"


def load_average(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a saved stage."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    average: dict[str, Tensor] = state["average"]
    return average


def _optimiser(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW as every stage uses it."""
    return torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=1e-4)


class _Run:
    """What changes while a stage trains, and how it is kept."""

    def __init__(self, stage: Stage, options: TrainOptions, device: torch.device) -> None:
        self.stage, self.options, self.device = stage, options, device
        self.clock = Clock()
        self.average = {k: v.clone() for k, v in stage.trained.state_dict().items()}
        #: The parts of the saved state that PyTorch knows how to load; the critic's are there if it is.
        self.parts: dict[str, nn.Module | torch.optim.Optimizer] = {
            "model": stage.trained,
            "optimiser": _optimiser(stage.trained, options.learning_rate),
        }
        if stage.adversary is not None:
            critic = stage.adversary.network
            self.parts |= {"critic": critic, "critic_optimiser": _optimiser(critic, options.learning_rate)}

    def load(self) -> bool:
        """Go on from what was saved, if anything was; a critic that was not is new."""
        path = state_file(self.options, self.stage.name)
        if not path.exists() or self.options.restart:
            return False
        state = torch.load(path, map_location=self.device, weights_only=True)
        for name, part in self.parts.items():
            if name in state:
                part.load_state_dict(state[name])
        self.average = state["average"]
        self.clock = Clock(state["step"], state["seconds"])
        return True

    def save(self) -> None:
        """Write the whole state beside the old one, then put it in its place."""
        path = state_file(self.options, self.stage.name)
        state: dict[str, object] = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"step": self.clock.step, "seconds": self.clock.seconds, "average": self.average}
        temporary = path.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, path)

    def descend(
        self, name: str, loss_of: Callable[[], tuple[Tensor, dict[str, Tensor]]], rate: float
    ) -> tuple[bool, dict[str, float]]:
        """One optimiser step of a part; a rare non-finite batch is skipped.

        Returns:
            Whether a step was made, and the figures of the loss.
        """
        model, optimiser = self.parts[name], self.parts["optimiser" if name == "model" else f"{name}_optimiser"]
        assert isinstance(model, nn.Module)
        assert isinstance(optimiser, torch.optim.Optimizer)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type != "mps"):
            loss, figures = loss_of()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        finite = bool(torch.isfinite(nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        if finite:
            optimiser.step()
        return finite, {k: float(v.detach()) for k, v in {"loss": loss, **figures}.items()}

    def step(self, rate: float) -> dict[str, float]:
        """One step of the stage, and of its critic if it has one."""
        moved, figures = self.descend("model", lambda: self.stage.loss(self.clock.step), rate)
        if moved:
            update_average(self.average, self.stage.trained, self.clock.step)
        if self.stage.adversary is not None:
            _, learnt = self.descend("critic", self.stage.adversary.loss, rate)
            figures["critic"] = learnt["critic"]
        self.clock.step += 1
        return figures

    def validate(self) -> dict[str, float]:
        """Validate the averaged weights, then put the raw ones back.

        Networks that were compiled are not, here: other batches and no gradients would compile them all again.
        """
        trained = self.stage.trained
        raw = {k: v.clone() for k, v in trained.state_dict().items()}
        trained.load_state_dict(self.average)
        trained.eval()
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            figures = self.stage.validate()
        trained.load_state_dict(raw)
        trained.train()
        return figures


def train(stage: Stage, options: TrainOptions, device: torch.device, report: Report) -> dict[str, float]:
    """Train a stage to the end of its schedule, resuming what was saved.

    Args:
        stage: model, loss and validation.
        options: schedule and folders.
        device: where the model lives; bf16 autocast everywhere but on MPS.
        report: receives lines of progress.

    Returns:
        The last validation's figures.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    run = _Run(stage, options, device)
    if run.load():
        report(f"{stage.name}: resumed at step {run.clock.step}, {run.clock.seconds / 60:.1f} min")
    if options.compile:
        for network in stage.networks:
            network.compile(dynamic=False)
    saved = last = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    while (progress := run.clock.progress(options)) < 1.0:
        rate = learning_rate(options.learning_rate, progress, run.clock.step)
        for key, value in run.step(rate).items():
            sums[key] = sums.get(key, 0.0) + value
        counted += 1
        now = time.monotonic()
        run.clock.seconds += now - last
        last = now
        if run.clock.step % _LOG_EVERY == 0:
            _log(options, stage.name, run.clock, {k: v / counted for k, v in sums.items()}, rate, report)
            sums, counted = {}, 0
        if run.clock.step % options.validate_every == 0:
            _log(options, stage.name, run.clock, run.validate(), rate, report, "validation")
            last = time.monotonic()
        if now - saved > _SAVE_EVERY_S:
            run.save()
            saved = now
    run.save()
    final = run.validate()
    _log(options, stage.name, run.clock, final, 0.0, report, "final")
    return final


def _log(
    options: TrainOptions,
    stage: str,
    clock: Clock,
    figures: dict[str, float],
    rate: float,
    report: Report,
    kind: str = "train",
) -> None:
    """One line for a person, one JSON line for the run's log."""
    entry = {
        "stage": stage,
        "kind": kind,
        "step": clock.step,
        "minutes": round(clock.seconds / 60, 2),
        "lr": rate,
        **figures,
    }
    with (options.out / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
    shown = "  ".join(f"{k} {v:.4f}" for k, v in figures.items())
    report(f"{stage} {kind} step {clock.step} ({clock.seconds / 60:.1f} min)  {shown}")
