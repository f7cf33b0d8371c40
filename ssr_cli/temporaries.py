"""Hidden files that are written before they get their names, and sweeping away those that killed processes left.

A process holds a lock on its file for as long as it writes, and the system lets go of the lock however the process
ends. So a file that can be locked is abandoned. Locks need not reach from host to host, and some file systems have
none: a file that another host began, or that cannot be locked, is swept after a week without a change.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from ssr_cli.locks import lock_file

_PREFIX = ".ssr-"
#: The host that began it, where the name has one, and eight random characters.
_NAME = re.compile(r"\.ssr-(?:(?P<host>[0-9a-f]{8})-)?[a-z0-9_]{8}(\.[^.]*)?")
_FORGOTTEN_S = 7 * 24 * 3600.0
_mine: set[Path] = set()
_swept: set[Path] = set()


@lru_cache(maxsize=1)
def _host() -> str:
    """This machine, as eight hex digits."""
    identity = platform.node()
    with suppress(OSError):
        identity += Path("/etc/machine-id").read_text(encoding="ascii", errors="replace")
    return hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:8]


@contextmanager
def temporary(folder: Path, suffix: str) -> Iterator[Path]:
    """A hidden file of this process, gone after the block whatever happens in it.

    What killed processes left in the folder is swept away the first time.

    Args:
        folder: where it is made.
        suffix: of its name.

    Yields:
        Its path; it may be renamed by the block.

    Raises:
        OSError: if it cannot be made.
    """
    if folder not in _swept:
        sweep(folder)
    handle, path = _made(folder, suffix)
    _mine.add(path)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        _mine.discard(path)
        if handle is not None:
            os.close(handle)


def _made(folder: Path, suffix: str) -> tuple[int | None, Path]:
    """An empty file and the handle that keeps its lock; no handle where an open file could not be renamed."""
    while True:
        handle, name = tempfile.mkstemp(prefix=f"{_PREFIX}{_host()}-", suffix=suffix, dir=folder)
        if os.name != "posix":
            os.close(handle)
            return None, Path(name)
        lock_file(handle, wait=True)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # somebody swept it before it was locked


def sweep(folder: Path) -> int:
    """Remove what killed processes left of their unfinished files; never one that is being written.

    Args:
        folder: to look in, not below it; what cannot be read is left alone.

    Returns:
        How many were removed.
    """
    _swept.add(folder)
    try:
        with os.scandir(folder) as entries:
            found = [(entry.path, match["host"]) for entry in entries if (match := _NAME.fullmatch(entry.name))]
    except OSError:
        return 0
    return sum(_removed(Path(path), host == _host()) for path, host in found)


def _removed(path: Path, ours: bool) -> bool:
    """Remove a file if it is abandoned; `ours` if this host began it."""
    try:
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            return False
        locked = lock_file(handle)
        old = time.time() - found.st_mtime > _FORGOTTEN_S
        if locked is False or not (old or (locked and ours)):
            return False
        path.unlink()  # while it is locked, so that nobody takes it for one just made
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def remove_mine() -> None:
    """Remove all unfinished files of this process: for its end, should a second signal have cut the first's tidying."""
    for path in tuple(_mine):
        with suppress(OSError):
            path.unlink(missing_ok=True)
        _mine.discard(path)
