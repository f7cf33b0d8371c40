"""`ssr bench` and `ssr train`: the parsing of their options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ssr_cli.cli_options import Consistency, Device, Force, Json, Model, Precision, Steps, console_of


def bench(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders with LR/ and HR/, or with sharp photos for --synthetic.")
    ],
    steps: Steps = None,
    device: Device = None,
    precision: Precision = None,
    model: Model = "lite",
    lpips_weights: Annotated[Path | None, typer.Option(help="LPIPS weights (safetensors) to score with.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N pairs of each folder.")] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Degrade the folders' sharp photos by known blur.")
    ] = False,
    sets: Annotated[str, typer.Option(help="Which: defocus, blocks-1 to blocks-5, shake, single, or all.")] = "all",
    shake_kernels: Annotated[
        list[Path] | None, typer.Option(help="Measured kernels for shake: PNG, NPY, MAT, or a folder.")
    ] = None,
    rgbd: Annotated[bool, typer.Option("--rgbd", help="Score depth: NAME.jpg with NAME_depth.png (mm).")] = False,
    outputs: Annotated[list[str] | None, typer.Option(help="NAME=DIR: score a peer's results too.")] = None,
    consistency: Consistency = None,
    depth: Annotated[
        str,
        typer.Option(
            help="Depth ours begins with: lite, none, an estimator; for --synthetic true, soft, displaced, bent, wrong."
        ),
    ] = "lite",
    ablate: Annotated[bool, typer.Option("--ablate", help="Also leave out every part in turn.")] = False,
    trial: Annotated[
        bool, typer.Option("--trial", help="Only: how often true and wrong kernels of synthetic sets are supported.")
    ] = False,
    kept: Annotated[
        bool, typer.Option("--kept", help="Only: how well --focus keep keeps blur on photos rendered out of focus.")
    ] = False,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Only: the error of pairs by tenths of --save-confidence.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON lines, one per image and method.")] = None,
    table: Annotated[Path | None, typer.Option(help="Markdown file for the table of means.")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Score the model on pairs of photos, or on photos degraded by known blur, beside bicubic."""
    from ssr_cli.commands.bench import ALL_SETS, BenchJob, run
    from ssr_cli.settings import upscale_options

    options = upscale_options(steps=steps, device=device, precision=precision, consistency=consistency)
    chosen = () if not synthetic else ALL_SETS if sets == "all" else tuple(sets.split(","))
    foreign = tuple(outputs or ())
    job = BenchJob(
        folders=tuple(folders),
        options=options,
        model=model,
        lpips_weights=lpips_weights,
        limit=limit,
        sets=chosen,
        shake_kernels=tuple(shake_kernels or ()),
        rgbd=rgbd,
        outputs=foreign,
        out=out,
        table=table,
        ablate=ablate,
        force=force,
        trial=trial,
        kept=kept,
        confidence=confidence,
        depth=depth,
    )
    run(job, console_of(json))


def train(
    stage: Annotated[
        str,
        typer.Option(
            help="scenes, depth, svkr, refiner, restorer, flow, joint, distil, pack, in this order;"
            " join; sd-adapter; niqe."
        ),
    ],
    photos: Annotated[list[Path] | None, typer.Option(help="Folder of sharp training photos; may be repeated.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder.")] = Path("runs/lite"),
    minutes: Annotated[float, typer.Option(help="Length of the schedule.")] = 30.0,
    steps: Annotated[int, typer.Option(help="Length in optimiser steps instead.")] = 0,
    scenes: Annotated[int, typer.Option(help="Rendered scenes in the pool.")] = 1200,
    batch: Annotated[int, typer.Option(help="Crops per step.")] = 16,
    crop: Annotated[int, typer.Option(help="Side of a crop in LR pixels.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 5e-4,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    device: Device = None,
    threads: Annotated[int, typer.Option(help="CPU threads, 0 for all.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that render scenes.")] = 2,
    compile: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    lpips_weights: Annotated[Path | None, typer.Option(help="LPIPS weights for the flow's perceptual term.")] = None,
    processed: Annotated[float, typer.Option(help="Share of crops that a camera sharpened and compressed.")] = 0.5,
    optical: Annotated[bool, typer.Option("--optical", help="The suite for photos that nobody processed.")] = False,
    perceptual: Annotated[float, typer.Option(help="Weight of LPIPS in the flow's loss.")] = 0.35,
    adversarial: Annotated[float, typer.Option(help="Weight of a critic in the flow's loss, 0 for none.")] = 0.0,
    validate_every: Annotated[int, typer.Option(help="Steps between validations.")] = 250,
    init: Annotated[str | None, typer.Option(help="Checkpoint to begin from; random without.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget the stage's saved state.")] = False,
    pack_to: Annotated[Path | None, typer.Option(help="File that pack or niqe writes.")] = None,
    keep: Annotated[
        list[str] | None, typer.Option(help="STAGE=SHARE: how much of a stage's weights pack takes from --init.")
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Stable Diffusion backbone of sd-adapter, e.g. sd-turbo.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Checkpoint an adapter needs, distil learns from, join adds.")] = "lite",
) -> None:
    """Train the models, one stage after another; stops and goes on where it was."""
    from ssr_cli.training.options import TrainOptions
    from ssr_cli.training.run import train_stage

    given = {k: v for k, v in locals().items() if k in TrainOptions.__dataclass_fields__}
    given |= {"photos": tuple(photos or ()), "keep": tuple(keep or ()), "device": device or "auto"}
    options = TrainOptions(**given)
    train_stage(options, lambda line: print(line, file=sys.stderr, flush=True))
