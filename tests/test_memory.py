"""The process's memory: large pieces are used again, and what no stage needs is handed back."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")

#: Fills and frees 48 MB ten times; prints the pages asked for meanwhile and the megabytes held at the end, before and
#: after `release`.
PROGRAM = """
import resource, sys
from ssr_cli.memory import keep_pages, release
def held():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20
if sys.argv[1] == "keep":
    keep_pages()
bytearray(48 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytes(bytearray(48 << 20))
pages, kept = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, held()
release()
print(pages, kept, held())
"""


def _figures(word: str) -> list[int]:
    out = subprocess.run([sys.executable, "-c", PROGRAM, word], capture_output=True, text=True, check=True).stdout
    return [int(n) for n in out.split()]


def test_freed_memory_is_used_again_and_can_be_handed_back() -> None:
    if "glibc" not in platform.libc_ver():
        pytest.skip("glibc's allocator")
    without, _, _ = _figures("plain")
    pages, kept, released = _figures("keep")
    assert pages < without / 2
    assert released < kept - 40
