"""The last stage: averaged weights of all stages into one checkpoint, with its provenance and an attribution list."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import asdict
from pathlib import Path

import torch

from ssr_cli import __version__
from ssr_cli.assembly import ADAPTER
from ssr_cli.errors import UsageError, WeightsError
from ssr_cli.models.adapter import config_of
from ssr_cli.suite import OPTICAL, Suite
from ssr_cli.training.loop import Report, load_average, state_file
from ssr_cli.training.options import TrainOptions
from ssr_cli.weights import load_checkpoint, save_checkpoint

LICENCE = "CC-BY-SA-4.0"
_PARTS = ("depth", "svkr", "refiner", "restorer", "flow")
#: Stages that may have been trained together, and then have one state.
_TOGETHER = ("joint", "distil")
#: What is kept in eight bits: measured, that is no loss to a result (1/1000 dB); kernels want their sixteen.
EIGHT_BITS = ("restorer.", "flow.")


def provenance(options: TrainOptions, parts: tuple[str, ...] = _PARTS) -> dict[str, object]:
    """What made the checkpoint: version, steps and minutes of every stage, photos, licence."""
    begun = load_checkpoint(options.init).provenance if options.init else {}
    if options.optical:
        begun = begun.get(OPTICAL, begun)
    kept = shares(options)
    stages = {}
    together = tuple(name for name in _TOGETHER if state_file(options, name).exists())
    for name in (*parts, *together):
        if begun and not state_file(options, name).exists():
            if name in begun["stages"]:
                stages[name] = begun["stages"][name]  # as it was in the checkpoint that was begun from
            continue
        state = torch.load(state_file(options, name), map_location="cpu", weights_only=True)
        stages[name] = {"steps": state["step"], "minutes": round(state["seconds"] / 60, 1)}
        if name in _TOGETHER and kept:
            stages[name]["share_of_begun_from"] = kept
        elif name in kept:
            stages[name]["share_of_begun_from"] = kept[name]
    return {
        "program": f"ssr {__version__}",
        "date": time.strftime("%Y-%m-%d"),
        "licence": LICENCE,
        "attribution": f"{_name(options)}.ATTRIBUTION.csv beside the checkpoint lists every photo and its licence.",
        "trained_on": "scenes rendered by ssr from those photos; no other weights were used but LPIPS as a loss",
        "seed": options.seed,
        "stages": stages,
        **({"begun_from": {k: begun.get(k) for k in ("program", "date", "seed", "stages")}} if begun else {}),
    }


def _name(options: TrainOptions) -> str:
    """What the checkpoint is called."""
    return options.pack_to.stem if options.pack_to else "lite"


def attribution(options: TrainOptions, target: Path) -> int:
    """Write source and licence of every training photo, from the manifests beside or above their folders.

    Returns:
        Number of photos listed.

    Raises:
        UsageError: if a folder of photos has no MANIFEST.csv.
    """
    rows: list[dict[str, str]] = []
    for folder in options.photos:
        manifest = next((f / "MANIFEST.csv" for f in (folder, folder.parent) if (f / "MANIFEST.csv").is_file()), None)
        if manifest is None:
            raise UsageError(
                f"{folder} has no MANIFEST.csv.",
                "Add one with the columns file, source_repo, source_path, licence_as_stated.",
            )
        with manifest.open(newline="", encoding="utf-8") as file:
            rows += [
                r
                for r in csv.DictReader(file)
                if (manifest.parent / r["file"]).is_file() and folder in (manifest.parent / r["file"]).parents
            ]
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(
            file, ("source_repo", "source_path", "licence_as_stated"), extrasaction="ignore", lineterminator="\n"
        )
        writer.writeheader()
        unique = {(r["source_repo"], r["source_path"]): r for r in rows}
        writer.writerows(unique[k] for k in sorted(unique))
    return len(unique)


def shares(options: TrainOptions) -> dict[str, float]:
    """How much of a stage's weights are those that it was begun from, by stage.

    Raises:
        UsageError: if something else was written than `STAGE=SHARE`, or there is nothing that could be kept.
    """
    if options.keep and options.init is None:
        raise UsageError("There are no weights to keep a share of.", "Name the checkpoint begun from with --init.")
    stages, found = (*_PARTS, *_TOGETHER), {}
    for said in options.keep:
        name, _, number = said.partition("=")
        try:
            share = float(number)
        except ValueError:
            share = math.nan
        if name not in stages or not 0 <= share <= 1:
            raise UsageError(
                f"{said!r} says nothing to keep.", f"Write e.g. --keep flow=0.5; stages: {', '.join(stages)}."
            )
        found[name] = share
    return found


def _average(suite: Suite, options: TrainOptions, kept: dict[str, float]) -> None:
    """Give stages their share of the weights that they were begun from."""
    from ssr_cli.training.run import begun_suite, part_of_stage

    before = begun_suite(options)
    with torch.no_grad():
        for name, share in kept.items():
            now, then = part_of_stage(suite, name), part_of_stage(before, name)
            for mine, old in zip(now.parameters(), then.parameters(), strict=True):
                mine.lerp_(old, share)


def pack(options: TrainOptions, report: Report) -> dict[str, float]:
    """Write the checkpoint and its attribution list.

    Args:
        options: `out` holds the stages, `pack_to` names the checkpoint, `photos` the folders it was trained on.
        report: receives a line.

    Returns:
        Its size in MB.

    Raises:
        UsageError: if no target was named, or `keep` cannot be had.
        WeightsError: if a stage is missing.
    """
    from ssr_cli.training.run import load_suite

    if options.pack_to is None:
        raise UsageError("The pack stage needs a target.", "Name one with --pack-to lite.safetensors.")
    if options.backbone is not None:
        if options.keep:
            raise UsageError("An adapter is not begun from other weights.", "Leave --keep out.")
        _save_adapter(options, options.pack_to)
        return listed(options, options.pack_to, report)
    kept = shares(options)
    suite: Suite = load_suite(options, torch.device("cpu"), _PARTS)
    if kept:
        _average(suite, options, kept)
    save_checkpoint(options.pack_to, suite.config.to_dict(), suite.state_dict(), provenance(options), EIGHT_BITS)
    return listed(options, options.pack_to, report)


def listed(options: TrainOptions, target: Path, report: Report) -> dict[str, float]:
    """Write the attribution list beside a checkpoint and say how large it is."""
    listed = attribution(options, target.with_suffix(".ATTRIBUTION.csv"))
    size = target.stat().st_size / 1e6
    report(f"pack: {target} ({size:.2f} MB), {listed} photos attributed")
    return {"megabytes": size}


def _save_adapter(options: TrainOptions, target: Path) -> None:
    """Write the averaged adapter, with the names of the backbone and the suite it belongs to.

    Raises:
        WeightsError: if the stage has no state.
    """
    path = state_file(options, "sd-adapter")
    if not path.exists():
        raise WeightsError(f"The sd-adapter stage has no state in {options.out}.", "Run ssr train --stage sd-adapter.")
    average = load_average(path)
    config = {
        "kind": ADAPTER,
        "backbone": options.backbone,
        "suite": options.suite,
        "adapter": asdict(config_of(average)),
    }
    save_checkpoint(target, config, average, provenance(options, ("sd-adapter",)))
