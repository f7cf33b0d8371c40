"""Unfinished files: gone after the block, swept after a death, left alone while somebody may be at them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssr_cli import temporaries
from ssr_cli.temporaries import remove_mine, sweep, temporary


def _named(folder: Path, host: str | None, age: float = 0.0) -> Path:
    path = folder / f".ssr-{host + '-' if host else ''}abcd_123.png"
    path.write_bytes(b"half")
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_it_is_gone_after_the_block(tmp_path: Path) -> None:
    with temporary(tmp_path, ".png") as path:
        path.write_bytes(b"x")
        assert sweep(tmp_path) == 0  # its own
        assert path.exists()
    with pytest.raises(KeyboardInterrupt), temporary(tmp_path, ".png"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_this_hosts_dead_files_are_swept_at_once_and_other_hosts_after_a_week(tmp_path: Path, monkeypatch) -> None:
    _named(tmp_path, temporaries._host())
    other, nameless = _named(tmp_path, "0123abcd", 6 * 86_400), _named(tmp_path, None, 6 * 86_400)
    assert sweep(tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == sorted([other, nameless])
    for path in (other, nameless):
        os.utime(path, (1, 1))
    monkeypatch.setattr(temporaries, "lock_file", lambda *_: False)  # somebody is at it all the same
    assert sweep(tmp_path) == 0
    monkeypatch.undo()
    assert sweep(tmp_path) == 2


def test_without_locks_only_age_tells(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(temporaries, "lock_file", lambda *_, **__: None)
    young = _named(tmp_path, temporaries._host())
    assert sweep(tmp_path) == 0
    os.utime(young, (1, 1))
    assert sweep(tmp_path) == 1


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    names = [".ssr-batch.jsonl", ".ssr-notes.txt", ".ssr-abcd_1234.png", "ssr-abcd_123.png", ".ssr-0123abcd-ab.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / f".ssr-{temporaries._host()}-abcd_123.png").mkdir()
    (tmp_path / f".ssr-{temporaries._host()}-abcd_124.png").symlink_to(tmp_path / names[0])
    assert sweep(tmp_path) == 0
    assert sweep(tmp_path / "none") == 0
    assert len(list(tmp_path.iterdir())) == len(names) + 2


def test_one_that_was_swept_before_it_was_locked_is_made_again(tmp_path: Path, monkeypatch) -> None:
    real, made = temporaries.lock_file, []

    def swept_first(handle: int, wait: bool = False) -> bool | None:
        if wait and not made:
            made.extend(tmp_path.iterdir())
            made[0].unlink()
        return real(handle, wait)

    monkeypatch.setattr(temporaries, "lock_file", swept_first)
    with temporary(tmp_path, ".png") as path:
        assert path.exists()
        assert path != made[0]


def test_a_process_killed_between_its_two_names_loses_only_the_hidden_one(tmp_path: Path) -> None:
    die = """
import os, signal, sys
from pathlib import Path
from ssr_cli.temporaries import temporary
with temporary(Path(sys.argv[1]), ".png") as path:
    path.write_bytes(b"whole")
    os.link(path, Path(sys.argv[1]) / "a.png")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", die, str(tmp_path)], check=False, timeout=100)
    assert len(list(tmp_path.iterdir())) == 2
    assert sweep(tmp_path) == 1
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"whole"]


def test_a_second_signal_that_cuts_the_tidying_short_is_made_good(tmp_path: Path) -> None:
    with temporary(tmp_path, ".png"):
        remove_mine()
        assert list(tmp_path.iterdir()) == []
