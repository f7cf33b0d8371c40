"""Where the files of a checkpoint can come from: the package, the Hub, a web server, a folder.

Each place gives one file, or raises `Unavailable` with a reason for a person; `fetch` decides what comes next.
"""

from __future__ import annotations

import http.client
import os
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ssr_cli.catalogue import WeightsFile, is_address

#: Called with (file name, bytes so far, bytes in all or 0).
Progress = Callable[[str, int, int], None]
_CONNECT_S = 3.0
_ANSWER_S = 8.0
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

    def cached(self, file: WeightsFile) -> Path | None:
        """The file if it lies on this machine already; never touches the network."""

    def get(self, file: WeightsFile, progress: Progress) -> Path:
        """The file, downloaded if need be; raises `Unavailable` with the reason."""

    def discard(self, path: Path) -> None:
        """Forget a file that turned out to be broken."""


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
        if path := self.cached(file):
            return path
        raise Unavailable(f"{self.folder / file.name} does not exist")

    def discard(self, path: Path) -> None:
        """A folder of the user's is left as it is."""


def offline() -> bool:
    """Whether the user forbade the network, with the Hub's own variables."""
    return any(
        os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


#: When and why a host was found dead: an entry of many files does not wait for it once for each.
_dead: dict[str, tuple[float, str]] = {}
_DEAD_FOR_S = 60.0


def check_reachable(url: str, answers: bool = False) -> None:
    """Fail within seconds where nobody listens or nobody answers; the Hub's client would try again for minutes.

    Args:
        url: of a web server.
        answers: also wait for an answer.

    Raises:
        Unavailable: with the reason. Behind a proxy no connection is tried: only the proxy can tell.
    """
    if not is_address(url):
        raise Unavailable(f"{url} is no address")
    parts = urllib.parse.urlsplit(url)
    since, reason = _dead.get(parts.netloc, (-_DEAD_FOR_S, ""))
    if time.monotonic() - since < _DEAD_FOR_S:
        raise Unavailable(reason)
    proxied = urllib.request.getproxies().get(parts.scheme) and not urllib.request.proxy_bypass(parts.hostname or "")
    try:
        if not proxied:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((str(parts.hostname), port), timeout=_CONNECT_S).close()
        if answers:
            _ask(url)
    except OSError as error:
        reason = f"{parts.netloc} cannot be reached ({error.strerror or error})"
        _dead[parts.netloc] = (time.monotonic(), reason)
        raise Unavailable(reason) from error


def _ask(url: str) -> None:
    """Wait for an answer, whatever it says; `OSError` if none comes in time, or a gateway finds nobody behind it."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_ANSWER_S).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (502, 503, 504):
            raise OSError(f"it answers {error.code}") from error
    except (OSError, http.client.HTTPException) as error:  # certificates are for the client that downloads
        if _timed_out(error):
            raise OSError(f"no answer within {_ANSWER_S:.0f} s") from error


def _timed_out(error: Exception) -> bool:
    return TimeoutError in (type(error), type(getattr(error, "reason", None)))


def _said(error: Exception) -> str:
    """What an error says, in a line without a full stop, or its kind."""
    text = str(getattr(error, "strerror", None) or getattr(error, "reason", None) or error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def hub_endpoint() -> str:
    """Where the Hub is; known without its client, which cannot be imported where `HF_ENDPOINT` is no address."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


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
        if not is_address(hub_endpoint()):
            return None
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repo, file.name, revision=self.revision)
        return Path(found) if isinstance(found, str) else None

    def get(self, file: WeightsFile, progress: Progress) -> Path:
        """See `Place`."""
        try:
            if offline():
                raise Unavailable("HF_HUB_OFFLINE is set and the file is not in the cache")
            check_reachable(f"{hub_endpoint()}/api/models/{self.repo}", answers=True)
        except Unavailable:
            if held := self.cached(file):  # what is here serves where the Hub cannot be asked, as with its own client
                return held
            raise
        from huggingface_hub import errors, hf_hub_download

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
        except errors.LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError, and another thing
            raise Unavailable("the Hub stopped answering") from error
        except errors.EntryNotFoundError as error:
            raise Unavailable(f"{self.repo} has no file {file.name}") from error
        except Exception as error:  # the client's kinds of network failure differ from version to version
            raise Unavailable(f"the download failed ({_said(error)})") from error

    def discard(self, path: Path) -> None:
        """Take the file out of the Hub's cache, with the blob behind the link."""
        blob = path.resolve()
        path.unlink(missing_ok=True)
        blob.unlink(missing_ok=True)


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
        base = urllib.parse.quote(self.url.rstrip("/"), safe="/:%@?&=+,;~!$'()*[]")  # spaces alone, in effect
        address = f"{base}/{urllib.parse.quote(file.name)}"
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
        Unavailable: when the server refuses, does not answer, or the connection was cut too often.
        OSError: when the disk refuses.
    """
    reason = ""
    for attempt in range(_TRIES):
        have = part.stat().st_size if part.exists() else 0
        request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
        try:
            answer = urllib.request.urlopen(request, timeout=_READ_S)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise Unavailable(f"{address} answered {error.code}") from error
            # nothing is left to fetch, or what we have is not a beginning of it
            stated = error.headers.get("Content-Range", "").rpartition("/")[2]
            if have == (int(stated) if stated.isdigit() else file.size or have):
                return
            part.unlink()
            continue
        except (OSError, http.client.HTTPException) as error:
            if _timed_out(error):
                raise Unavailable(f"{address} did not answer within {_READ_S:.0f} s") from error
            reason = _said(error)
        else:
            with answer:
                cut = _receive(answer, part, file.name, progress)
            if cut is None:
                return
            reason = cut
        time.sleep(0.2 * 2**attempt)
    raise Unavailable(f"the download of {address} was cut {_TRIES} times ({reason})")


def _receive(answer: http.client.HTTPResponse, part: Path, name: str, progress: Progress) -> str | None:
    """Keep what comes; why it ended too early, or None where it is whole. `OSError` is the disk's."""
    goes_on = answer.status == 206
    with part.open("ab" if goes_on else "wb") as out:
        stated = int(answer.headers.get("Content-Length") or 0)
        total = stated and stated + out.tell()
        while True:
            try:
                piece = answer.read(_PIECE)
            except (OSError, http.client.HTTPException) as error:  # cut, reset, timed out: what came is kept
                return _said(error)
            if not piece:
                return None if out.tell() >= total else "the connection was closed"
            out.write(piece)
            progress(name, out.tell(), total)
