"""`ssr compare` and `ssr replay`: the parsing of their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssr_cli.cli_options import Device, Force, Json, Quiet, console_of


def compare(
    first: Annotated[Path, typer.Argument(help="The picture on the left.")],
    second: Annotated[Path, typer.Argument(help="The picture on the right; a smaller one is enlarged by bicubic.")],
    truth: Annotated[Path | None, typer.Option(help="What both should be: gives figures, and a third picture.")] = None,
    lpips_weights: Annotated[Path | None, typer.Option(help="LPIPS weights (safetensors) to score with.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Page to write; A-B.compare.html by default.")] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a page, in one file, that compares two pictures at 100 % with a divider between them."""
    from ssr_cli.commands.compare import CompareJob, run

    run(CompareJob(first, second, truth, lpips_weights, out, force), console_of(json, quiet))


def replay(
    record: Annotated[Path, typer.Argument(help="The .ssr.json beside a result, written by --sidecar.")],
    photo: Annotated[Path | None, typer.Option("--input", help="Where the photo is now, if it was moved.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; by default only a missing result is written.")
    ] = None,
    device: Device = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a result again from the record beside it: the same, bit for bit, or what differs is said."""
    from ssr_cli.commands.replay import ReplayJob, run

    run(ReplayJob(record, photo, out, device, force), console_of(json, quiet))
