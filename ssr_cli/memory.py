"""The process's memory: handing back what was freed."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=1)
def _trimmer() -> Callable[[int], int] | None:
    """Glibc's `malloc_trim`, or None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    return found


def release() -> None:
    """Give freed memory back to the system.

    glibc keeps what a tile's activations leave behind in holes that the next stage's do not fit into; without this the
    peak is the sum of all stages and not that of the largest.
    """
    trim = _trimmer()
    if trim is not None:
        trim(0)
