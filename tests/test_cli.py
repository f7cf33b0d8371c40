"""The command line: light start, every bad input, nothing overwritten, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssr_cli.cli import main
from ssr_cli.commands import batch_jobs, demo, inspect_kernel, upscale
from ssr_cli.image import writing
from ssr_cli.image.png import write_samples


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    return int(stopped.value.code or 0)


def _picture(path: Path, size: tuple[int, int] = (24, 20), mode: str = "RGB", **save: object) -> Path:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode).save(path, **save)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return _picture(tmp_path / "photo.png")


@pytest.fixture(autouse=True)
def _tiny_model_and_no_config(tiny_models, monkeypatch, tmp_path) -> None:
    """The real commands with tiny random models, away from this user's config."""
    # All are imported before one is changed: a module imported later would keep the changed one for good.
    for command in (upscale, batch_jobs, inspect_kernel, demo):
        monkeypatch.setattr(command, "load", lambda model, options, console: tiny_models)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("SSR_DEVICE", "SSR_TILE", "SSR_STEPS", "SSR_SEED"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("arguments", [["--help"], ["upscale", "--help"], ["--version"], ["batch", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom ssr_cli.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as e:\n    assert not e.code, e.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'diffusers', 'huggingface_hub', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ssr" in done.stdout


def test_the_lite_path_imports_neither_diffusers_nor_transformers() -> None:
    code = (
        "import sys, ssr_cli.pipeline, ssr_cli.weights, ssr_cli.image.reading, ssr_cli.image.writing, ssr_cli.views\n"
        "assert not {'diffusers', 'transformers', 'huggingface_hub', 'torchvision', 'scipy'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_upscale_writes_beside_the_photo(photo: Path, capsys) -> None:
    assert _run("upscale", photo, "-s", 2) == 0
    target = photo.with_name("photo_x2.png")
    assert capsys.readouterr().out.strip() == str(target)
    with Image.open(target) as result:
        assert result.size == (48, 40)
    assert oct(target.stat().st_mode & 0o777) == oct(0o666 & ~_umask())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_companions_and_json(photo: Path, capsys) -> None:
    assert _run("upscale", photo, "--save-kernel", "--save-depth", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["width"] == 96
    for key in ("output", "kernel", "depth"):
        assert Path(told[key]).is_file()
    assert Path(told["kernel"]).name == "photo_x4.kernel.png"


def test_never_overwrites_without_force(photo: Path, capsys) -> None:
    target = photo.with_name("photo_x4.png")
    target.write_bytes(b"precious")
    assert _run("upscale", photo) == 4
    assert target.read_bytes() == b"precious"
    assert "--force" in capsys.readouterr().err
    assert _run("upscale", photo, "--force") == 0
    assert target.read_bytes() != b"precious"


def test_inspect_kernel(photo: Path, capsys) -> None:
    assert _run("inspect-kernel", photo, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["blur_radius_px"]["p5"] <= told["blur_radius_px"]["median"] <= told["blur_radius_px"]["p95"]
    assert sum(told["kinds"].values()) == pytest.approx(1, abs=0.01)
    assert len(told["rounds"]) == 2
    with Image.open(told["picture"]) as picture:
        assert min(picture.size) > 300
    assert _run("inspect-kernel", photo, "--force") == 0
    assert "thin lens" in capsys.readouterr().out


def test_demo_needs_nothing(tmp_path: Path, capsys) -> None:
    assert _run("demo", "-o", tmp_path / "demo", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["scores"]) == {"bicubic", "mean", "result"}
    assert len(told["rounds"]) == 3
    assert (tmp_path / "demo" / "demo_truth.png").is_file()
    assert _run("demo", "-o", tmp_path / "demo") == 4


def test_batch_goes_on_after_a_bad_file(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    _picture(folder / "a.png")
    _picture(folder / "a.jpg")
    _picture(folder / "deep" / "c.png")
    (folder / "b.jpg").write_text("not a photo")
    (folder / "notes.txt").write_text("hello")
    assert _run("batch", folder, "-r", "-o", tmp_path / "out", "--json") == 7
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    status = {Path(line["input"]).relative_to(folder).as_posix(): line["status"] for line in lines if "input" in line}
    assert status == {"a.jpg": "done", "a.png": "done", "b.jpg": "failed", "deep/c.png": "done"}
    outputs = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert outputs == [".ssr-batch.jsonl", "a_jpg_x4.png", "a_png_x4.png", "deep/c_x4.png"]
    (folder / "b.jpg").unlink()
    assert _run("batch", folder, "-r", "-o", tmp_path / "out") == 0
    assert "3 kept" in capsys.readouterr().out


def test_batch_leaves_its_own_results_alone(photo: Path, capsys) -> None:
    assert _run("batch", photo.parent) == 0
    assert _run("batch", photo.parent, "--force", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [Path(line["input"]).name for line in lines] == ["photo.png"]


def _text_as_jpeg(folder: Path) -> Path:
    path = folder / "text.jpg"
    path.write_text("this is not a photo\n" * 40)
    return path


def _truncated(folder: Path) -> Path:
    path = _picture(folder / "cut.jpg", (200, 150))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def _truncated_png(folder: Path) -> Path:
    path = _picture(folder / "cut.png", (200, 150))
    path.write_bytes(path.read_bytes()[:-3000])
    return path


def _empty(folder: Path) -> Path:
    path = folder / "empty.png"
    path.touch()
    return path


def _float_tiff(folder: Path) -> Path:
    path = folder / "deep.tif"
    Image.fromarray(np.zeros((20, 20), np.float32)).save(path)
    return path


def _truncated_deep_tiff(folder: Path) -> Path:
    path = folder / "deep_cut.tif"
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100).save(path)
    path.write_bytes(path.read_bytes()[:-300])
    return path


def _truncated_deep(folder: Path) -> Path:
    path = folder / "deep_cut.png"
    write_samples(np.random.default_rng(0).integers(0, 65_536, (40, 40, 4), dtype=np.uint16), path)
    path.write_bytes(path.read_bytes()[:-3000])
    return path


def _animated(folder: Path, name: str) -> Path:
    frames = [Image.new("RGB", (20, 20), c) for c in ("red", "blue", "green")]
    frames[0].save(folder / name, save_all=True, append_images=frames[1:], duration=50)
    return folder / name


BAD = {
    "missing": lambda f: f / "none.jpg",
    "folder": lambda f: f,
    "text": _text_as_jpeg,
    "truncated jpeg": _truncated,
    "truncated png": _truncated_png,
    "empty": _empty,
    "floating-point TIFF": _float_tiff,
    "truncated 16-bit TIFF": _truncated_deep_tiff,
    "truncated 16-bit png": _truncated_deep,
    "animated gif": lambda f: _animated(f, "a.gif"),
    "animated webp": lambda f: _animated(f, "a.webp"),
    "animated png": lambda f: _animated(f, "a.png"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("command", ["upscale", "inspect-kernel"])
def test_bad_photos(kind: str, command: str, tmp_path: Path, capsys) -> None:
    path = BAD[kind](tmp_path)
    before = sorted(tmp_path.iterdir())
    assert _run(command, path) == 3
    _one_sentence(capsys.readouterr(), path.name)
    assert sorted(tmp_path.iterdir()) == before


def _one_sentence(captured, names: str) -> None:
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert names in lines[0]
    assert "Traceback" not in captured.err
    assert lines[0].count(". ") >= 1  # the failure, then the next step
    assert captured.out == ""


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (["-s", "0"], "Scale 0"),
        (["-s", "1"], "Scale 1"),
        (["-s", "9"], "Scale 9"),
        (["-s", "nan"], "nan"),
        (["-s", "four"], "--scale"),
        (["--tile", "-4"], "-4"),
        (["--tile", "8"], "8"),
        (["--steps", "-1"], "-1"),
        (["--seed", "-1"], "-1"),
        (["--device", "quantum"], "quantum"),
        (["--device", "cuda:x"], "cuda:x"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_bad_options(photo: Path, flags: list[str], names: str, capsys) -> None:
    assert _run("upscale", photo, *flags) == 2
    _one_sentence(capsys.readouterr(), names)
    assert sorted(photo.parent.iterdir()) == [photo]


def test_bad_outputs(photo: Path, tmp_path: Path, capsys) -> None:
    for out in (tmp_path / "none" / "x.png", tmp_path / "x.gif", tmp_path / "x"):
        assert _run("upscale", photo, "-o", out) == 4
        _one_sentence(capsys.readouterr(), "")
    assert sorted(tmp_path.iterdir()) == [photo]


def test_read_only_folder(photo: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    import tempfile

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root may write anywhere, so the refusal is made
    assert _run("upscale", photo) == 4
    _one_sentence(capsys.readouterr(), str(tmp_path))


def test_a_full_disk_leaves_nothing(photo: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    def full(blocks, layout, path, *args):
        next(iter(blocks))
        path.write_bytes(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing, "write_png", full)
    assert _run("upscale", photo) == 4
    _one_sentence(capsys.readouterr(), "photo_x4.png")
    assert sorted(tmp_path.iterdir()) == [photo]


def test_an_output_that_appears_meanwhile_is_kept(photo: Path, tmp_path: Path, monkeypatch) -> None:
    target = tmp_path / "photo_x4.png"
    real = writing.write_png

    def save(*args):
        real(*args)
        target.write_bytes(b"somebody else's")

    monkeypatch.setattr(writing, "write_png", save)
    assert _run("upscale", photo) == 4
    assert target.read_bytes() == b"somebody else's"
    assert sorted(tmp_path.iterdir()) == [photo, target]


def test_interruption_leaves_nothing(photo: Path, tmp_path: Path, monkeypatch) -> None:
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "write_png", interrupted)
    assert _run("upscale", photo) == 130
    assert sorted(tmp_path.iterdir()) == [photo]


def test_a_defect_is_a_sentence_too(photo: Path, capsys, monkeypatch) -> None:
    monkeypatch.delenv("SSR_DEBUG", raising=False)

    def defect(*args, **kwargs):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("ssr_cli.enlarge.PhotoEnlarging.stream", defect)
    assert _run("upscale", photo) == 70
    assert "Traceback" not in capsys.readouterr().err


def test_environment_and_config_file(photo: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("SSR_TILE", "-3")
    assert _run("upscale", photo) == 2
    monkeypatch.setenv("SSR_TILE", "64")
    config = tmp_path / "config" / "ssr" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('device = "cpu"\ncolour = 3\n')
    assert _run("upscale", photo) == 2
    assert "colour" in capsys.readouterr().err
    config.write_text('device = "cpu"\n')
    assert _run("upscale", photo) == 0


def test_what_was_invented_and_how_sure_it_is_are_written_beside(photo: Path, tmp_path: Path, capsys) -> None:
    assert _run("upscale", photo, "--save-invented", "--save-confidence", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert 0 < told["invented_share"] < 1.1
    with (
        Image.open(told["output"]) as result,
        Image.open(told["invented"]) as invented,
        Image.open(told["confidence"]) as sure,
    ):
        assert result.size == invented.size == sure.size
        assert (invented.mode, sure.mode) == ("RGB", "L")
