"""Rows of figures: one per photo and method; written as JSON lines, averaged, printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ssr_cli.console import finite
from ssr_cli.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

    from ssr_cli.console import Console

#: One photo under one method: `set`, `image`, `method`, then figures (None where not measured).
Row = dict[str, Any]

T = TypeVar("T")
#: Figures of a printed table with their heading and digits.
Columns = dict[str, tuple[str, int]]
_COLUMNS: Columns = {
    "psnr_y": ("PSNR-Y dB", 2),
    "ssim_y": ("SSIM-Y", 4),
    "lpips": ("LPIPS", 4),
    "niqe": ("NIQE", 2),
    "pattern_db": ("pattern dB", 1),
    "consistency_db": ("LR-PSNR dB", 1),
    "seconds": ("seconds", 3),
    "peak_mb": ("peak MB", 0),
}


@contextmanager
def row_writer(path: Path | None) -> Iterator[Callable[[Row], None]]:
    """Give a function that appends a row to a JSON-lines file, flushed at once; it does nothing when `path` is None.

    Raises:
        OutputError: when the file cannot be created; one of that name is overwritten.
    """
    if path is None:
        yield lambda row: None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as exc:
        raise OutputError(f"{path} cannot be written.", "Choose another file for the rows.") from exc
    with file:

        def write(row: Row) -> None:
            file.write(json.dumps(finite(row), allow_nan=False) + "\n")
            file.flush()

        yield write


def collected(
    work: Sequence[T],
    name: Callable[[T], str],
    score: Callable[[T], Iterable[Row]],
    title: str,
    console: Console,
    jsonl: Path | None,
) -> list[Row]:
    """Score one piece of work after the other; each row is written the moment it is known.

    Args:
        work: what is to be scored.
        name: what a piece is called while it is.
        score: its rows.
        title: of the progress.
        console: shows it.
        jsonl: file that gets each row, or None.

    Raises:
        OutputError: when `jsonl` cannot be written.
    """
    rows: list[Row] = []
    with row_writer(jsonl) as write, console.progress(title) as tell:
        for done, piece in enumerate(work):
            tell(name(piece), done, len(work))
            for row in score(piece):
                rows.append(row)
                write(row)
    return rows


def means(rows: Sequence[Row], figures: Sequence[str] = tuple(_COLUMNS)) -> list[Row]:
    """Mean of every figure per set and method, in order of appearance.

    Returns:
        Rows with `set`, `method`, `count` and the figures; a figure is None where no row has it.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["method"]), []).append(row)
    table = []
    for (name, method), group in groups.items():
        mean: Row = {"set": name, "method": method, "count": len(group)}
        for figure in figures:
            known = [row[figure] for row in group if row.get(figure) is not None]
            mean[figure] = sum(known) / len(known) if known else None
        table.append(mean)
    return table


def cell(value: float | None, digits: int) -> str:
    """A figure for a table; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def markdown(rows: Sequence[Row]) -> str:
    """The table of means as Markdown, one line per set and method."""
    lines = ["| set | method | " + " | ".join(title for title, _ in _COLUMNS.values()) + " |"]
    lines.append("|---" * (len(_COLUMNS) + 2) + "|")
    for row in means(rows):
        figures = " | ".join(cell(row[f], digits) for f, (_, digits) in _COLUMNS.items())
        lines.append(f"| {row['set']} | {row['method']} | {figures} |")
    return "\n".join(lines) + "\n"


def print_means(rows: Sequence[Row], console: Console, columns: Columns = _COLUMNS, what: str = "method") -> None:
    """Print a table per set: method and the mean of every figure.

    Args:
        rows: of all sets.
        console: for people.
        columns: figures with their heading and digits.
        what: heading of the methods.
    """
    table = means(rows, tuple(columns))
    for name in dict.fromkeys(row["set"] for row in table):
        group = [row for row in table if row["set"] == name]
        cells = [[row["method"], *(cell(row[f], digits) for f, (_, digits) in columns.items())] for row in group]
        heading = [what, *(title for title, _ in columns.values())]
        console.table(f"{name}: mean of {group[0]['count']}", heading, cells)
