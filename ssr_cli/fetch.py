"""The files of a checkpoint, on this machine and checked: cache first, then every place in order."""

from __future__ import annotations

import os
import shutil
import urllib.parse
from pathlib import Path

from ssr_cli.catalogue import Entry, WeightsFile
from ssr_cli.errors import WeightsError
from ssr_cli.paths import digest
from ssr_cli.places import FolderPlace, HubPlace, Place, Progress, Unavailable, UrlPlace

_PACKAGE = Path(__file__).parent
#: Files up to this are hashed at every use (some milliseconds); larger ones when they are downloaded or verified.
_HASHED_AT_USE = 64_000_000


def cache_folder() -> Path:
    """Where files from plain web servers are kept: `$SSR_CACHE`, else `$XDG_CACHE_HOME/ssr`."""
    named = os.environ.get("SSR_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssr"


def places_of(entry: Entry, package: Path) -> list[Place]:
    """Where to look for an entry's files, in order.

    Args:
        entry: of the table.
        package: folder of the installed package.
    """
    places: list[Place] = []
    if entry.bundled is not None:
        places.append(FolderPlace(package / entry.bundled))
    if entry.repo is not None:
        places.append(HubPlace(entry.repo, entry.revision))
    for mirror in entry.mirrors:
        if mirror.repo is not None:
            places.append(HubPlace(mirror.repo, mirror.revision))
        elif mirror.url is not None:
            home = urllib.parse.quote(mirror.url, safe="")[-100:]
            places.append(UrlPlace(mirror.url, cache_folder() / entry.id.replace("/", "--") / home))
        elif mirror.folder is not None:
            base = entry.table.parent if entry.table is not None else Path()
            places.append(FolderPlace(base / Path(mirror.folder).expanduser()))
    return places


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
    said = f"{file.name} of {entry.id} cannot be had: {'; '.join(reasons)}."
    if entry.table is None:
        raise WeightsError(said, "Check the name and the network; --model lite needs neither.")
    instead = "--depth lite" if entry.kind == "depth" else "--model lite"
    raise WeightsError(said, f"Check the network or add a mirror to weights.toml; {instead} needs neither.")


def fetch(entry: Entry, progress: Progress = silent) -> dict[str, Path]:
    """All files of an entry by name; see `fetch_file`."""
    return {file.name: fetch_file(entry, file, progress) for file in entry.files}


def lacking(entry: Entry) -> tuple[int, int] | None:
    """Bytes that an entry needs and the disk has, where the disk has fewer; None too where a size is not known."""
    missing = [file for file in entry.files if in_cache(entry, file) is None]
    sizes = [file.size for file in missing if file.size is not None]
    home = next((_home(place) for place in places_of(entry, _PACKAGE) if not isinstance(place, FolderPlace)), None)
    if home is None or len(sizes) < len(missing):
        return None
    while not home.exists():
        home = home.parent
    free = shutil.disk_usage(home).free
    return (sum(sizes), free) if free < sum(sizes) else None


def _home(place: Place) -> Path | None:
    """The folder that a place downloads into."""
    if isinstance(place, HubPlace):
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE)
    return place.folder if isinstance(place, UrlPlace) else None
