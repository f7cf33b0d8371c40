"""The one voice: results on stdout, everything else on stderr; for a person, for a machine, or quiet."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from ssr_cli.errors import SsrError

Mode = Literal["human", "json", "quiet"]
#: Called with (what is being done, done, total).
Tell = Callable[[str, int, int], None]
#: Columns that a table in a file may have at most.
_WIDEST = 1000


def finite(value: Any) -> Any:
    """The value with None for infinities (PSNR of equal photos) and NaN, which strict JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _on_one_line(value: dict[str, Any]) -> str:
    """JSON with its text as it is, or escaped where a file's name is no text or breaks lines (U+2028)."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(finite(value), allow_nan=False)
    return text if len(text.splitlines()) == 1 else json.dumps(finite(value), allow_nan=False)


class Console:
    """Where everything said goes.

    Args:
        mode: "human" (colour and progress on a terminal), "json" (one object per line on stdout), "quiet" (results and
            errors only).
    """

    def __init__(self, mode: Mode = "human") -> None:
        self.mode = mode

    def result(self, value: str | dict[str, Any]) -> None:
        """A result, on stdout: text for a person, an object for a machine."""
        if isinstance(value, dict):
            print(_on_one_line(value), flush=True)
        else:
            print(value, flush=True)

    def hint(self, text: str) -> None:
        """Something useful to know, on stderr."""
        if self.mode == "human":
            print(text, file=sys.stderr, flush=True)

    def warning(self, text: str) -> None:
        """Something a person should see, on stderr."""
        if self.mode != "quiet":
            print(f"warning: {text}", file=sys.stderr, flush=True)

    def error(self, error: SsrError) -> None:
        """A failure: its sentence and its next step, on stderr; an object on stdout too in JSON mode."""
        if self.mode == "json":
            self.result({"error": error.message, "hint": error.hint, "exit_code": int(error.exit_code)})
        print(f"error: {error.message} {error.hint}", file=sys.stderr, flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table on stdout, for people only: machines get objects."""
        if self.mode != "human":
            return
        from rich.box import SIMPLE_HEAD
        from rich.console import Console as Rich
        from rich.table import Column, Table

        folding = [Column(column, overflow="fold") for column in columns]  # letters may wrap, not vanish
        table = Table(*folding, title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, pad_edge=False)
        for row in rows:
            table.add_row(*row)
        rich = Rich()
        if not rich.is_terminal:  # a file or a pipe has no width, and nothing wraps there
            needed = rich.measure(table, options=rich.options.update(max_width=_WIDEST)).maximum
            rich.width = max(needed, len(title))
        rich.print(table)

    @contextmanager
    def progress(self, title: str) -> Iterator[Tell]:
        """A progress bar on stderr while the block runs; silent where stderr is no terminal.

        Args:
            title: what is being worked on.

        Yields:
            A function to call with (stage, done, total).
        """
        if self.mode != "human" or not sys.stderr.isatty():
            yield lambda what, done, total: None
            return
        from rich.console import Console as Rich
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[what]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Rich(stderr=True), transient=True) as bar:
            task = bar.add_task(title, what="", total=None)

            def tell(what: str, done: int, total: int) -> None:
                bar.update(task, what=what, completed=done, total=total)

            yield tell
