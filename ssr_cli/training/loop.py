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

from ssr_cli.training.options import TrainOptions

#: Called with a line of progress.
Report = Callable[[str], None]
_SAVE_EVERY_S = 60.0
_EMA = 0.998


class Stage(Protocol):
    """What a stage gives the loop.

    Attributes:
        name: of the stage and its state.
        trained: whose parameters are optimised.
        networks: every module the loss calls, compiled when compiling was asked for.
    """

    name: str
    trained: nn.Module
    networks: tuple[nn.Module, ...]

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


def _save(
    path: Path, clock: Clock, model: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> None:
    """Write the whole state beside the old one, then put it in its place."""
    state = {
        "step": clock.step,
        "seconds": clock.seconds,
        "model": model.state_dict(),
        "average": average,
        "optimiser": optimiser.state_dict(),
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _validate(stage: Stage, average: dict[str, Tensor]) -> dict[str, float]:
    """Validate the averaged weights, then put the raw ones back."""
    raw = {k: v.clone() for k, v in stage.trained.state_dict().items()}
    stage.trained.load_state_dict(average)
    stage.trained.eval()
    with torch.no_grad():
        figures = stage.validate()
    stage.trained.load_state_dict(raw)
    stage.trained.train()
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
    model = stage.trained
    path = state_file(options, stage.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, betas=(0.9, 0.98), weight_decay=1e-4)
    average = {k: v.clone() for k, v in model.state_dict().items()}
    clock = Clock()
    if path.exists() and not options.restart:
        state = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        average = state["average"]
        optimiser.load_state_dict(state["optimiser"])
        clock = Clock(state["step"], state["seconds"])
        report(f"{stage.name}: resumed at step {clock.step}, {clock.seconds / 60:.1f} min")
    saved = last = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0
    if options.compile:
        for network in stage.networks:
            network.compile(dynamic=False)
    while clock.progress(options) < 1.0:
        rate = learning_rate(options.learning_rate, clock.progress(options), clock.step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type != "mps"):
            loss, figures = stage.loss(clock.step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        # A rare non-finite batch must not poison the averages.
        if torch.isfinite(norm):
            optimiser.step()
            update_average(average, model, clock.step)
        for key, value in {"loss": loss, **figures}.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach())
        counted += 1
        clock.step += 1
        now = time.monotonic()
        clock.seconds += now - last
        last = now
        if clock.step % 50 == 0:
            _log(options, stage.name, clock, {k: v / counted for k, v in sums.items()}, rate, report)
            sums, counted = {}, 0
        if clock.step % options.validate_every == 0:
            _log(options, stage.name, clock, _validate(stage, average), rate, report, "validation")
            last = time.monotonic()
        if now - saved > _SAVE_EVERY_S:
            _save(path, clock, model, average, optimiser)
            saved = now
    _save(path, clock, model, average, optimiser)
    final = _validate(stage, average)
    _log(options, stage.name, clock, final, 0.0, report, "final")
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
