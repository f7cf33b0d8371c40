"""Locks between processes that the system lets go of however a process ends, `kill -9` and power loss included.

Advisory locks of POSIX systems; over NFS they hold between hosts. Where there are none, that is said by None: callers
then do what is safe without.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

if os.name == "posix":
    import fcntl

#: What the system answers when somebody else holds a lock.
_HELD = (errno.EACCES, errno.EAGAIN)


def _mode(wait: bool) -> int:
    """For this process alone, at once or never unless it may wait."""
    return fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB


def _taken(lock: Callable[[], None]) -> bool | None:
    """What came of asking for a lock: whether it is ours, or None where there are none."""
    if os.name != "posix":
        return None
    try:
        lock()
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def lock_file(handle: int, wait: bool = False) -> bool | None:
    """Lock a whole file for this handle alone, until it is closed.

    Args:
        handle: opened for writing.
        wait: until it is free.

    Returns:
        Whether it is ours now; None where there are no locks.
    """
    return _taken(lambda: fcntl.flock(handle, _mode(wait)))


def lock_byte(handle: int, place: int, wait: bool = False) -> bool | None:
    """Lock one byte of a file for this process, until it is let go of or any handle of the file is closed here.

    Args:
        handle: opened for writing.
        place: which byte; it need not exist.
        wait: until it is free.

    Returns:
        Whether it is ours now; None where there are no locks.
    """
    return _taken(lambda: fcntl.lockf(handle, _mode(wait), 1, place))


def free_byte(handle: int, place: int) -> None:
    """Let go of a byte."""
    if os.name != "posix":
        return
    try:
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)
    except OSError:
        return
