"""Where the files of a checkpoint can come from: the package, the Hub, a web server, a folder.

Each place gives one file, or raises `Unavailable` with a reason for a person; `fetch` decides what comes next.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ssr_cli.catalogue import Entry, WeightsFile

#: Called with (file name, bytes so far, bytes in all or 0).
Progress = Callable[[str, int, int], None]
_CONNECT_S = 3.0
_READ_S = 15.0
_TRIES = 4
_PIECE = 1 << 20


class Unavailable(Exception):
    """A place could not give a file; the message says why, without a full stop."""


class Place(Protocol):
    """One place."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    def cached(self, file: WeightsFile) -> Path | None:
        """The file if it lies on this machine already; never touches the network."""
        ...

    def get(self, file: WeightsFile, progress: Progress) -> Path:
        """The file, downloaded if need be.

        Raises:
            Unavailable: with the reason.
        """
        ...

    def discard(self, path: Path) -> None:
        """Forget a file that turned out to be broken."""
        ...


@dataclass(frozen=True)
class FolderPlace:
    """A folder of this machine (a mounted mirror, or the package); its files are used where they are."""

    folder: Path

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def cached(self, file: WeightsFile) -> Path | None:
        """See `Place`."""
        path = self.folder / file.name
        return path if path.is_file() else None

    def get(self, file: WeightsFile, progress: Progress) -> Path:
        """See `Place`."""
        path = self.cached(file)
        if path is None:
            raise Unavailable(f"{self.folder / file.name} does not exist")
        return path

    def discard(self, path: Path) -> None:
        """A folder of the user's is left as it is."""


def offline() -> bool:
    """Whether the user forbade the network, with the Hub's own variables."""
    return any(
        os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def check_reachable(url: str) -> None:
    """Fail within seconds where nobody listens; the Hub's client would try again for half a minute.

    Raises:
        Unavailable: if no connection can be made. Behind a proxy nothing is checked: only the proxy can tell.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.hostname is None:
        raise Unavailable(f"{url} is no address")
    if urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(parts.hostname):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=_CONNECT_S).close()
    except OSError as error:
        raise Unavailable(f"{parts.netloc} cannot be reached ({error.strerror or error})") from error


@dataclass(frozen=True)
class HubPlace:
    """A repository of the Hub, by its own client and cache: `HF_HOME`, `HF_ENDPOINT`, `HF_TOKEN` mean the usual."""

    repo: str
    revision: str | None

    @property
    def name(self) -> str:
        """Repository and revision."""
        return f"{self.repo}@{self.revision[:8]}" if self.revision else self.repo

    def cached(self, file: WeightsFile) -> Path | None:
        """See `Place`."""
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, file.name, revision=self.revision)
        return Path(found) if isinstance(found, str) else None

    def get(self, file: WeightsFile, progress: Progress) -> Path:
        """See `Place`."""
        if offline():
            raise Unavailable("HF_HUB_OFFLINE is set and the file is not in the cache")
        from huggingface_hub import constants, errors, hf_hub_download

        check_reachable(constants.ENDPOINT)
        try:
            return Path(hf_hub_download(self.repo, file.name, revision=self.revision, etag_timeout=_READ_S))
        except errors.GatedRepoError as error:
            raise Unavailable(
                f"{self.repo} is gated: accept its licence on the Hub, then set HF_TOKEN or run hf auth login"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise Unavailable(f"there is no {self.repo} on the Hub, or it is private (set HF_TOKEN)") from error
        except errors.RevisionNotFoundError as error:
            raise Unavailable(f"{self.repo} has no revision {self.revision}") from error
        except errors.EntryNotFoundError as error:
            raise Unavailable(f"{self.repo} has no file {file.name}") from error
        except Exception as error:  # the client's kinds of network failure differ from version to version
            raise Unavailable(f"the download failed ({type(error).__name__})") from error

    def discard(self, path: Path) -> None:
        """Take the file out of the Hub's cache, with the blob behind the link."""
        blob = path.resolve()
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)


def cache_folder() -> Path:
    """Where files from plain web servers are kept: `$SSR_CACHE`, else `$XDG_CACHE_HOME/ssr`."""
    named = os.environ.get("SSR_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ssr"


@dataclass(frozen=True)
class UrlPlace:
    """A folder on a web server; a cut download goes on where it stopped, now or in the next run."""

    url: str
    folder: Path

    @property
    def name(self) -> str:
        """The address."""
        return self.url

    def cached(self, file: WeightsFile) -> Path | None:
        """See `Place`."""
        path = self.folder / file.name
        return path if path.is_file() else None

    def get(self, file: WeightsFile, progress: Progress) -> Path:
        """See `Place`."""
        if found := self.cached(file):
            return found
        if offline():
            raise Unavailable("HF_HUB_OFFLINE is set and the file is not in the cache")
        address = f"{self.url.rstrip('/')}/{urllib.parse.quote(file.name)}"
        check_reachable(address)
        path = self.folder / file.name
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            from filelock import FileLock

            with FileLock(path.with_name(path.name + ".lock")):
                if not path.is_file():
                    _download(address, part, file, progress)
                    os.replace(part, path)
        except OSError as error:
            raise Unavailable(f"{address} could not be kept ({error.strerror or error})") from error
        return path

    def discard(self, path: Path) -> None:
        """Delete the file."""
        path.unlink(missing_ok=True)


def _download(address: str, part: Path, file: WeightsFile, progress: Progress) -> None:
    """Fetch into `part`, going on from what it holds, over several connections if they are cut.

    Raises:
        Unavailable: when the server refuses, or the connection was cut too often.
    """
    for attempt in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            with urllib.request.urlopen(request, timeout=_READ_S) as answer:
                goes_on = answer.status == 206
                total = int(answer.headers.get("Content-Length") or 0) + (have if goes_on else 0)
                with part.open("ab" if goes_on else "wb") as out:
                    while piece := answer.read(_PIECE):
                        out.write(piece)
                        progress(file.name, out.tell(), total)
            if not total or part.stat().st_size >= total:
                return
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing is left to fetch, or what we have is not a beginning of it
                if file.size is None or have == file.size:
                    return
                part.unlink()
                continue
            raise Unavailable(f"{address} answered {error.code}") from error
        except OSError:  # cut, reset, timed out: what came is kept
            pass
        time.sleep(0.2 * 2**attempt)
    raise Unavailable(f"the download of {address} was cut {_TRIES} times")


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


def free_bytes(folder: Path) -> int:
    """Free space on the disk that holds a folder, which need not exist yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
