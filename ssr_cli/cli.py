"""The `ssr` command: parses, calls one file per command, turns failures into a sentence and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from ssr_cli import __version__, cli_lab, cli_models, cli_views
from ssr_cli.catalogue import TABLE_VARIABLE
from ssr_cli.cli_options import (
    Calibrate,
    Consistency,
    Depth,
    DepthInvert,
    Device,
    FirstFrame,
    Focus,
    FocusStrength,
    Force,
    Format,
    Json,
    MaxPixels,
    Model,
    PhotoFile,
    PlanOnly,
    Quiet,
    Scale,
    Seed,
    Sidecar,
    Steps,
    Strip,
    Tile,
    console_of,
)
from ssr_cli.console import Console
from ssr_cli.errors import ExitCode, SsrError
from ssr_cli.settings import MAX_PIXELS
from ssr_cli.temporaries import remove_mine

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


def _version(wanted: bool) -> None:
    if wanted:
        print(f"ssr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    weights_file: Annotated[
        Path | None, typer.Option(help="Your own weights.toml, which adds to the package's.")
    ] = None,
) -> None:
    """Options of `ssr` itself."""
    if weights_file is not None:
        # for this process and those it starts
        os.environ[TABLE_VARIABLE] = str(weights_file)


@app.command()
def upscale(
    photo: PhotoFile,
    scale: Scale = 4.0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File or existing folder for the result.")] = None,
    steps: Steps = None,
    seed: Seed = None,
    device: Device = None,
    tile: Tile = None,
    consistency: Consistency = None,
    focus: Focus = None,
    focus_strength: FocusStrength = None,
    model: Model = "lite",
    depth: Depth = "lite",
    depth_invert: DepthInvert = False,
    save_kernel: Annotated[bool, typer.Option("--save-kernel", help="Also write a picture of the kernels.")] = False,
    save_depth: Annotated[bool, typer.Option("--save-depth", help="Also write a picture of the depth.")] = False,
    save_invented: Annotated[
        bool, typer.Option("--save-invented", help="Also write what of the result the photo does not determine.")
    ] = False,
    save_confidence: Annotated[
        bool, typer.Option("--save-confidence", help="Also write how sure each pixel is (bright); takes more samples.")
    ] = False,
    format: Format = "png",
    strip: Strip = False,
    first_frame: FirstFrame = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    sidecar: Sidecar = False,
    plan: PlanOnly = False,
    calibrate: Calibrate = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make one photo larger: photo.jpg becomes photo_x4.png."""
    from ssr_cli.commands.upscale import UpscaleJob, run
    from ssr_cli.settings import FileOptions, upscale_options

    options = upscale_options(
        scale=scale,
        steps=steps,
        seed=seed,
        device=device,
        tile=tile,
        consistency=consistency,
        focus=focus,
        focus_strength=focus_strength,
    )
    files = FileOptions(format, strip, first_frame, max_pixels)
    if plan or calibrate:
        from ssr_cli.commands import plan as planning

        planning.run([photo], options, files, model, depth, calibrate, console_of(json, quiet))
        return
    job = UpscaleJob(
        photo,
        out,
        options,
        model,
        depth,
        depth_invert,
        save_kernel,
        save_depth,
        force,
        files,
        sidecar,
        save_invented,
        save_confidence,
    )
    run(job, console_of(json, quiet))


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
    consistency: Consistency = None,
    focus: Focus = None,
    focus_strength: FocusStrength = None,
    model: Model = "lite",
    depth: Depth = "lite",
    format: Format = "png",
    strip: Strip = False,
    first_frame: FirstFrame = False,
    max_pixels: MaxPixels = MAX_PIXELS,
    on_exists: Annotated[
        str, typer.Option(help="Where a result exists already: skip, rename, overwrite or error.")
    ] = "skip",
    include: Annotated[list[str] | None, typer.Option(help="Only names like this, e.g. '*.jpg'; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="No names like this; repeatable.")] = None,
    shard: Annotated[str | None, typer.Option(help="I/N: only every N-th photo from the I-th, for job arrays.")] = None,
    sidecar: Sidecar = False,
    jobs: Annotated[int, typer.Option(help="Processes that work at a time.")] = 1,
    devices: Annotated[str | None, typer.Option(help="Spread over devices, e.g. cuda:0,cuda:1.")] = None,
    plan: PlanOnly = False,
    calibrate: Calibrate = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make every photo of a folder larger; one bad file never stops the rest, a stopped batch goes on."""
    from ssr_cli.commands.batch import BatchJob, run
    from ssr_cli.settings import FileOptions, upscale_options

    options = upscale_options(
        scale=scale,
        steps=steps,
        seed=seed,
        device=device,
        tile=tile,
        consistency=consistency,
        focus=focus,
        focus_strength=focus_strength,
    )
    files = FileOptions(format, strip, first_frame, max_pixels)
    job = BatchJob(
        folder=folder,
        out=out,
        recursive=recursive,
        options=options,
        model=model,
        depth=depth,
        on_exists="overwrite" if force else on_exists,
        files=files,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        shard=shard,
        sidecar=sidecar,
        jobs=jobs,
        devices=tuple(filter(None, (devices or "").split(","))),
    )
    if plan or calibrate:
        from ssr_cli.commands import plan as planning
        from ssr_cli.commands.batch import planned

        photos = [found for found, _ in planned(job)]
        planning.run(photos, options, files, model, depth, calibrate, console_of(json, quiet))
        return
    run(job, console_of(json, quiet))


@app.command("inspect-kernel")
def inspect_kernel(
    photo: PhotoFile,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Picture to write; photo.inspect.png by default.")
    ] = None,
    picture: Annotated[bool, typer.Option("--picture/--no-picture", help="Write the picture.")] = True,
    html: Annotated[
        bool, typer.Option("--html", help="Also a page to explore, in one file: photo.inspect.html.")
    ] = False,
    npz: Annotated[bool, typer.Option("--npz", help="Also the kernel field for numpy: photo.inspect.npz.")] = False,
    trial: Annotated[
        bool, typer.Option("--test/--no-test", help="Test the kernels on places that were kept from their estimate.")
    ] = True,
    device: Device = None,
    tile: Tile = None,
    model: Model = "lite",
    depth: Depth = "lite",
    depth_invert: DepthInvert = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what blurred a photo: depth, local kernels, blur radius, thin lens."""
    from ssr_cli.commands.inspect_kernel import InspectJob, run
    from ssr_cli.settings import upscale_options

    options = upscale_options(device=device, tile=tile)
    job = InspectJob(photo, out, options, model, depth, depth_invert, force, picture, html, npz, trial)
    run(job, console_of(json, quiet))


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

    run(DemoJob(out, seed, upscale_options(device=device, steps=steps), model, lpips_weights, force), console_of(json))


app.command()(cli_views.compare)
app.command()(cli_views.replay)
app.command()(cli_lab.bench)
app.command()(cli_lab.train)
app.add_typer(cli_models.app, name="models")


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a file's name need not be text: it is said as it is, or at least without failing
            stream.reconfigure(errors="surrogateescape" if stream.encoding == "utf-8" else "backslashreplace")
    arguments = sys.argv[1:] if argv is None else argv
    console = console_of(json="--json" in arguments)
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
    """Say that the work was stopped; whatever a further signal kept from being removed is removed now."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    remove_mine()
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
