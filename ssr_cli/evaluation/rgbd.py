"""Depth against measured depth: photos with depth maps, the estimator's answer and that of every SVKR round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ssr_cli.errors import InputError
from ssr_cli.evaluation.metrics import edge_error, spearman
from ssr_cli.evaluation.pairs import read_rgb
from ssr_cli.evaluation.rows import Columns, Row, collected, print_means
from ssr_cli.frames import Photo

if TYPE_CHECKING:
    from ssr_cli.console import Console
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import Models

_FIGURES: Columns = {"depth_spearman": ("Spearman", 3), "depth_edge_error": ("edge error", 3)}
#: Photos are made this small, long side, before they are asked: that is what an enlarger is given.
_LONG_SIDE = 320
_UNKNOWN = (0, 65535)
RAMP, BEFORE = "lower is nearer", "estimated"


def depth_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Photos `NAME.jpg` (or `.png`) with their `NAME_depth.png`, sorted.

    Raises:
        InputError: when there are none, or the folder cannot be read.
    """
    try:
        maps = sorted(folder.glob("*_depth.png"))
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read.", "Check its name and permissions.") from error
    pairs = []
    for depth in maps:
        stem = depth.name.removesuffix("_depth.png")
        photo = next((p for p in (folder / f"{stem}.jpg", folder / f"{stem}.png") if p.is_file()), None)
        if photo is not None:
            pairs.append((photo, depth))
    if not pairs:
        raise InputError(f"{folder} has no photos with depth.", "Put NAME.jpg and NAME_depth.png (millimetres) there.")
    return pairs


def read_disparity(path: Path) -> Tensor:
    """Inverse depth in 1/m, (h, w) float64, NaN where the sensor saw nothing (0 and 65535).

    Raises:
        InputError: when the file is no 16-bit grey picture.
    """
    try:
        with Image.open(path) as image:
            depth = np.asarray(image, dtype=np.float64)
    except OSError as error:
        raise InputError(f"{path} cannot be read.", "Give a 16-bit grey PNG in millimetres.") from error
    if depth.ndim != 2:
        raise InputError(f"{path} is not grey.", "Give a 16-bit grey PNG in millimetres.")
    known = ~np.isin(depth, _UNKNOWN)
    return torch.from_numpy(np.where(known, 1000.0 / np.where(known, depth, 1.0), np.nan))


def _smaller(rgb: Tensor, disparity: Tensor) -> tuple[Tensor, Tensor]:
    """The photo averaged down and the depth sampled (never averaged over an edge) at the same size."""
    ratio = min(1.0, _LONG_SIDE / max(rgb.shape[-2:]))
    size = (round(rgb.shape[-2] * ratio), round(rgb.shape[-1] * ratio))
    small = F.interpolate(rgb[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]
    return small.clamp(0, 1), F.interpolate(disparity[None, None], size=size, mode="nearest")[0, 0]


def score_depth(
    folders: Sequence[Path],
    models: Models,
    options: UpscaleOptions,
    limit: int | None,
    console: Console,
    jsonl: Path | None = None,
) -> list[Row]:
    """Score depth on photos whose depth was measured, and print a table per folder.

    Args:
        folders: see `depth_pairs`.
        models: ours.
        options: tile and device are used.
        limit: photos of each folder, or None for all.
        console: for progress and tables.
        jsonl: file that gets each row; overwritten.

    Returns:
        Per photo a row for a plain ramp, for the estimator and for every round: Spearman and edge error.

    Raises:
        InputError: when photos or depths are missing, unreadable or of different shapes.
    """
    work = [(folder, *pair) for folder in folders for pair in depth_pairs(folder)[:limit]]

    def score(piece: tuple[Path, Path, Path]) -> Iterator[Row]:
        return _score(*piece, models, options)

    rows = collected(work, lambda piece: piece[1].name, score, "Scoring depth", console, jsonl)
    print_means(rows, console, _FIGURES, "depth")
    return rows


def _score(folder: Path, photo: Path, depth: Path, models: Models, options: UpscaleOptions) -> Iterator[Row]:
    """Rows of a photo."""
    from ssr_cli.pipeline import analyse

    rgb, truth = read_rgb(photo), read_disparity(depth)
    if rgb.shape[-2:] != truth.shape:
        raise InputError(f"{depth} is not as large as {photo.name}.", "Photo and depth must match pixel by pixel.")
    rgb, truth = _smaller(rgb, truth)
    found = analyse(Photo(rgb), models, options)
    h, w = truth.shape
    maps = {RAMP: torch.linspace(0, 1, h)[:, None].expand(h, w), BEFORE: found.depth_before.disparity}
    maps |= {f"after round {t}": turn.depth.disparity for t, turn in enumerate(found.rounds, 1)}
    for method, disparity in maps.items():
        yield {
            "set": folder.resolve().name,
            "image": photo.name,
            "method": method,
            "depth_spearman": spearman(disparity, truth),
            "depth_edge_error": edge_error(disparity.double(), truth),
        }
