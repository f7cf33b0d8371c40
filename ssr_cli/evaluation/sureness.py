"""Whether `--save-confidence` tells the truth: the mean error of real pairs over tenths of falling confidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ssr_cli.evaluation.deciles import error_deciles, rises
from ssr_cli.evaluation.pairs import Pair, first_of_each, read_rgb
from ssr_cli.evaluation.rows import Row, collected
from ssr_cli.frames import Photo
from ssr_cli.settings import Delivery

if TYPE_CHECKING:
    from ssr_cli.console import Console
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import Models


def _sure_and_wrong(pair: Pair, models: Models, options: UpscaleOptions) -> tuple[Tensor, Tensor]:
    """Confidence and absolute error, in 1/255, of every pixel of a pair's result."""
    from ssr_cli.pipeline import Enlarging, gathered

    work = Enlarging(Photo(read_rgb(pair.lr)), models, options, delivery=Delivery(confidence=True))
    result = gathered(work.bands(), work.height, work.width)
    sure = work.findings().views["confidence"][0].flatten().float()
    return sure, 255 * (result - read_rgb(pair.hr)).abs().mean(0).flatten()


def score_confidence(
    folders: Sequence[Path],
    models: Models,
    options: UpscaleOptions,
    limit: int | None,
    console: Console,
    jsonl: Path | None,
) -> list[Row]:
    """Restore real pairs with their confidence and print the mean error of every tenth of the pixels, set by set.

    Args:
        folders: each with photos of the same names in `LR` and `HR`.
        models: all of them.
        options: of the pipeline.
        limit: pairs of each folder, or None for all.
        console: for progress and the table.
        jsonl: file that gets a row per photo.

    Returns:
        A row per photo: `set`, `image`, `errors` (ten means, 1/255, from the surest tenth on) and whether they `rise`;
        and one per set, whose `image` is None and whose tenths are of all its pixels.

    Raises:
        InputError: when pairs are missing or do not fit.
    """
    pairs = first_of_each(folders, limit)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}

    def score(pair: Pair) -> Iterator[Row]:
        found.setdefault(pair.folder, []).append(_sure_and_wrong(pair, models, options))
        yield _row(pair.folder, pair.name, *found[pair.folder][-1])

    rows = collected(pairs, lambda pair: pair.name, score, "Asking how sure", console, jsonl)
    for name, planes in found.items():
        whole = _row(name, None, *(torch.cat(parts) for parts in zip(*planes, strict=True)))
        alone = sum(row["rises"] for row in rows if row["set"] == name)
        rows.append(whole)
        console.table(
            f"{name}: mean error of {len(planes)} photos by tenths of falling confidence; rises in {alone} alone",
            ("", *(str(tenth + 1) for tenth in range(len(whole["errors"])))),
            [("error / 255", *(f"{error:.1f}" for error in whole["errors"]))],
        )
    if console.mode == "json":
        console.result({"rows": rows})
    return rows


def _row(folder: str, image: str | None, sure: Tensor, wrong: Tensor) -> Row:
    """A row of one photo, or of a set."""
    errors = error_deciles(sure, wrong)
    return {"set": folder, "image": image, "errors": errors, "rises": rises(errors)}
