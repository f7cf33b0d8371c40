"""Batches side by side, stopped and killed: real processes, real signals, nothing lost and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from ssr_cli.journal import NAME, Journal

_PHOTOS = 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    for i in range(_PHOTOS):
        Image.new("RGB", (48, 40), (25 * i, 90, 10)).save(made / f"{i}.png")
    return made


@pytest.fixture
def command(folder: Path, tmp_path: Path, tiny_checkpoint: Path) -> list[str]:
    words = ["batch", str(folder), "-o", str(tmp_path / "out"), "--model", str(tiny_checkpoint), "--json"]
    return [sys.executable, "-m", "ssr_cli", *words]


def _begun(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def _wait(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 200
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(group: int) -> list[str]:
    """Processes of a group that have not ended, where the system has /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        found += [path.parent.name] if state != "Z" and its_group == str(group) else []
    return found


def _rows(said: str) -> list[dict[str, str]]:
    return [row for row in map(json.loads, said.splitlines()) if "input" in row]


def _check_all_there(out: Path) -> None:
    """Every result whole, one good line of the journal each, and no other file."""
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    assert sorted(line["input"] for line in lines if line["status"] == "done") == [f"{i}.png" for i in range(_PHOTOS)]
    assert sorted(p.name for p in out.iterdir()) == [NAME, *(f"{i}_x4.png" for i in range(_PHOTOS))]
    assert all(Image.open(p).size == (192, 160) for p in out.glob("*.png"))


def test_two_batches_on_one_folder_share_the_work(command: list[str], tmp_path: Path) -> None:
    both = [_begun(command) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    rows = [_rows(out) for out, _ in said]
    assert [len(each) for each in rows] == [_PHOTOS, _PHOTOS]
    statuses = [row["status"] for each in rows for row in each]
    assert statuses.count("done") == _PHOTOS
    assert statuses.count("kept") == _PHOTOS
    _check_all_there(tmp_path / "out")


def test_what_a_killed_batch_was_at_is_done_by_the_other(command: list[str], tmp_path: Path) -> None:
    first = _begun(command)
    _wait((tmp_path / "out" / "0_x4.png").exists)
    second = _begun([*command, "--jobs", "2"])
    _wait(lambda: len(list((tmp_path / "out").glob("*_x4.png"))) > 2)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    said, _ = second.communicate(timeout=300)
    assert second.returncode == 0
    # one whose line the first had no time for
    assert sum(row["status"] == "skipped" for row in _rows(said)) <= 1
    made = sorted(p.name for p in (tmp_path / "out").glob("*_x4.png"))
    assert made == [f"{i}_x4.png" for i in range(_PHOTOS)]
    assert not list((tmp_path / "out").glob(".ssr-*.png"))


_SLOW = """
import sys, time
from ssr_cli.image import writing
real = writing.write_png

def slow(blocks, layout, path, *rest):
    path.write_bytes(b"half a picture")
    time.sleep({seconds})
    real(blocks, layout, path, *rest)

writing.write_png = slow
from ssr_cli import cli
if __name__ == "__main__":
    cli.main(sys.argv[1:])
"""


@pytest.fixture
def slow(command: list[str], tmp_path: Path) -> list[str]:
    """The same, in no hurry while a result is being written."""
    script = tmp_path / "slow.py"
    script.write_text(_SLOW.format(seconds=100))
    return [sys.executable, str(script), *command[3:]]


@pytest.mark.parametrize(
    ("number", "code", "group"), [(signal.SIGTERM, 143, False), (signal.SIGINT, 130, True)], ids=["kill", "Ctrl-C"]
)
def test_stopped_with_several_processes(
    number: int, code: int, group: bool, slow: list[str], command: list[str], folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = _begun([*slow, "--jobs", "2"])
    _wait(lambda: sum(p.stat().st_size > 0 for p in out.glob(".ssr-*.png")) == 2)
    # a terminal's Ctrl-C goes to all of them
    (os.killpg if group else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=100)
    assert process.returncode == code
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    _wait(lambda: not _alive(process.pid))
    assert [p.name for p in out.iterdir()] == [NAME]
    assert (out / NAME).read_bytes() == b""
    if group:
        for path in sorted(folder.iterdir())[2:]:
            path.unlink()
        again = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert [row["status"] for row in _rows(again.stdout)] == ["done", "done"]


def test_a_killed_process_leaves_what_the_next_one_sweeps(slow: list[str], command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = _begun(slow)
    _wait(lambda: any(p.stat().st_size for p in out.glob(".ssr-*.png")))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(list(out.glob(".ssr-*.png"))) == 1
    assert not list(out.glob("*_x4.png"))
    again = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stderr
    _check_all_there(out)


def test_what_a_live_process_writes_is_never_swept(slow: list[str], command: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    Path(slow[1]).write_text(_SLOW.format(seconds=5))
    first = _begun([*slow, "--include", "0.png"])
    _wait(lambda: any(p.stat().st_size for p in out.glob(".ssr-*.png")))
    second = _begun([*command, "--exclude", "0.png"])
    said = [process.communicate(timeout=200)[0] for process in (first, second)]
    assert [row["status"] for row in _rows(said[0])] == ["done"]
    assert len(_rows(said[1])) == _PHOTOS - 1
    _check_all_there(out)


def test_lines_written_at_once_stay_whole(tmp_path: Path) -> None:
    """Four processes write a hundred lines each, as fast as they can."""
    write = """
import sys
from pathlib import Path
from ssr_cli.journal import Journal
folder, me = Path(sys.argv[1]), sys.argv[2]
journal = Journal(folder, "k")
for i in range(100):
    journal.add(f"{me}-{i}", "h", "failed", folder / "x.png", "a reason " * 40, 0.1)
"""
    every = [subprocess.Popen([sys.executable, "-c", write, str(tmp_path), str(i)]) for i in range(4)]
    assert [process.wait(timeout=200) for process in every] == [0] * 4
    lines = [json.loads(line) for line in (tmp_path / NAME).read_text().splitlines()]
    assert sorted(line["input"] for line in lines) == sorted(f"{p}-{i}" for p in range(4) for i in range(100))


def test_a_claim_is_held_against_other_processes_and_ends_with_them(tmp_path: Path) -> None:
    hold = """
import sys, time
from pathlib import Path
from ssr_cli.journal import Journal
journal = Journal(Path(sys.argv[1]), "k")
print(journal.claim(Path(sys.argv[1]) / "a_x4.png"), flush=True)
time.sleep(100)
"""
    other = subprocess.Popen([sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    ours = Journal(tmp_path, "k")
    assert not ours.claim(tmp_path / "a_x4.png")
    assert ours.claim(tmp_path / "b_x4.png")
    other.kill()
    other.wait()
    assert ours.claim(tmp_path / "a_x4.png")
    ours.close()
