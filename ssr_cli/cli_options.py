"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssr_cli.console import Console, Mode

PhotoFile = Annotated[
    Path, typer.Argument(help="The photo: JPEG, PNG, WebP, TIFF, AVIF, BMP, GIF; HEIC, JPEG XL and RAW with extras.")
]
Scale = Annotated[float, typer.Option("--scale", "-s", help="How many times larger, above 1 and at most 8.")]
Steps = Annotated[int | None, typer.Option(help="Flow steps: 0 is the most faithful, 1-8 add texture.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the texture's noise.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Tile = Annotated[int | None, typer.Option(help="Longest side of a tile in input pixels; 0, the default: what fits.")]
Consistency = Annotated[
    str | None, typer.Option(help="Against the photo under its kernels: project (hold to it), report, or off.")
]
Focus = Annotated[
    str | None, typer.Option(help="Blur that was meant (bokeh): all (sharpen it too), keep it, or reduce it by half.")
]
FocusStrength = Annotated[
    float | None, typer.Option(help="Share of such blur that stays, 0 to 1, with --focus keep or reduce.")
]
Source = Annotated[
    str | None, typer.Option(help="Pixels of a camera as it saved them, or reduced (also raw, scanned); auto looks.")
]
Precision = Annotated[
    str | None, typer.Option(help="Of the networks: float32, or bfloat16, a quarter faster where the processor has it.")
]
Model = Annotated[str, typer.Option(help="An id of ssr models list, a .safetensors file, a folder, or user/repo.")]
Depth = Annotated[
    str,
    typer.Option(help="Depth to begin with: lite, depth-anything-v2-small, none, or FILE.png (nearer is brighter)."),
]
DepthInvert = Annotated[bool, typer.Option("--depth-invert", help="In the depth file, brighter is farther.")]
Format = Annotated[str, typer.Option(help="Of results: png, jpg, webp, tif or avif; -o with an ending decides too.")]
Strip = Annotated[bool, typer.Option("--strip", help="Drop EXIF, XMP, IPTC, colour profile and resolution.")]
FirstFrame = Annotated[bool, typer.Option("--first-frame", help="Take the first frame of what is animated.")]
MaxPixels = Annotated[int, typer.Option(help="Refuse photos with more pixels than this.")]
Sidecar = Annotated[
    bool, typer.Option("--sidecar", help="Also write photo_x4.ssr.json: all that ssr replay needs, and what was found.")
]
PlanOnly = Annotated[bool, typer.Option("--plan", help="Only say what it would need: tiles, memory, size, downloads.")]
Calibrate = Annotated[bool, typer.Option("--calibrate", help="With --plan: also the time, from a tile done for it.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite what exists.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per result on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Results and errors only.")]


def console_of(json: bool, quiet: bool = False) -> Console:
    """The console that was asked for."""
    mode: Mode = "json" if json else "quiet" if quiet else "human"
    return Console(mode)
