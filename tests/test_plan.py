"""What a run would need is said before it, and without a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from ssr_cli import catalogue, cli
from ssr_cli.commands.needs import downloads, needs_of
from ssr_cli.errors import SsrError
from ssr_cli.weights import save_checkpoint


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
    missing = downloads(needs_of("lite", "depth-anything-v2-small"))
    assert all(line.startswith("depth-anything-v2-small: ") for line in missing)
    assert downloads(needs_of("lite", "lite")) == downloads(needs_of("lite", "none")) == []


@pytest.fixture
def table(tmp_path: Path, monkeypatch) -> None:
    """A table with an adapter and a backbone of the Hub, of which nothing is here."""
    (tmp_path / "weights.toml").write_text(
        '[models.big]\nkind = "sd-adapter"\nlicence = "none"\nrepo = "me/big"\n'
        'files = [{ name = "ssr.safetensors", size = 5000000 }]\n'
        '[models.turbo]\nkind = "sd-backbone"\nlicence = "none"\nrepo = "they/turbo"\n'
        'files = [{ name = "unet/config.json" }, { name = "unet/net.safetensors", size = 2000000 }]\n'
    )
    monkeypatch.setenv(catalogue.TABLE_VARIABLE, str(tmp_path / "weights.toml"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_an_adapter_brings_its_backbone_and_its_suite(tmp_path: Path, table: None) -> None:
    adapter = tmp_path / "adapter.safetensors"
    save_checkpoint(
        adapter, {"kind": "sd-adapter", "backbone": "turbo", "suite": "me/suite"}, {"x": torch.zeros(1)}, {}
    )
    assert downloads(needs_of(str(adapter), "lite")) == [
        "me/suite: ssr.safetensors (size unknown)",
        "turbo: unet/config.json (size unknown)",
        "turbo: unet/net.safetensors (2.0 MB)",
    ]
    # one that is not here yet cannot be asked what it is made for
    assert downloads(needs_of("big", "lite")) == [
        "big: ssr.safetensors (5.0 MB)",
        "big: the backbone and the suite it is made for",
    ]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--depth", "gone.png", "The depth map gone.png does not exist"),
        ("--depth", "deep", "There is no depth 'deep'"),
        ("--model", "gone.safetensors", "gone.safetensors does not exist"),
        ("--model", "sd-turbo", "sd-turbo is a sd-backbone and no model of its own"),
        ("--model", "unheard-of", "There is no model 'unheard-of'"),
    ],
)
def test_a_plan_refuses_what_the_run_would(tmp_path: Path, capsys, option: str, value: str, said: str) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    assert _run("upscale", tmp_path / "a.png", "--plan", option, value) != 0
    assert said in capsys.readouterr().err
    with pytest.raises(SsrError):
        needs_of(*({"--model": "lite", "--depth": "lite"} | {option: value}).values())
