"""Options of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainOptions:
    """What `ssr train` was asked to do.

    Attributes:
        stage: one of `run.STAGES`.
        photos: folders of sharp training photos, at least 512 px on a side.
        out: run folder: scenes, states of the stages, logs.
        scenes: number of rendered scenes in the pool.
        minutes: length of the schedule in minutes of wall time (ignored when `steps` is given).
        steps: length of the schedule in optimiser steps, or 0.
        batch: crops per step.
        crop: side of a crop in LR pixels, a multiple of 4.
        learning_rate: peak of the schedule.
        seed: everything random follows from it.
        device: "auto", "cpu", "cuda", "mps".
        threads: CPU threads, 0 for the library's choice.
        workers: processes that render scenes.
        compile: compile the networks with torch.compile.
        lpips_weights: LPIPS file, for the flow's perceptual term.
        processed: share of crops that a camera processed (sharpened, denoised, compressed).
        optical: whether the suite is that for photos that nobody processed: of its own size (`SuiteConfig.optical`),
            and with scenes and crops of such photos alone.
        perceptual: weight of that term against the L1 of the end point.
        adversarial: weight of the flow's critic, 0 for none.
        validate_every: optimiser steps between validations.
        init: checkpoint whose weights a stage without a saved state begins from, or None for random ones; for "join"
            the one whose suite is the first.
        restart: ignore a saved state of the stage.
        pack_to: where "pack" writes the checkpoint.
        keep: for "pack", `STAGE=SHARE`: how much of a stage's weights are those of `init`, 0..1; the rest is what was
            learnt since. Two trainings of one network, averaged, can be better than either (arXiv 2203.05482).
        backbone: id of the Stable Diffusion backbone, for "sd-adapter", and for "pack" to pack that stage's adapter.
        suite: checkpoint whose depth, SVKR, AMF and restorer an adapter builds on; and the teacher of "distil", whose
            SVKR asks about crops; and for "join" the one whose suite becomes the optical one.
    """

    stage: str
    photos: tuple[Path, ...] = ()
    out: Path = Path("runs/lite")
    scenes: int = 1200
    minutes: float = 30.0
    steps: int = 0
    batch: int = 16
    crop: int = 32
    learning_rate: float = 5e-4
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    workers: int = 2
    compile: bool = False
    lpips_weights: Path | None = None
    processed: float = 0.5
    optical: bool = False
    perceptual: float = 0.35
    adversarial: float = 0.0
    validate_every: int = 250
    init: str | None = None
    restart: bool = False
    pack_to: Path | None = None
    keep: tuple[str, ...] = ()
    backbone: str | None = None
    suite: str = "lite"
