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

from ssr_cli import __version__, cli_lab, cli_models, cli_photos, cli_views
from ssr_cli.catalogue import TABLE_VARIABLE
from ssr_cli.cli_options import console_of
from ssr_cli.console import Console
from ssr_cli.errors import ExitCode, SsrError
from ssr_cli.memory import keep_pages
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


app.command()(cli_photos.upscale)
app.command()(cli_photos.batch)
app.command("inspect-kernel")(cli_photos.inspect_kernel)
app.command()(cli_photos.demo)
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
    keep_pages()
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
