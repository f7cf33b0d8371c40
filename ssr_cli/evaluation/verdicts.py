"""How often the trial of kernels convicts wrong ones and acquits true ones, on photos degraded by known blur."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ssr_cli.errors import UsageError
from ssr_cli.evaluation.rows import Row, row_writer
from ssr_cli.evaluation.scenes import SETS, Scene
from ssr_cli.evaluation.synthetic import NOISE, load_sharp
from ssr_cli.physics import spectra
from ssr_cli.physics.kernels import KernelDictionary, default_dictionary
from ssr_cli.trial import patch_places, patch_weights, try_claim

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


def verdicts(scene: Scene, directed: bool) -> list[Row]:
    """Verdicts on the true kernels of a scene and on wrong ones; directions only where the scene has some."""
    dictionary = default_dictionary()
    rgb = scene.truth.lr
    places = patch_places(*rgb.shape[-2:])
    true = weights_of_codes(patch_weights(scene.truth.code, places), dictionary)
    claims = {"true": (true, spectra.IDENTITY), "variance x 1.4": (true, spectra.zoomed(math.sqrt(1.4)))}
    if directed:
        claims["turned 90 deg"] = (true, spectra.QUARTER_TURN)
        claims["round"] = (round_weights(patch_weights(scene.truth.covariance, places), dictionary), spectra.IDENTITY)
    rows: list[Row] = []
    for name, (weights, change) in claims.items():
        verdict = try_claim(rgb, weights, places, dictionary, change)
        rows.append(
            {"claim": name, "verdict": verdict.verdict, **{f"over {k}": v for k, v in verdict.advantage.items()}}
        )
    return rows


def score_verdicts(
    photos: Sequence[Path],
    limit: int | None,
    console: Console,
    sets: Sequence[str],
    jsonl: Path | None = None,
) -> list[Row]:
    """Try true and wrong kernels on every photo degraded in every way; print how often each is supported.

    Args:
        photos: sharp photos.
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
    rows: list[Row] = []
    work = [(kind, i) for kind in sets for i in range(len(names))]
    with row_writer(jsonl) as write, console.progress("Trying kernels") as tell:
        for done, (kind, index) in enumerate(work):
            tell(f"{kind} {names[index]}", done, len(work))
            for row in verdicts(SETS[kind](crops, index, 0, NOISE), kind != "defocus"):
                rows.append({"set": kind, "image": names[index], **row})
                write(rows[-1])
    _print(rows, console)
    return rows


def _print(rows: list[Row], console: Console) -> None:
    """Shares that are supported, by set and claim."""
    kinds = list(dict.fromkeys(str(row["set"]) for row in rows))
    table = [(kind, *(_share(rows, claim, kind) for claim in CLAIMS)) for kind in kinds]
    console.table("supported", ("", *CLAIMS), [*table, ("all", *(_share(rows, claim, None) for claim in CLAIMS))])
    if console.mode == "json":
        shares = {claim: _share(rows, claim, None) for claim in CLAIMS}
        console.result({"supported": shares})


def _share(rows: list[Row], claim: str, kind: str | None) -> str:
    judged = [row["verdict"] == "supported" for row in rows if row["claim"] == claim and kind in (None, row["set"])]
    return f"{sum(judged)} of {len(judged)}" if judged else "-"
