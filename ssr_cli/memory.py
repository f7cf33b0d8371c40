"""The process's memory: using again what was freed, and handing it back."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache

#: Parameters of glibc's `mallopt`.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_LARGEST_INT = 2**31 - 1


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of glibc, or None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return found


@lru_cache(maxsize=1)
def _trimmer() -> Callable[..., int] | None:
    """Glibc's `malloc_trim`, or None elsewhere."""
    return _of_glibc("malloc_trim")


def keep_pages() -> None:
    """Let this process use freed memory again instead of asking the system for new, empty pages each time.

    glibc maps whatever is larger than 32 MB anew and unmaps it when it is freed. A tile's activations are, and a fifth
    of its time went to the system's emptying of their pages. `release` still hands back what no stage needs.
    """
    set_option = _of_glibc("mallopt")
    if set_option is not None:
        set_option(_MMAP_MAX, 0)
        set_option(_TRIM_THRESHOLD, _LARGEST_INT)
        set_option(_ARENA_MAX, 1)


def release() -> None:
    """Give freed memory back to the system.

    glibc keeps what a tile's activations leave behind in holes that the next stage's do not fit into; without this the
    peak is the sum of all stages and not that of the largest.
    """
    trim = _trimmer()
    if trim is not None:
        trim(0)
