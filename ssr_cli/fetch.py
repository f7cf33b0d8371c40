"""The files of a checkpoint, on this machine and checked: cache first, then every place in order."""

from __future__ import annotations

from pathlib import Path

from ssr_cli.catalogue import Entry, WeightsFile
from ssr_cli.errors import WeightsError
from ssr_cli.paths import digest
from ssr_cli.places import Place, Progress, Unavailable, places_of

_PACKAGE = Path(__file__).parent
#: Files up to this are hashed at every use (some milliseconds); larger ones when they are downloaded or verified.
_HASHED_AT_USE = 64_000_000


def fault(path: Path, file: WeightsFile, hashed: bool = True) -> str | None:
    """What is wrong with a file, for a person and without a full stop, or None.

    Args:
        path: where it lies.
        file: what the table says of it.
        hashed: compare the SHA-256 too.
    """
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"{path} has {size} bytes and not {file.size}"
    if hashed and file.sha256 is not None and digest(path) != file.sha256:
        return f"{path} is damaged: its SHA-256 is not the one in the table"
    return None


def silent(name: str, done: int, total: int) -> None:
    """Progress nobody asked for."""


def in_cache(entry: Entry, file: WeightsFile) -> tuple[Place, Path] | None:
    """A file of an entry that is on this machine already, and the place it came from."""
    for place in places_of(entry, _PACKAGE):
        if path := place.cached(file):
            return place, path
    return None


def fetch_file(entry: Entry, file: WeightsFile, progress: Progress = silent) -> Path:
    """One file of an entry, downloaded if need be, checked in any case; what is broken is deleted, not kept.

    Raises:
        WeightsError: when no place has it, with what each of them said.
    """
    reasons: list[str] = []
    pinned = entry.revision is not None and len(entry.revision) == 40
    if (pinned or entry.repo is None) and (held := in_cache(entry, file)):
        place, path = held
        wrong = fault(path, file, path.stat().st_size <= _HASHED_AT_USE)
        if wrong is None:
            return path
        place.discard(path)
        reasons.append(wrong)
    for place in places_of(entry, _PACKAGE):
        try:
            path = place.get(file, progress)
        except Unavailable as reason:
            reasons.append(f"{place.name}: {reason}")
            continue
        wrong = fault(path, file)
        if wrong is None:
            return path
        place.discard(path)
        if wrong not in reasons:
            reasons.append(wrong)
    if entry.bundled is not None:
        raise WeightsError(f"The bundled {file.name} cannot be used: {'; '.join(reasons)}.", "Install ssr again.")
    raise WeightsError(
        f"{file.name} of {entry.id} cannot be had: {'; '.join(reasons)}.",
        "Check the network or add a mirror to weights.toml; --model lite needs neither.",
    )


def fetch(entry: Entry, progress: Progress = silent) -> dict[str, Path]:
    """All files of an entry by name; see `fetch_file`."""
    return {file.name: fetch_file(entry, file, progress) for file in entry.files}
