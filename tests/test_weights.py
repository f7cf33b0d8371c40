"""Checkpoints: the bundled one is what the table says and answers as it did when it was made; the rest is refused."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ssr_cli import catalogue, fetch, weights
from ssr_cli.errors import WeightsError
from ssr_cli.frames import Photo
from ssr_cli.image.reading import read_photo
from ssr_cli.paths import digest
from ssr_cli.pipeline import upscale
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import OPTICAL, SuiteConfig, load_models
from tests.conftest import TINY, tiny_suite
from tests.golden.lite import FILE, TOLERANCE, answers

ASSETS = Path(weights.__file__).parent / "assets"


def test_the_bundled_checkpoint_is_small_licensed_and_complete() -> None:
    entry = catalogue.read_table(catalogue.bundled_table())["lite"]
    path = weights.locate("lite")
    assert entry.size == path.stat().st_size <= 16_000_000
    assert entry.files[0].sha256 == digest(path)
    checkpoint = weights.load_checkpoint("lite")
    wanted = SuiteConfig().to_dict() | {OPTICAL: SuiteConfig.optical().to_dict()}
    assert checkpoint.config == json.loads(json.dumps(wanted))  # as a file has them: lists, not tuples
    assert checkpoint.provenance["licence"] == entry.licence == "CC-BY-SA-4.0"
    assert set(checkpoint.provenance["stages"]) == {"depth", "svkr", "refiner", "restorer", "flow", "distil"}
    assert set(checkpoint.provenance[OPTICAL]["stages"]) >= {"svkr", "restorer", "flow"}
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


@pytest.mark.parametrize(("noise", "most"), [(0.0, 0.5 / 255), (5 / 255, 1 / 255)])
def test_tiles_read_as_far_as_the_bundled_weights_look(noise: float, most: float) -> None:
    """The one in the middle has surroundings on all sides."""
    sample = read_photo(ASSETS / "sample.png").rgb
    rgb = torch.cat([sample, sample.flip(-1)], -1)[:, :, :192].repeat(1, 2, 1)[:, :192]
    photo = Photo((rgb + noise * torch.randn(rgb.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1))
    models = load_models(weights.load_checkpoint("lite"), torch.device("cpu"))
    whole, tiled = (upscale(photo, models, UpscaleOptions(tile=tile)) for tile in (0, 64))
    assert float((whole.photo.rgb - tiled.photo.rgb).abs().max()) <= most
    assert float((whole.analysis.field.radius_px - tiled.analysis.field.radius_px).abs().max()) <= 0.05


def _table(tmp_path: Path, monkeypatch, file: dict[str, object] | None = None, **values: object) -> Path:
    """A package folder with one entry and a tiny checkpoint."""
    path = tmp_path / "assets" / "a.safetensors"
    weights.save_checkpoint(path, TINY.to_dict(), tiny_suite().state_dict(), {"licence": "none"})
    entry = {"kind": "lite", "bundled": "assets", "licence": "none", **values}
    about = {"name": "a.safetensors", **(file or {})}
    lines = ["[models.a]", *(f"{k} = {json.dumps(v)}" for k, v in entry.items())]
    lines += ["[[models.a.files]]", *(f"{k} = {json.dumps(v)}" for k, v in about.items())]
    (tmp_path / "weights.toml").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(catalogue, "_PACKAGE", tmp_path)
    monkeypatch.setattr(fetch, "_PACKAGE", tmp_path)
    return path


@pytest.fixture(autouse=True)
def _no_table_of_the_users(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(catalogue.TABLE_VARIABLE, raising=False)


def test_a_good_entry_loads(tmp_path: Path, monkeypatch) -> None:
    path = _table(tmp_path, monkeypatch)
    checkpoint = weights.load_checkpoint("a")
    load_models(checkpoint, torch.device("cpu"))
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask
    assert all(v.dtype == torch.float32 for v in checkpoint.state.values())


@pytest.mark.parametrize(
    ("file", "values", "names"),
    [
        ({"size": 5}, {}, "bytes and not 5"),
        ({"sha256": "0" * 64}, {}, "damaged"),
        ({"name": "b.safetensors"}, {}, "b.safetensors does not exist"),
        ({"name": "../b.safetensors"}, {}, "leads out of its folder"),
        ({"name": "/etc/passwd"}, {}, "leads out of its folder"),
        ({"sha256": "abc"}, {}, "64 hex digits"),
        ({"flavour": "x"}, {}, "line 7: models.a is not understood: 'flavour' is not known"),
        ({}, {"colour": "red"}, "line 5: models.a is not understood: 'colour' is not known"),
        ({}, {"kind": "odd"}, "'odd' is none of lite"),
        ({}, {"repo": "me/mine"}, "exactly one of 'bundled' and 'repo'"),
        ({}, {"revision": "main"}, "40 hex digits"),
        ({}, {"kind": "depth"}, "a is a depth and no model of its own"),
    ],
)
def test_a_bad_entry_is_named(
    file: dict[str, object], values: dict[str, object], names: str, tmp_path: Path, monkeypatch
) -> None:
    _table(tmp_path, monkeypatch, file, **values)
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


def test_a_folder_is_a_model_when_it_is_clear_which(tmp_path: Path, tiny_checkpoint: Path) -> None:
    folder = tmp_path / "trained"
    folder.mkdir()
    with pytest.raises(WeightsError, match="trained has no .safetensors file"):
        weights.locate(str(folder))
    shutil.copy(tiny_checkpoint, folder / "one.safetensors")
    assert weights.locate(str(folder)) == folder / "one.safetensors"
    shutil.copy(tiny_checkpoint, folder / "two.safetensors")
    with pytest.raises(WeightsError, match="trained has 2 .safetensors files"):
        weights.locate(str(folder))
    shutil.copy(tiny_checkpoint, folder / catalogue.CHECKPOINT_NAME)
    assert weights.locate(str(folder)) == folder / catalogue.CHECKPOINT_NAME


def test_an_error_names_the_line_of_its_entry(tmp_path: Path) -> None:
    table = tmp_path / "mine.toml"
    good = 'kind = "lite"\nlicence = "x"\nrepo = "a/b"\nfiles = [{name = "c"}]\n'
    table.write_text(f'# mine\n\n[models.good]\n{good}\n[models."so so"]\n')
    with pytest.raises(WeightsError, match=r"mine\.toml, line 9: models\.so so"):
        catalogue.read_table(table)
    table.write_text(f'[models.m]\n{good}mirrors = [{{url = "u", repo = "r"}}]\n')
    with pytest.raises(WeightsError, match="a mirror has exactly one"):
        catalogue.read_table(table)


_GOOD = 'kind = "lite"\nlicence = "x"\nrepo = "a/b"\n'
_FILES = 'files = [{ name = "c" }]\n'


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("models = 3", "more than tables"),
        (f"[model.m]\n{_GOOD}{_FILES}", "more than tables"),
        ("[models]\nm = 3", "models.m is not understood: it is not a table"),
        (f'[models.m]\n{_GOOD}files = "c"', "line 5: models.m is not understood: 'files' is not a list"),
        (f'[models.m]\n{_GOOD}files = ["c"]', "line 5: .*one of 'files' is not a table"),
        (f"[models.m]\n{_GOOD}files = [{{ size = 3 }}]", "line 5: .*one of 'files' has no 'name'"),
        (f'[models.m]\n{_GOOD}files = [{{ name = "c", size = "3" }}]', "line 5: .*'size' is not a whole number"),
        (f'[models.m]\n{_GOOD}files = [{{ name = "c", size = -3 }}]', "line 5: .*'size' of c is not above 0"),
        (f'[models.m]\n{_GOOD}files = [{{ name = "c", sha256 = 3 }}]', "line 5: .*'sha256' is not text"),
        (f'[models.m]\n{_GOOD}[[models.m.files]]\nname = "c"\nsha265 = "3"', "line 7: .*'sha265' is not known"),
        (f"[models.m]\n{_GOOD}{_FILES}mirrors = [{{ folder = 3 }}]", "line 6: .*'folder' is not text"),
        (f'[models.m]\n{_GOOD}{_FILES}mirrors = [{{ url = "ftp://x/y" }}]', "line 6: .*no web address"),
        (f'[models.m]\n{_GOOD}{_FILES}mirrors = [{{ url = "http://x:abc/y" }}]', "line 6: .*no web address"),
        (f'[models.m]\n{_GOOD}{_FILES}mirrors = [{{ repo = "a/b/c" }}]', "line 6: .*'a/b/c' is not USER/NAME"),
        (f"[models.m]\n{_GOOD}{_FILES}scores = 3", "line 6: .*'scores' is not a table"),
        (f"[models.m]\n{_GOOD}{_FILES}scores = {{ a = 3.5 }}", "line 6: .*'a' is not text"),
        (f"[models.n]\n{_GOOD}{_FILES}[models.m]\n{_GOOD}{_FILES}trained_on = 3", "line 11: models.m .*'trained_on'"),
        (f"[models.m]\n{_FILES}{_GOOD.replace('a/b', 'a b')}", "line 5: .*'a b' is not USER/NAME"),
    ],
)
def test_whatever_is_wrong_in_a_table_is_a_sentence_with_its_line(text: str, names: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text + "\n")
    with pytest.raises(WeightsError, match=names):
        catalogue.read_table(tmp_path / "mine.toml")


def test_names_of_repositories_are_the_hubs() -> None:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    for name in (
        "a/b",
        "a.b/c_d",
        "_a/b_",
        "-a/b",
        "a/b.",
        "a--b/c",
        "a/..b",
        "a/b.git",
        "a/b-",
        f"a/{'b' * 97}",
        "ä/b",
    ):
        try:
            validate_repo_id(name)
            known = name.isascii()
        except HFValidationError:
            known = False
        assert catalogue.is_repo(name) == known, name
    with pytest.raises(WeightsError, match="no model 'a--b/c'"):
        weights.locate("a--b/c")
    entry = catalogue.hub_entry("a/b@refs/pr/1")
    assert entry is not None
    assert (entry.repo, entry.revision) == ("a/b", "refs/pr/1")


def test_the_tensors_of_an_entry_may_stand_anywhere_among_its_files(tmp_path: Path, monkeypatch) -> None:
    path = _table(tmp_path, monkeypatch)
    (path.parent / "README.md").write_text("about")
    table = tmp_path / "weights.toml"
    table.write_text(
        table.read_text().replace("[[models.a.files]]", '[[models.a.files]]\nname = "README.md"\n[[models.a.files]]')
    )
    assert weights.locate("a") == path
    table.write_text(table.read_text().replace("a.safetensors", "a.bin"))
    with pytest.raises(WeightsError, match=r"a has no \.safetensors file"):
        weights.locate("a")


def test_a_table_that_is_not_toml(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "weights.toml").write_text("[models\n")
    monkeypatch.setattr(catalogue, "_PACKAGE", tmp_path)
    with pytest.raises(WeightsError, match=r"weights\.toml cannot be read"):
        weights.load_checkpoint("a")
    (tmp_path / "weights.toml").unlink()
    monkeypatch.setattr(catalogue, "_PACKAGE", tmp_path / "deep" / "er")
    with pytest.raises(WeightsError, match="missing from this installation"):
        weights.load_checkpoint("a")
