"""Time left, for the photo at hand and for all: from tiles, from photos before, and said when nobody can know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ssr_cli import cli
from ssr_cli.commands import outlook
from ssr_cli.commands.outlook import Outlook, Pace, PhotoClock, Word, clock


class _Time:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch) -> _Time:
    made = _Time()
    monkeypatch.setattr(outlook, "time", made)
    return made


def test_a_photo_is_judged_by_those_before_and_then_by_its_tiles(time: _Time) -> None:
    said: list[Word] = []
    pace = Pace()
    first = PhotoClock("a.png", 1000, pace, said.append)
    first.tell("estimating depth", 0, 1)
    assert said == [Word("a.png", "estimating depth", None)]  # nobody can know
    time.now += 10
    first.tell("restoring", 0, 4)
    time.now += 5
    first.tell("restoring", 1, 4)
    assert said[-1] == Word("a.png", "restoring", 15.0)
    pace.add(1000, 30.0)
    second = PhotoClock("b.png", 2000, pace, said.append)
    time.now += 20
    second.tell("estimating kernels", 1, 2)
    assert said[-1].seconds == pytest.approx(40.0)
    time.now += 100
    second.tell("estimating kernels", 2, 2)
    assert said[-1].seconds == 0.0  # never less than nothing
    before = len(said)
    second.tell("restoring", 0, 1)  # at once: nothing is said
    assert len(said) == before


def test_all_photos_are_judged_by_those_that_took_work(time: _Time) -> None:
    shown: list[tuple[str, int, int]] = []
    whole = Outlook(10, lambda *told: shown.append(told))
    whole.outcome(worked=False)
    assert whole.seconds is None
    assert shown[-1] == ("1 of 10", 1, 10)
    time.now += 30
    whole.outcome(worked=True)
    assert whole.seconds == 240.0
    assert shown[-1] == ("2 of 10, about 4:00 left", 2, 10)
    whole.word(Word("c.png", "restoring", 65.0))
    assert shown[-1] == ("c.png: restoring, 1:05 left; 2 of 10, about 4:00 left", 2, 10)
    whole.word(Word("c.png", "restoring", None))
    assert shown[-1][0].startswith("c.png: restoring; ")
    assert clock(3 * 60 + 7.9) == "3:07"


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_batch_says_how_far_it_is(jobs: int, tmp_path: Path, tiny_checkpoint: Path, monkeypatch, capsys) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.new("RGB", (16, 12)).save(tmp_path / "in" / f"{name}.png")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    words: list[Word] = []
    monkeypatch.setattr(Outlook, "word", lambda self, word: words.append(word))
    asked = ["batch", tmp_path / "in", "-o", tmp_path / "out", "--json", "--model", tiny_checkpoint, "--jobs", jobs]
    with pytest.raises(SystemExit) as stopped:
        cli.main([*map(str, asked)])
    assert not stopped.value.code
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["number"], row["of"]) for row in rows] == [(1, 3), (2, 3), (3, 3)]
    assert rows[0]["seconds_left"] > 0
    assert rows[-1]["seconds_left"] == 0
    assert {word.photo for word in words} == {"a.png", "b.png", "c.png"}
