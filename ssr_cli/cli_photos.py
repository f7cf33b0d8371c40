"""`ssr upscale`, `batch`, `inspect-kernel` and `demo`: the parsing of their options.

`upscale_options` takes from what was given what is its, and leaves the rest.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
    Precision,
    Quiet,
    Scale,
    Seed,
    Sidecar,
    Source,
    Steps,
    Strip,
    Tile,
    console_of,
)
from ssr_cli.settings import MAX_PIXELS, FileOptions, upscale_options


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
    source: Source = None,
    precision: Precision = None,
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
    trial: Annotated[
        bool, typer.Option("--test", help="Test the kernels first; a result is not held to ones the photo contradicts.")
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
    options = upscale_options(**locals())
    from ssr_cli.commands.upscale import UpscaleJob, run

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
        trial,
    )
    run(job, console_of(json, quiet))


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
    source: Source = None,
    precision: Precision = None,
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
    options = upscale_options(**locals())
    from ssr_cli.commands.batch import BatchJob, run

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
    source: Source = None,
    precision: Precision = None,
    model: Model = "lite",
    depth: Depth = "lite",
    depth_invert: DepthInvert = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what blurred a photo: depth, local kernels, blur radius, thin lens."""
    from ssr_cli.commands.inspect_kernel import InspectJob, run

    options = upscale_options(device=device, tile=tile, source=source)
    job = InspectJob(photo, out, options, model, depth, depth_invert, force, picture, html, npz, trial)
    run(job, console_of(json, quiet))


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

    run(DemoJob(out, seed, upscale_options(device=device, steps=steps), model, lpips_weights, force), console_of(json))
