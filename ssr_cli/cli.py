"""The `ssr` command: parses, calls one file per command, turns failures into a sentence and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from ssr_cli import __version__
from ssr_cli.console import Console, Mode
from ssr_cli.errors import ExitCode, SsrError

#: Typer may carry its own copy of click; this is the base of its usage errors either way.
_ClickException = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    name="ssr",
    help="Make a photo larger and keep it true: ssr estimates what blurred it, restores it, and can prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
)

PhotoFile = Annotated[Path, typer.Argument(help="The photo: JPEG, PNG, WebP, BMP or TIFF.")]
Scale = Annotated[float, typer.Option("--scale", "-s", help="How many times larger, above 1 and at most 8.")]
Steps = Annotated[int | None, typer.Option(help="Flow steps: 0 is the most faithful, 1-8 add texture.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the texture's noise.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Tile = Annotated[int | None, typer.Option(help="Side of a tile in input pixels, 0 for never.")]
Consistency = Annotated[bool, typer.Option("--consistency/--no-consistency", help="Hold the result to the photo.")]
Model = Annotated[str, typer.Option(help="lite, or a .safetensors checkpoint.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite what exists.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per result on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")]


def _console(json: bool, quiet: bool = False) -> Console:
    mode: Mode = "json" if json else "quiet" if quiet else "human"
    return Console(mode)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ssr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of `ssr` itself."""


@app.command()
def upscale(
    photo: PhotoFile,
    scale: Scale = 4.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File or existing folder for the result.")] = None,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = None,
    tile: Tile = None,
    consistency: Consistency = True,
    model: Model = "lite",
    save_kernel: Annotated[bool, typer.Option("--save-kernel", help="Also write a picture of the kernels.")] = False,
    save_depth: Annotated[bool, typer.Option("--save-depth", help="Also write a picture of the depth.")] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make one photo larger: photo.jpg becomes photo_x4.png."""
    from ssr_cli.commands.upscale import UpscaleJob, run
    from ssr_cli.settings import upscale_options

    options = upscale_options(scale=scale, steps=steps, seed=seed, device=device, tile=tile, consistency=consistency)
    run(UpscaleJob(photo, out, options, model, save_kernel, save_depth, force), _console(json, quiet))


@app.command()
def batch(
    folder: Annotated[Path, typer.Argument(help="The folder of photos.")],
    scale: Scale = 4.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for the results; made if missing.")] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also the folders inside.")] = False,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = None,
    tile: Tile = None,
    consistency: Consistency = True,
    model: Model = "lite",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make every photo of a folder larger; one bad file never stops the rest."""
    from ssr_cli.commands.batch import BatchJob, run
    from ssr_cli.settings import upscale_options

    options = upscale_options(scale=scale, steps=steps, seed=seed, device=device, tile=tile, consistency=consistency)
    run(BatchJob(folder, out, recursive, options, model, force), _console(json, quiet))


@app.command("inspect-kernel")
def inspect_kernel(
    photo: PhotoFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture to write; photo.inspect.png by default.")
    ] = None,
    device: Device = None,
    tile: Tile = None,
    model: Model = "lite",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what blurred a photo: depth, local kernels, blur radius, thin lens."""
    from ssr_cli.commands.inspect_kernel import InspectJob, run
    from ssr_cli.settings import upscale_options

    run(InspectJob(photo, out, upscale_options(device=device, tile=tile), model, force), _console(json, quiet))


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the pictures; made if missing.")] = Path(
        "ssr-demo"
    ),
    seed: Annotated[int, typer.Option(help="Which scene.")] = 0,
    steps: Steps = None,
    device: Device = None,
    model: Model = "lite",
    lpips_weights: Annotated[Path | None, typer.Option(help="LPIPS weights (safetensors) to score with.")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Render a scene with known depth and kernels, restore it, and compare with the truth."""
    from ssr_cli.commands.demo import DemoJob, run
    from ssr_cli.settings import upscale_options

    run(DemoJob(out, seed, upscale_options(device=device, steps=steps), model, lpips_weights, force), _console(json))


@app.command()
def bench(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders with LR/ and HR/, or with sharp photos for --synthetic.")
    ],
    steps: Steps = None,
    device: Device = None,
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
    consistency: Consistency = True,
    ablate: Annotated[bool, typer.Option("--ablate", help="Also leave out every part in turn.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON lines, one per image and method.")] = None,
    table: Annotated[Path | None, typer.Option(help="Markdown file for the table of means.")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Score the model on pairs of photos, or on photos degraded by known blur, beside bicubic."""
    from ssr_cli.commands.bench import ALL_SETS, BenchJob, run
    from ssr_cli.settings import upscale_options

    options = upscale_options(steps=steps, device=device, consistency=consistency)
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
    )
    run(job, _console(json))


@app.command()
def train(
    stage: Annotated[str, typer.Option(help="scenes, depth, svkr, restorer, flow, pack, in this order; or niqe.")],
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
    perceptual: Annotated[float, typer.Option(help="Weight of LPIPS in the flow's loss.")] = 0.35,
    adversarial: Annotated[float, typer.Option(help="Weight of a critic in the flow's loss, 0 for none.")] = 0.0,
    validate_every: Annotated[int, typer.Option(help="Steps between validations.")] = 250,
    restart: Annotated[bool, typer.Option("--restart", help="Forget the stage's saved state.")] = False,
    pack_to: Annotated[Path | None, typer.Option(help="File that pack or niqe writes.")] = None,
) -> None:
    """Train the models, one stage after another; stops and goes on where it was."""
    from ssr_cli.training.options import TrainOptions
    from ssr_cli.training.run import train_stage

    given = {
        k: v for k, v in locals().items() if k in TrainOptions.__dataclass_fields__ and k not in ("photos", "device")
    }
    options = TrainOptions(**given, photos=tuple(photos or ()), device=device or "auto")
    train_stage(options, lambda line: print(line, file=sys.stderr, flush=True))


class _Stopped(BaseException):
    """A signal that ends the program, raised so that `finally` blocks run."""

    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


def _on_signal(number: int, frame: FrameType | None) -> NoReturn:
    raise _Stopped(ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED)


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code.

    Args:
        argv: arguments, or None for the process's.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _on_signal)
    arguments = sys.argv[1:] if argv is None else argv
    console = _console(json="--json" in arguments)
    sys.exit(int(_run(arguments, console)))


def _run(arguments: list[str], console: Console) -> int:
    """Run the app; every failure becomes a sentence and a code."""
    try:
        code = app(args=arguments, standalone_mode=False, prog_name="ssr")
        return code if isinstance(code, int) else ExitCode.OK
    except SsrError as error:
        console.error(error)
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        return _stopped(ExitCode.INTERRUPTED)
    except _Stopped as stopped:
        return _stopped(stopped.code)
    except Exception as error:
        if isinstance(error, _ClickException):
            return _usage(error)
        if os.environ.get("SSR_DEBUG"):
            raise
        what = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
        print(
            f"error: ssr failed unexpectedly ({what}). Run it again with SSR_DEBUG=1 and report what it prints.",
            file=sys.stderr,
        )
        return ExitCode.INTERNAL


def _stopped(code: ExitCode) -> ExitCode:
    """Say that the work was stopped."""
    print(f"error: {code.name.lower()}; nothing half-written was left behind.", file=sys.stderr)
    return code


def _usage(error: Exception) -> int:
    """A mistake on the command line: one sentence, or the help when nothing was given."""
    text = str(error.format_message())  # type: ignore[attr-defined]
    if type(error).__name__ == "NoArgsIsHelpError":
        print(text)
    else:
        print(f"error: {text.rstrip('.')}. See ssr --help.", file=sys.stderr)
    return ExitCode.USAGE
