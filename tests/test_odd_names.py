"""Odd names, links and limits: every photo gets a result of its own, and none is left out or overwritten."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from ssr_cli import cli, paths
from ssr_cli.errors import InputError
from ssr_cli.image import lengths
from ssr_cli.image.lengths import check_length
from ssr_cli.image.reading import read_photo
from ssr_cli.journal import NAME


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, tiny_models, tmp_path: Path) -> None:
    for module in ("upscale", "batch_jobs"):
        monkeypatch.setattr(f"ssr_cli.commands.{module}.load", lambda *_: tiny_models)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    made.mkdir()
    return made


def _run(*words: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([*map(str, words)])
    return int(stopped.value.code or 0)


def _picture(path: Path) -> Path:
    Image.new("RGB", (12, 8), "teal").save(path, "PNG")
    return path


def _statuses(capsys) -> dict[str, str]:
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {Path(row["input"]).name: row["status"] for row in rows if "input" in row}


ODD = [
    "with space.png",
    "a#b%20.png",
    "x.200.png",
    "dots..png",
    "...many.dots.png",
    "ünï-日本.png",
    "e\u0301.png",
    "-s.png",
]
ODD += [
    "$HOME `ls` *?.png",
    "new\nline.png",
    "tab\t.png",
    "\u2028.png",
    "rtl\u202e.png",
    "a" * 251 + ".png",
    "日" * 83 + ".png",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(name: str, folder: Path, capsys) -> None:
    photo = _picture(folder / name)
    hidden = name.startswith(".")
    assert _run("upscale", "--json", "-s", "2", "--sidecar", "--save-confidence", "--", photo) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["output"]).parent == folder
    assert all(Path(told[key]).is_file() for key in ("output", "sidecar", "confidence"))
    assert len({told[key] for key in ("output", "sidecar", "confidence")}) == 3
    out = folder.parent / "out"
    # the result of before is no photo
    assert _run("batch", folder, "-o", out, "--json") == (3 if hidden else 0)
    if not hidden:
        assert _statuses(capsys) == {name: "done"}
        assert _run("batch", folder, "-o", out, "--json") == 0
        assert _statuses(capsys) == {name: "kept"}


@pytest.mark.skipif(sys.platform != "linux", reason="names need not be text")
def test_a_name_that_is_no_text(folder: Path, capsysbinary) -> None:
    _picture(folder / "a.png").rename(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png"))
    _picture(folder / "b.png")
    assert _run("batch", folder, "-o", folder.parent / "out", "--json") == 0
    rows = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [row["status"] for row in rows] == ["done", "done"]
    assert os.listdir(os.fsencode(folder.parent / "out")).count(b"\xff\xfe_x4.png") == 1
    assert _run("batch", folder, "-o", folder.parent / "out", "--json") == 0
    rows = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    assert [row["status"] for row in rows] == ["kept", "kept"]
    assert (folder.parent / "out" / NAME).read_text("ascii").count("\n") == 2


def test_a_name_longer_than_a_file_system_allows_is_a_sentence(folder: Path, capsys) -> None:
    assert _run("upscale", folder / ("a" * 300 + ".png")) == 3
    assert _run("upscale", _picture(folder / "a.png"), "-o", folder / ("a" * 300 + ".png")) == 4
    assert "Traceback" not in capsys.readouterr().err


# ---------------------------------------------------------------- what is a photo, and what a result


def test_photos_that_are_called_like_results_are_photos(folder: Path) -> None:
    for name in ("bmw_x5.jpg", "a.jpg", "a_x4.png", "a_x4-2.png", "a_x2.5.webp", "b.jpg", "b.png", "b_jpg_x4.png"):
        (folder / name).touch()
    for name in ("a_x4.kernel.png", "a_x4.depth.png", "a_x4.invented.png", "a_x4.confidence.png", "a.inspect.png"):
        (folder / name).touch()
    found = [p.name for p in paths.expand_folder(folder, False)]
    assert found == ["a.jpg", "b.jpg", "b.png", "bmw_x5.jpg"]


@given(st.lists(st.sampled_from(["a", "A", "a_jpg", "a_png", "a_JPG", "a_jpg_x4", "b"]), min_size=1, unique=True))
def test_no_result_has_the_name_of_another(stems: list[str]) -> None:
    photos = sorted(Path("in") / f"{stem}{suffix}" for stem in stems for suffix in (".jpg", ".png", ".JPG"))
    targets = [str(target).casefold() for _, target in paths.plan_batch(photos, Path("in"), 4, Path("out"))]
    assert len(set(targets)) == len(photos)


# ---------------------------------------------------------------- links


def test_links_in_and_out(folder: Path, tmp_path: Path, capsys) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "link.png").symlink_to(_picture(elsewhere / "far.png"))
    (folder / "nowhere.png").symlink_to(elsewhere / "none.png")
    (folder / "sub").symlink_to(elsewhere)
    (folder / "loop").symlink_to(folder)
    (tmp_path / "out").symlink_to(elsewhere)
    assert _run("batch", folder, "-r", "-o", tmp_path / "out", "--json") == 0
    assert _statuses(capsys) == {"link.png": "done"}
    assert sorted(p.name for p in elsewhere.iterdir()) == [NAME, "far.png", "link_x4.png"]
    assert _run("upscale", folder / "link.png", "--json") == 0
    assert (folder / "link_x4.png").is_file()
    assert not (elsewhere / "far_x4.png").exists()


@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_link_in_the_results_place_is_not_followed(there: bool, folder: Path, tmp_path: Path, capsys) -> None:
    photo, precious, target = _picture(folder / "a.png"), tmp_path / "precious.png", folder / "a_x4.png"
    if there:
        precious.write_bytes(b"precious")
    target.symlink_to(precious)
    assert _run("upscale", photo) == 4
    assert _run("batch", folder, "--json") == 0
    assert _statuses(capsys) == {"a.png": "skipped"}
    assert _run("upscale", photo, "--force") == 0
    assert not target.is_symlink()
    assert Image.open(target).size == (48, 32)
    assert precious.exists() == there
    assert not there or precious.read_bytes() == b"precious"


# ---------------------------------------------------------------- limits and lies


def test_max_pixels_raises_pillows_limit_too(folder: Path, monkeypatch) -> None:
    photo = _picture(folder / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_photo(photo).width == 12
    assert Image.MAX_IMAGE_PIXELS == 10
    with pytest.raises(InputError, match="more than the 95 allowed"):
        read_photo(photo, max_pixels=95)


def test_a_header_that_lies_about_the_size(folder: Path, capsys) -> None:
    import struct
    import zlib

    photo = _picture(folder / "a.png")
    whole = photo.read_bytes()

    def lying(width: int, height: int) -> bytes:
        header = b"IHDR" + struct.pack(">II", width, height) + whole[24:29]
        return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]

    for size, said in (
        ((200_000, 200_000), "--max-pixels"),
        ((300, 300), "damaged or incomplete"),
        ((12, 9), "damaged"),
    ):
        photo.write_bytes(lying(*size))
        assert _run("upscale", photo) == 3
        assert said in capsys.readouterr().err
    assert [p.name for p in folder.iterdir()] == ["a.png"]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("rows", [8, 40, 100])
def test_a_tiff_that_lies_about_its_height(kind: type, compression: str | None, rows: int, tmp_path: Path) -> None:
    import struct

    samples = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (40, 30, 3)).astype(kind)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples, photometric="rgb", compression=compression, rowsperstrip=rows)
    assert read_photo(path).height == 40
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    for entry in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind_of_number = struct.unpack_from("<HH", data, entry)
        if tag == 257:
            struct.pack_into("<H" if kind_of_number == 3 else "<I", data, entry + 8, 80)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged or incomplete"):
        read_photo(path)


def test_a_png_of_any_kind_is_as_long_as_it_says(tmp_path: Path) -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        for size in ((1, 1), (7, 3), (33, 20)):
            Image.new(mode, size).save(tmp_path / "a.png")
            check_length(tmp_path / "a.png")
            assert (read_photo(tmp_path / "a.png").width, read_photo(tmp_path / "a.png").height) == size
    # 9 x 5 in seven passes of 2, 1, 3, 2, 5, 4 and 9 columns: each row has a filter's byte
    assert (
        lengths._expected(bytes.fromhex("00000009 00000005 08 00 00 00 01")) == 3 + 2 + 4 + 2 * 3 + 6 + 3 * 5 + 2 * 10
    )


def test_colours_that_cannot_be_converted_are_named(folder: Path) -> None:
    lab = ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(
        Image.new("RGB", (8, 8), "red"), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
    )
    assert image is not None
    image.save(folder / "a.tif")
    with pytest.raises(InputError, match="LAB colours, which are not supported"):
        read_photo(folder / "a.tif")


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_full_disk_fails_its_photo_and_the_batch_goes_on_when_there_is_room(
    folder: Path, tmp_path: Path, capsys
) -> None:
    """No file may grow beyond 20 kB: the noisy photo does not fit, the plain ones and the journal do."""
    import resource

    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "b.png")
    for name in ("a.png", "c.png"):
        _picture(folder / name)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        assert _run("batch", folder, "-o", tmp_path / "out", "--json") == 7
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert _statuses(capsys) == {"a.png": "done", "b.png": "failed", "c.png": "done"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [NAME, "a_x4.png", "c_x4.png"]
    assert _run("batch", folder, "-o", tmp_path / "out", "--json") == 0
    assert _statuses(capsys) == {"a.png": "kept", "b.png": "done", "c.png": "kept"}
