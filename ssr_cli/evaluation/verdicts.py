"""How often the trial of kernels convicts wrong ones and acquits true ones, on photos degraded by known blur."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ssr_cli.errors import UsageError
from ssr_cli.evaluation.rows import Row, collected
from ssr_cli.evaluation.scenes import SETS, Scene
from ssr_cli.evaluation.synthetic import NOISE, load_sharp
from ssr_cli.frames import Photo
from ssr_cli.physics import spectra
from ssr_cli.physics.kernels import KernelDictionary
from ssr_cli.pipeline import analyse
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import Models
from ssr_cli.trial import field_at, patch_places, patch_weights, preference, try_claim

if TYPE_CHECKING:
    from ssr_cli.console import Console

#: Claims and whether they are true.
CLAIMS = {"true": True, "variance x 1.4": False, "turned 90 deg": False, "round": False}
_STEPS, _RATE = 200, 2.0


def weights_of_codes(codes: Tensor, dictionary: KernelDictionary) -> Tensor:
    """Convex weights (P, L) whose mixture of atoms has nearly the codes (P, C), by exponentiated gradient."""
    gram, target = dictionary.codes @ dictionary.codes.T, codes @ dictionary.codes.T
    weights = torch.full_like(target, 1 / target.shape[1])
    for _ in range(_STEPS):
        slope = weights @ gram - target
        weights = weights * torch.exp(-_RATE * (slope - slope.min(1, keepdim=True).values))
        weights = weights / weights.sum(1, keepdim=True)
    return weights


def round_weights(covariance: Tensor, dictionary: KernelDictionary) -> Tensor:
    """Weights (P, L) over round Gaussians with the mean variance of second moments (P, 3)."""
    atoms = [i for i, n in enumerate(dictionary.names) if n.startswith("Gaussian") and " x " not in n]
    known = dictionary.covariance[1, atoms]
    variance = (0.5 * (covariance[:, 0] + covariance[:, 1])).clamp(float(known[0]), float(known[-1]))
    above = torch.searchsorted(known, variance.contiguous()).clamp(1, len(atoms) - 1)
    share = (variance - known[above - 1]) / (known[above] - known[above - 1])
    weights = torch.zeros(len(variance), len(dictionary.names))
    rows, index = torch.arange(len(variance)), torch.tensor(atoms)
    weights[rows, index[above]] = share
    weights[rows, index[above - 1]] = 1 - share
    return weights


def verdicts(scene: Scene, directed: bool, models: Models) -> list[Row]:
    """Verdicts on the true kernels of a scene and on wrong ones; directions only where the scene has some."""
    dictionary = models.dictionary
    rgb = scene.truth.lr
    places = patch_places(*rgb.shape[-2:])
    photo = Photo(rgb)
    seen = field_at(analyse(photo, models, UpscaleOptions()).field, photo, places)
    true = weights_of_codes(patch_weights(scene.truth.code, places), dictionary)
    claims = {"true": (true, spectra.IDENTITY), "variance x 1.4": (true, spectra.zoomed(math.sqrt(1.4)))}
    if directed:
        claims["turned 90 deg"] = (true, spectra.QUARTER_TURN)
        claims["round"] = (round_weights(patch_weights(scene.truth.covariance, places), dictionary), spectra.IDENTITY)
    rows: list[Row] = []
    for name, claim in claims.items():
        verdict = try_claim(rgb, claim[0], places, dictionary, claim[1], seen)
        row: Row = {"claim": name, "verdict": verdict.verdict}
        row |= {f"over {rival}": value for rival, value in verdict.advantage.items()}
        if not CLAIMS[name]:
            row["truth over it"] = preference(rgb, places, dictionary, claims["true"], claim)
        rows.append(row)
    return rows


def score_verdicts(
    photos: Sequence[Path],
    models: Models,
    limit: int | None,
    console: Console,
    sets: Sequence[str],
    jsonl: Path | None = None,
) -> list[Row]:
    """Try true and wrong kernels on every photo degraded in every way; print how often each is supported.

    Args:
        photos: sharp photos.
        models: whose SVKR says what it sees.
        limit: how many of them, or None for all.
        console: for progress and the table.
        sets: of `scenes.SETS` with kernels that vary.
        jsonl: file that gets each verdict.

    Raises:
        InputError: when there are no photos, or one is unreadable or too small.
        UsageError: for an unknown set.
    """
    if unknown := [name for name in sets if name not in SETS]:
        raise UsageError(f"There is no set {unknown[0]!r}.", f"Choose from {', '.join(SETS)}.")
    names, crops = load_sharp(photos, limit)
    work = [(kind, i) for kind in sets for i in range(len(names))]

    def score(piece: tuple[str, int]) -> Iterator[Row]:
        kind, index = piece
        for row in verdicts(SETS[kind](crops, index, 0, NOISE), kind != "defocus", models):
            yield {"set": kind, "image": names[index], **row}

    rows = collected(work, lambda piece: f"{piece[0]} {names[piece[1]]}", score, "Trying kernels", console, jsonl)
    _print(rows, console)
    return rows


def _print(rows: list[Row], console: Console) -> None:
    """Shares that are supported, by set and claim, and of wrong claims that lose to the truth when it is named."""
    kinds = [*dict.fromkeys(str(row["set"]) for row in rows), "all"]
    verdicts = [(kind, *(_share(_of(rows, claim, kind), _supported) for claim in CLAIMS)) for kind in kinds]
    console.table("supported", ("", *CLAIMS), verdicts)
    wrong = [claim for claim, true in CLAIMS.items() if not true]
    named = [(kind, *(_share(_of(rows, claim, kind), _loses) for claim in wrong)) for kind in kinds]
    console.table("wrong claims that lose to the true kernels", ("", *wrong), named)
    if console.mode == "json":
        supported = {claim: _share(_of(rows, claim, "all"), _supported) for claim in CLAIMS}
        losing = {claim: _share(_of(rows, claim, "all"), _loses) for claim in wrong}
        console.result({"supported": supported, "lose_to_truth": losing})


def _supported(row: Row) -> bool:
    return bool(row["verdict"] == "supported")


def _loses(row: Row) -> bool:
    return bool(row["truth over it"] > 0)


def _of(rows: list[Row], claim: str, kind: str) -> list[Row]:
    """Rows of a claim in one set, or in all."""
    return [row for row in rows if row["claim"] == claim and kind in ("all", row["set"])]


def _share(rows: list[Row], holds: Callable[[Row], bool]) -> str:
    return f"{sum(map(holds, rows))} of {len(rows)}" if rows else "-"
