"""The record beside a result, and making the result again from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssr_cli.cli import main
from ssr_cli.sidecar import Recorder, read_sidecar
from tests.conftest import TINY, tiny_suite


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return int(stopped.value.code or 0)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def record(photo: Path, tiny_checkpoint: Path) -> Path:
    """A finished result with its record, made by the real command and a checkpoint file."""
    assert _run("upscale", photo, "-s", 2, "--seed", 7, "--model", tiny_checkpoint, "--sidecar", "-q") == 0
    return photo.with_name("photo_x2.ssr.json")


def test_the_record_says_what_was_done(record: Path, photo: Path, tiny_checkpoint: Path) -> None:
    told = json.loads(record.read_text())
    output = record.with_name("photo_x2.png")
    assert told["input"] == {"path": "photo.png", "sha256": _sha256(photo)}
    assert told["output"] == {"path": "photo_x2.png", "sha256": _sha256(output), "width": 48, "height": 40}
    assert told["weights"]["sha256"] == _sha256(tiny_checkpoint)
    assert told["options"]["seed"] == 7 and told["options"]["scale"] == 2
    assert {"ssr", "python", "torch", "pillow"} <= set(told["versions"])
    assert told["device"]["kind"] == "cpu"
    assert told["kernels"]["blur_radius_px"]["median"] > 0
    assert told["faithfulness"]["lr_psnr_after"] >= told["faithfulness"]["lr_psnr_before"] - 0.5
    assert told["tiles"]["stages"]["restoring"]["steps"] == 1
    assert len(told["tiles"]["stages"]["restoring"]["seconds"]) == 1
    assert told["times"]["seconds"] > 0 and told["times"]["started"].endswith("+00:00")


def test_no_record_unless_asked(photo: Path, tiny_checkpoint: Path) -> None:
    assert _run("upscale", photo, "--model", tiny_checkpoint, "-q") == 0
    assert not list(photo.parent.glob("*.ssr.json"))


def test_every_tile_is_in_the_log(photo: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (70, 70, 3), dtype=np.uint8)).save(tmp_path / "big.png")
    assert _run("upscale", tmp_path / "big.png", "--tile", 32, "--model", tiny_checkpoint, "--sidecar", "-q") == 0
    stages = json.loads((tmp_path / "big_x4.ssr.json").read_text())["tiles"]["stages"]
    assert stages["restoring"]["steps"] == len(stages["restoring"]["seconds"]) == 9


def test_a_missing_result_is_made_again(record: Path, capsys) -> None:
    output = record.with_name("photo_x2.png")
    before = _sha256(output)
    output.unlink()
    assert _run("replay", record) == 0
    assert _sha256(output) == before
    assert capsys.readouterr().out.splitlines()[-1] == str(output)


def test_a_result_that_is_there_is_checked_and_left_alone(record: Path, capsys) -> None:
    output = record.with_name("photo_x2.png")
    when = output.stat().st_mtime_ns
    names = sorted(p.name for p in record.parent.iterdir())
    assert _run("replay", record, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["identical"] is True and told["output"] is None and told["differences"] == []
    assert output.stat().st_mtime_ns == when
    assert sorted(p.name for p in record.parent.iterdir()) == names


def test_another_seed_would_be_noticed(record: Path, capsys) -> None:
    """The replay can fail: what is replayed with another seed is not called identical."""
    told = json.loads(record.read_text())
    told["options"]["seed"] = 8
    record.write_text(json.dumps(told))
    assert _run("replay", record) == 8
    assert "pixels differ" in capsys.readouterr().err


def test_other_weights_and_versions_are_named(record: Path, tiny_checkpoint: Path, capsys) -> None:
    from ssr_cli.weights import save_checkpoint

    save_checkpoint(tiny_checkpoint, TINY.to_dict(), tiny_suite(seed=1).state_dict(), {})
    told = json.loads(record.read_text())
    told["versions"]["torch"] = "1.0"
    told["device"]["name"] = "another"
    record.write_text(json.dumps(told))
    assert _run("replay", record) == 8
    said = capsys.readouterr().err
    for part in ("weights of", "torch 1.0, now", "device name another, now", "pixels differ"):
        assert part in said


def test_a_changed_result_is_told_from_a_changed_replay(record: Path, capsys) -> None:
    output = record.with_name("photo_x2.png")
    Image.new("RGB", (48, 40)).save(output)
    assert _run("replay", record, "--json") == 0  # the replay gives what the record says, whatever lies there now
    assert json.loads(capsys.readouterr().out)["identical"] is True


def test_the_photo_may_have_moved_but_not_changed(record: Path, photo: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = photo.rename(tmp_path / "elsewhere" / "renamed.png")
    assert _run("replay", record) == 3
    assert "--input" in capsys.readouterr().err
    assert _run("replay", record, "--input", moved) == 0
    Image.new("RGB", (24, 20)).save(moved)
    assert _run("replay", record, "--input", moved) == 3
    assert "not the photo" in capsys.readouterr().err


def test_a_folder_that_moved_whole_still_replays(record: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    target = tmp_path / "moved"
    target.mkdir()
    for name in ("photo.png", "photo_x2.png", "photo_x2.ssr.json"):
        (tmp_path / name).rename(target / name)
    assert _run("replay", target / "photo_x2.ssr.json") == 0


def test_replay_to_another_file(record: Path, tmp_path: Path) -> None:
    assert _run("replay", record, "-o", tmp_path / "again.png") == 0
    assert _sha256(tmp_path / "again.png") == _sha256(tmp_path / "photo_x2.png")
    assert _run("replay", record, "-o", tmp_path / "again.png") == 4


def test_a_depth_map_is_part_of_the_record(photo: Path, tiny_checkpoint: Path, tmp_path: Path, capsys) -> None:
    depth = tmp_path / "depth.png"
    Image.fromarray(np.tile(np.arange(0, 240, 10, dtype=np.uint8), (20, 1))).save(depth)
    asked = ("--depth", depth, "--depth-invert", "--model", tiny_checkpoint, "--sidecar", "-q")
    assert _run("upscale", photo, *asked) == 0
    record = tmp_path / "photo_x4.ssr.json"
    assert json.loads(record.read_text())["depth"] == {"source": "depth.png", "invert": True, "sha256": _sha256(depth)}
    assert _run("replay", record) == 0
    depth.unlink()
    assert _run("replay", record) == 3
    assert "depth map" in capsys.readouterr().err


def test_batch_writes_records(photo: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert _run("batch", photo.parent, "-o", out, "--model", tiny_checkpoint, "--sidecar", "-q") == 0
    record = read_sidecar(out / "photo_x4.ssr.json")
    assert record.photo.resolve() == photo
    assert _run("replay", record.path) == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 99}', '{"format": 1, "input": 3}'])
def test_what_is_no_record_is_refused(text: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "a.ssr.json").write_text(text)
    assert _run("replay", tmp_path / "a.ssr.json") == 3
    assert "a.ssr.json" in capsys.readouterr().err
    assert _run("replay", tmp_path / "missing.ssr.json") == 3


def test_an_existing_record_is_not_overwritten(photo: Path, tiny_checkpoint: Path) -> None:
    precious = photo.with_name("photo_x4.ssr.json")
    precious.write_text("precious")
    assert _run("upscale", photo, "--model", tiny_checkpoint, "--sidecar", "-q") == 4
    assert precious.read_text() == "precious"
    assert not photo.with_name("photo_x4.png").exists()


def test_the_recorder_passes_everything_on(photo: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    tell = Recorder(photo).through(lambda *event: heard.append(event))
    events = [("a", 0, 2), ("a", 1, 2), ("a", 2, 2), ("b", 0, 1), ("c", 0, 0)]
    for event in events:
        tell(*event)
    assert heard == events
