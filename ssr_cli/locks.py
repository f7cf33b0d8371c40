"""Locks between processes that the system lets go of however a process ends, `kill -9` and power loss included.

Advisory locks of POSIX systems; over NFS they hold between hosts. Where there are none, that is said by None: callers
then do what is safe without.
"""

from __future__ import annotations

import errno
import os

if os.name == "posix":
    import fcntl

#: What the system answers when somebody else holds a lock.
_HELD = (errno.EACCES, errno.EAGAIN)


def lock_file(handle: int, wait: bool = False) -> bool | None:
    """Lock a whole file for this handle alone, until it is closed.

    Args:
        handle: opened for writing.
        wait: until it is free.

    Returns:
        Whether it is ours now; None where there are no locks.
    """
    if os.name != "posix":
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def lock_byte(handle: int, place: int, wait: bool = False) -> bool | None:
    """Lock one byte of a file for this process, until it is let go of or any handle of the file is closed here.

    Args:
        handle: opened for writing.
        place: which byte; it need not exist.
        wait: until it is free.

    Returns:
        Whether it is ours now; None where there are no locks.
    """
    if os.name != "posix":
        return None
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError as error:
        return False if error.errno in _HELD else None
    return True


def free_byte(handle: int, place: int) -> None:
    """Let go of a byte."""
    if os.name != "posix":
        return
    try:
        fcntl.lockf(handle, fcntl.LOCK_UN, 1, place)
    except OSError:
        return
