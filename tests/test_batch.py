"""Batches that are stopped, resumed, split and filtered; nothing is done twice, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssr_cli import cli
from ssr_cli.errors import OutputError
from ssr_cli.journal import NAME, Journal, options_key
from ssr_cli.settings import FileOptions, UpscaleOptions


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tiny_models, tmp_path: Path) -> None:
    monkeypatch.setattr("ssr_cli.commands.batch_jobs.load", lambda model, options, console: tiny_models)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(w) for w in words])
    return int(stopped.value.code or 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos of different colours, one of them in a folder below."""
    made = tmp_path / "photos"
    (made / "sub").mkdir(parents=True)
    for i, name in enumerate(("a.png", "b.jpg", "c.png", "sub/d.png")):
        Image.new("RGB", (12, 8), (60 * i, 100, 50)).save(made / name)
    return made


def _statuses(capsys) -> dict[str, str]:
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {Path(row["input"]).name: row["status"] for row in rows if "input" in row}


def _journal(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()]


def test_what_was_finished_is_kept(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    assert _run("batch", folder, "-r", "-o", out, "--json") == 0
    assert set(_statuses(capsys).values()) == {"done"}
    made = {p: p.stat().st_mtime_ns for p in out.rglob("*.png")}
    assert _run("batch", folder, "-r", "-o", out, "--json") == 0
    assert set(_statuses(capsys).values()) == {"kept"}
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.png")} == made
    assert [line["input"] for line in _journal(out)] == ["a.png", "b.jpg", "c.png", "sub/d.png"]


def test_only_what_is_missing_or_changed_is_done(folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    _run("batch", folder, "-r", "-o", out)
    (out / "a_x4.png").unlink()
    (out / "b_x4.png").write_bytes(b"cut")
    Image.new("RGB", (12, 8), "white").save(folder / "c.png")
    capsys.readouterr()
    assert _run("batch", folder, "-r", "-o", out, "--force", "--json") == 0
    assert _statuses(capsys) == {"a.png": "done", "b.jpg": "done", "c.png": "done", "d.png": "kept"}
    # other options are other results
    assert _run("batch", folder, "-r", "-o", out, "--force", "--steps", "0", "--json") == 0
    assert set(_statuses(capsys).values()) == {"done"}


@pytest.mark.parametrize(
    ("policy", "status", "code"),
    [("skip", "skipped", 0), ("rename", "done", 0), ("overwrite", "done", 0), ("error", "failed", 7)],
)
def test_what_others_made_is_treated_as_asked(policy: str, status: str, code: int, folder: Path, capsys) -> None:
    (folder / "a_x4.png").write_bytes(b"precious")
    assert _run("batch", folder, "--on-exists", policy, "--json") == code
    assert _statuses(capsys)["a.png"] == status
    kept = (folder / "a_x4.png").read_bytes() == b"precious"
    assert kept == (policy != "overwrite")
    assert (folder / "a_x4-2.png").exists() == (policy == "rename")
    if policy == "rename":  # and the renamed one is remembered
        assert _run("batch", folder, "--on-exists", policy, "--json") == 0
        assert _statuses(capsys)["a.png"] == "kept"
        assert not (folder / "a_x4-3.png").exists()


def test_shards_share_the_work_and_names_do_not_depend_on_them(folder: Path, tmp_path: Path, capsys) -> None:
    Image.new("RGB", (12, 8)).save(folder / "a.jpg")  # clashes with a.png
    seen: list[str] = []
    for i in (1, 2, 3):
        assert _run("batch", folder, "-r", "-o", tmp_path / "out", "--shard", f"{i}/3", "--json") == 0
        seen += _statuses(capsys)
    assert sorted(seen) == ["a.jpg", "a.png", "b.jpg", "c.png", "d.png"]
    assert (tmp_path / "out" / "a_jpg_x4.png").exists()
    assert (tmp_path / "out" / "a_png_x4.png").exists()
    for wrong in ("0/2", "3/2", "1", "a/b", "1/0"):
        assert _run("batch", folder, "--shard", wrong) == 2


def test_patterns_choose(folder: Path, tmp_path: Path, capsys) -> None:
    assert _run("batch", folder, "-r", "-o", tmp_path / "o1", "--include", "*.png", "--json") == 0
    assert set(_statuses(capsys)) == {"a.png", "c.png", "d.png"}
    assert _run("batch", folder, "-r", "-o", tmp_path / "o2", "--exclude", "sub/*", "--exclude", "a*", "--json") == 0
    assert set(_statuses(capsys)) == {"b.jpg", "c.png"}
    assert _run("batch", folder, "--include", "*.tif") == 3
    assert _run("batch", folder, "--on-exists", "perhaps") == 2


def test_a_failure_is_written_down_and_tried_again(folder: Path, tmp_path: Path, capsys) -> None:
    (folder / "a.png").write_bytes(b"broken")
    assert _run("batch", folder, "-o", tmp_path / "out", "--json") == 7
    assert _statuses(capsys)["a.png"] == "failed"
    assert _journal(tmp_path / "out")[0]["status"] == "failed"
    Image.new("RGB", (12, 8)).save(folder / "a.png")
    assert _run("batch", folder, "-o", tmp_path / "out", "--json") == 0
    assert _statuses(capsys) == {"a.png": "done", "b.jpg": "kept", "c.png": "kept"}


def test_killed_in_the_middle_it_goes_on(tmp_path: Path, tiny_checkpoint: Path, capsys) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for i in range(12):
        Image.new("RGB", (48, 48), (20 * i, 90, 10)).save(photos / f"{i:02d}.png")
    command = [sys.executable, "-m", "ssr_cli", "batch", str(photos), "-o", str(out), "--model", str(tiny_checkpoint)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and len(list(out.glob("*_x4.png"))) < 3:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = {p.name: p.read_bytes() for p in out.glob("*_x4.png")}
    assert finished
    assert all(Image.open(out / name).size == (192, 192) for name in finished)  # no half-written file has a name
    result = subprocess.run(
        [*command, "--json", "--on-exists", "overwrite"], capture_output=True, text=True, timeout=100
    )
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 12
    assert sum(row["status"] == "kept" for row in rows) >= len(finished) - 1  # the last one's line may be missing
    assert len(list(out.glob("*_x4.png"))) == 12
    assert all((out / name).read_bytes() == content for name, content in finished.items())


# ---------------------------------------------------------------- several processes


def test_several_processes_do_every_photo_once(folder: Path, tmp_path: Path, tiny_checkpoint: Path, capsys) -> None:
    (folder / "bad.png").write_bytes(b"broken")
    one, two = tmp_path / "one", tmp_path / "two"
    given = ("--model", tiny_checkpoint, "--json")
    assert _run("batch", folder, "-r", "-o", one, "--devices", "cpu", *given) == 7
    capsys.readouterr()
    given = (*given, "--devices", "cpu,cpu")
    assert _run("batch", folder, "-r", "-o", two, "--jobs", "2", *given) == 7
    statuses = _statuses(capsys)
    assert statuses == {"a.png": "done", "b.jpg": "done", "c.png": "done", "d.png": "done", "bad.png": "failed"}
    assert sorted(str(line["input"]) for line in _journal(two)) == ["a.png", "b.jpg", "bad.png", "c.png", "sub/d.png"]
    for made in one.rglob("*.png"):
        # a process among several has fewer threads, and sums are rounded in another order
        alone, shared = (np.asarray(Image.open(path), dtype=int) for path in (made, two / made.relative_to(one)))
        assert np.abs(alone - shared).max() <= 1
    assert _run("batch", folder, "-r", "-o", two, "--jobs", "2", *given) == 7
    assert sorted(_statuses(capsys).values()) == ["failed", "kept", "kept", "kept", "kept"]
    assert _run("batch", folder, "--jobs", "0") == 2


def test_a_process_that_is_killed_stops_nothing(folder: Path, tmp_path: Path, tiny_checkpoint: Path) -> None:
    from ssr_cli.commands.batch import BatchJob, Task
    from ssr_cli.commands.batch_jobs import Processes
    from ssr_cli.console import Console

    job = BatchJob(
        folder, tmp_path, False, UpscaleOptions(device="cpu"), str(tiny_checkpoint), "lite", "skip", FileOptions()
    )
    hands = Processes(replace(job, jobs=2), Console("quiet"), lambda word: None)
    try:
        tasks = [Task(n, n, folder / n, tmp_path / f"{n}.out.png", tmp_path / n) for n in ("a.png", "b.jpg", "c.png")]
        os.kill(hands.hands[0].process.pid, signal.SIGKILL)
        hands.hands[0].process.join()
        hands.begin(tasks[0])
        hands.begin(tasks[1])
        said: dict[str, str] = {}
        while hands.at_work():
            said |= {task.name: reason for task, reason, *_ in hands.finished(block=True)}
        hands.begin(tasks[2])  # to the one that took its place
        while hands.at_work():
            said |= {task.name: reason for task, reason, *_ in hands.finished(block=True)}
    finally:
        hands.close()
    assert "was killed" in said["a.png"]
    assert said["b.jpg"] == said["c.png"] == ""
    assert (tmp_path / "c.png.out.png").exists()
    assert not list(tmp_path.glob(".ssr-*"))


# ---------------------------------------------------------------- the journal alone


def _key(**changes: object) -> str:
    return options_key(UpscaleOptions(**changes), FileOptions(), "m", "lite")


def test_options_that_change_pixels_change_the_key() -> None:
    assert _key() == _key(device="cpu") == _key(tile=64)
    different = [_key(), _key(scale=2), _key(steps=0), _key(seed=3), _key(consistency="off"), _key(focus="keep")]
    different += [options_key(UpscaleOptions(), FileOptions(format="jpg"), "m", "lite")]
    different += [options_key(UpscaleOptions(), FileOptions(), *rest) for rest in (("n", "lite"), ("m", "none"))]
    assert len(set(different)) == len(different)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 2000), names=st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
def test_a_torn_journal_loses_only_its_last_line(cut: int, names: list[str], tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("j")
    names = [n.encode("utf-8", "replace").decode() for n in names]
    journal = Journal(folder, "k")
    for i, name in enumerate(names):
        (folder / f"{i}.png").write_bytes(b"x" * (i + 1))
        journal.add(name, f"h{i}", "done", folder / f"{i}.png", "", 0.1)
    whole = (folder / NAME).read_bytes()
    kept = whole[: min(cut, len(whole))]
    (folder / NAME).write_bytes(kept)
    again = Journal(folder, "k")
    lines = kept.count(b"\n")
    for i, name in enumerate(names[:lines]):
        assert again.finished(name, f"h{i}") == folder / f"{i}.png"
        assert again.finished(name, "other") is None
    # and it can be written on, torn line or not
    again.add("more", "h", "done", folder / "0.png", "", 0.1)
    assert Journal(folder, "k").finished("more", "h") == folder / "0.png"
    assert Journal(folder, "other").finished("more", "h") is None


def test_a_journal_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path, "k")
