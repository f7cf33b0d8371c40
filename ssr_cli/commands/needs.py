"""What a model and a depth consist of, and what of that is not on this machine yet; nothing is downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssr_cli.catalogue import Entry
from ssr_cli.fetch import in_cache
from ssr_cli.weights import header_of, named


@dataclass(frozen=True)
class Needs:
    """What has to be on this machine.

    Attributes:
        entries: of the table or of the Hub, in the order they are fetched.
        unknown: what only an adapter that is not here yet could tell, for a person, or None.
    """

    entries: tuple[Entry, ...]
    unknown: str | None = None


def needs_of(model: str, depth: str) -> Needs:
    """What `--model` and `--depth` stand for: an adapter brings its suite and its backbone.

    Raises:
        SsrError: for a name or a file that does not exist, as the run itself would say it.
    """
    found = _of_model(model)
    estimator = _of_depth(depth)
    return Needs((*found.entries, *estimator), found.unknown)


def downloads(needs: Needs) -> list[str]:
    """Files that are not on this machine yet, with their sizes where the table has them."""
    missing = []
    for entry in {entry.id: entry for entry in needs.entries}.values():
        for file in entry.files:
            if in_cache(entry, file) is None:
                size = "size unknown" if file.size is None else f"{file.size / 1e6:.1f} MB"
                missing.append(f"{entry.id}: {file.name} ({size})")
    return missing + ([needs.unknown] if needs.unknown else [])


def _of_model(model: str) -> Needs:
    """A model, with what its checkpoint names if that is here to be read."""
    found = named(model)
    if isinstance(found, Path):
        return _named_by(found, ())
    entry, checkpoint = found
    if held := in_cache(entry, checkpoint):
        return _named_by(held[1], (entry,))
    adapter = entry.kind == "sd-adapter"
    return Needs((entry,), f"{model}: the backbone and the suite it is made for" if adapter else None)


def _named_by(checkpoint: Path, before: tuple[Entry, ...]) -> Needs:
    """What a checkpoint needs beside itself."""
    config = header_of(checkpoint)
    if config.get("kind") != "sd-adapter":
        return Needs(before)
    from ssr_cli.backbone import backbone_entry

    suite = _of_model(str(config.get("suite", "lite")))
    return Needs((*before, *suite.entries, backbone_entry(str(config.get("backbone")))), suite.unknown)


def _of_depth(depth: str) -> tuple[Entry, ...]:
    """The estimator that `--depth` names, if it is one.

    Raises:
        InputError: if it is a file that does not exist.
        UsageError: if it is nothing at all.
    """
    from ssr_cli.depth_source import BUILT_IN, estimator_entry, is_file

    if is_file(depth):
        if not Path(depth).is_file():
            from ssr_cli.image.depth_file import missing_map

            raise missing_map(depth)
        return ()
    return () if depth in BUILT_IN else (estimator_entry(depth),)
