"""Checkpoints: the bundled one is what the table says and answers as it did when it was made; the rest is refused."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ssr_cli import weights
from ssr_cli.errors import WeightsError
from ssr_cli.suite import SuiteConfig, load_models
from tests.conftest import TINY, tiny_suite
from tests.golden.lite import FILE, TOLERANCE, answers

ASSETS = Path(weights.__file__).parent / "assets"


def test_the_bundled_checkpoint_is_small_licensed_and_complete() -> None:
    entry = weights.read_table()["lite"]
    path = weights.locate("lite")
    assert entry.size == path.stat().st_size <= 16_000_000
    assert entry.sha256 is not None
    assert len(entry.sha256) == 64
    checkpoint = weights.load_checkpoint("lite")
    assert checkpoint.config == json.loads(json.dumps(SuiteConfig().to_dict()))
    assert checkpoint.provenance["licence"] == entry.licence == "CC-BY-SA-4.0"
    assert set(checkpoint.provenance["stages"]) == {"depth", "svkr", "restorer", "flow"}
    assert all(bool(v.isfinite().all()) for v in checkpoint.state.values())
    with (ASSETS / "lite.ATTRIBUTION.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 100
    assert all(r["source_repo"] and r["source_path"] and r["licence_as_stated"] for r in rows)


def test_the_bundled_checkpoint_answers_as_when_it_was_made() -> None:
    from safetensors.torch import load_file

    expected = load_file(FILE)
    found = answers()
    assert set(found) == set(expected)
    for name, tensor in found.items():
        assert torch.allclose(tensor, expected[name], atol=TOLERANCE[name]), name


def _table(tmp_path: Path, monkeypatch, **values: object) -> Path:
    """A package folder with one entry and a tiny checkpoint."""
    path = tmp_path / "assets" / "a.safetensors"
    weights.save_checkpoint(path, TINY.to_dict(), tiny_suite().state_dict(), {"licence": "none"})
    entry = {"kind": "lite", "file": "assets/a.safetensors", "licence": "none", **values}
    lines = [f"{k} = {json.dumps(v)}" for k, v in entry.items()]
    (tmp_path / "weights.toml").write_text("[models.a]\n" + "\n".join(lines) + "\n")
    monkeypatch.setattr(weights, "_PACKAGE", tmp_path)
    return path


def test_a_good_entry_loads(tmp_path: Path, monkeypatch) -> None:
    path = _table(tmp_path, monkeypatch)
    checkpoint = weights.load_checkpoint("a")
    load_models(checkpoint, torch.device("cpu"))
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert all(v.dtype == torch.float32 for v in checkpoint.state.values())


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"size": 5}, "bytes and not 5"),
        ({"sha256": "0" * 64}, "damaged"),
        ({"file": "assets/b.safetensors"}, "missing"),
        ({"colour": "red"}, "models.a"),
    ],
)
def test_a_bad_entry_is_named(values: dict[str, object], names: str, tmp_path: Path, monkeypatch) -> None:
    _table(tmp_path, monkeypatch, **values)
    with pytest.raises(WeightsError, match=names):
        weights.load_checkpoint("a")


def test_damaged_files_are_refused(tmp_path: Path, monkeypatch) -> None:
    path = _table(tmp_path, monkeypatch)
    whole = path.read_bytes()
    for broken in (b"", b"text", whole[:1000], whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(WeightsError, match="not a checkpoint of ssr"):
            weights.load_checkpoint("a")
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(WeightsError, match="not a checkpoint of ssr"):
        weights.load_checkpoint(str(tmp_path / "foreign.safetensors"))


@pytest.mark.parametrize("model", ["nobody", "nowhere/a.safetensors", "model.pth"])
def test_unknown_models(model: str) -> None:
    with pytest.raises(WeightsError, match="no model|does not exist"):
        weights.load_checkpoint(model)


def test_a_table_that_is_not_toml(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "weights.toml").write_text("[models\n")
    monkeypatch.setattr(weights, "_PACKAGE", tmp_path)
    with pytest.raises(WeightsError, match=r"weights\.toml cannot be read"):
        weights.load_checkpoint("a")
    (tmp_path / "weights.toml").unlink()
    monkeypatch.setattr(weights, "_PACKAGE", tmp_path / "deep" / "er")
    with pytest.raises(WeightsError, match="missing from this installation"):
        weights.load_checkpoint("a")
