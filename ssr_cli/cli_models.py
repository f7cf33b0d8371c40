"""`ssr models ...`: the parsing of its subcommands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssr_cli.cli_options import Json, console_of

app = typer.Typer(
    help="Checkpoints: list, download, check and publish them. Your own table is weights.toml in ssr's config folder.",
    no_args_is_help=True,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="An id of the table, or user/repo[@revision].")]


@app.command("list")
def list_(json: Json = False) -> None:
    """All checkpoints of the table, and which of them are on this machine."""
    from ssr_cli.commands import models

    models.show_list(console_of(json))


@app.command()
def show(model: Id, json: Json = False) -> None:
    """Everything the table says of a checkpoint."""
    from ssr_cli.commands import models

    models.show(model, console_of(json))


@app.command()
def pull(model: Id, json: Json = False) -> None:
    """Download a checkpoint, from its mirrors if need be, and check it."""
    from ssr_cli.commands import models

    models.pull(model, console_of(json))


@app.command()
def verify(
    model: Annotated[str | None, typer.Argument(metavar="[ID]", help="One checkpoint; all without it.")] = None,
    json: Json = False,
) -> None:
    """Check the files on this machine against the table."""
    from ssr_cli.commands import models

    models.verify(model, console_of(json))


@app.command()
def lock(model: Id, json: Json = False) -> None:
    """Pin a checkpoint in your own table to what the Hub has now: revision, sizes, SHA-256."""
    from ssr_cli.commands import models

    models.lock(model, console_of(json))


@app.command()
def path(model: Id, json: Json = False) -> None:
    """Print where the files of a checkpoint are; downloads nothing."""
    from ssr_cli.commands import models

    models.path(model, console_of(json))


@app.command()
def publish(
    folder: Annotated[Path, typer.Argument(help="A trained checkpoint, or the folder it lies in.")],
    repo: Annotated[str, typer.Option(help="USER/NAME on the Hub; made if it does not exist.")],
    score: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for the model card; may be repeated.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    json: Json = False,
) -> None:
    """Upload a checkpoint with a model card, and print its entry for weights.toml."""
    from ssr_cli.commands import models

    models.publish(folder, repo, score or [], private, console_of(json))
