"""What a run would need is said before it, and without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ssr_cli import cli
from ssr_cli.commands import plan


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(w) for w in words])
    return int(stopped.value.code or 0)


def test_a_plan_loads_no_model_and_writes_nothing(tmp_path: Path, capsys, monkeypatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("ssr_cli.commands.upscale.load", never)
    for name, size in (("a.png", (600, 500)), ("b.png", (64, 64))):
        Image.new("RGB", size).save(tmp_path / name)
    (tmp_path / "bad.png").write_bytes(b"broken")
    assert _run("batch", tmp_path, "--plan", "--device", "cpu", "-s", "3", "--tile", "128", "--json") == 0
    *photos, total = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(p["width"], p["height"], p["tiles"], p["seconds"]) for p in photos] == [
        (1800, 1500, 20, None),
        (192, 192, 1, None),
    ]
    assert total["photos"] == 2
    assert total["peak_memory_mb"] == photos[0]["peak_memory_mb"] > photos[1]["peak_memory_mb"] > 300
    assert total["downloads"] == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png", "bad.png"]
    assert _run("upscale", tmp_path / "bad.png", "--plan") == 3


def test_a_calibration_tells_the_time(tmp_path: Path, tiny_models, capsys, monkeypatch) -> None:
    monkeypatch.setattr("ssr_cli.commands.upscale.load", lambda *_: tiny_models)
    Image.new("RGB", (300, 300)).save(tmp_path / "a.png")
    assert _run("upscale", tmp_path / "a.png", "--calibrate", "--device", "cpu", "--json") == 0
    photo, total = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert 0 < photo["seconds"] < total["seconds"]
    assert _run("upscale", tmp_path / "a.png", "--calibrate", "--device", "cpu", "--tile", "32", "--json") == 0
    tiled = json.loads(capsys.readouterr().out.splitlines()[0])
    assert tiled["tiles"] == 100


def test_what_is_not_here_is_said_to_be_downloaded() -> None:
    missing = plan.downloads("lite", "depth-anything-v2-small")
    assert all(line.startswith("depth-anything-v2-small: ") for line in missing)
    assert plan.downloads("lite", "lite") == []
