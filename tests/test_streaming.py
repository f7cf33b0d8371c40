"""Results are written as they are made: the same file as the whole picture's, in memory that does not grow with it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssr_cli import pipeline, tile_pass
from ssr_cli.enlarge import PhotoEnlarging, enlarge
from ssr_cli.errors import DeviceError, OutputError
from ssr_cli.estimation import cut, refine
from ssr_cli.frames import Photo, PhotoStream
from ssr_cli.image import jpeg, writing
from ssr_cli.image.color import resize, resized
from ssr_cli.image.png import write_samples
from ssr_cli.image.reading import read_photo
from ssr_cli.image.rows import ROWS, rows_of
from ssr_cli.image.writing import write_photo
from ssr_cli.models.svkr import RoundState
from ssr_cli.settings import Delivery, UpscaleOptions


def _photo(height: int, width: int, mode: str = "RGB", deep: bool = False) -> Photo:
    coarse = torch.rand(1, 4, height // 4 + 2, width // 4 + 2, generator=torch.Generator().manual_seed(3))
    planes = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].clamp(0, 1)
    metadata: dict[str, object] = {"grey": mode.startswith("L"), "notes": []}
    if mode.endswith("A"):
        metadata["alpha"] = planes[3].contiguous()
    if deep:
        metadata["bits"] = 16
    return Photo(planes[:1].expand(3, -1, -1) if metadata["grey"] else planes[:3].contiguous(), metadata)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
@pytest.mark.parametrize("deep", [False, True])
def test_bands_make_the_file_of_the_whole(suffix: str, mode: str, deep: bool, tmp_path: Path) -> None:
    photo = _photo(150, 70, mode, deep)
    if suffix == ".jpg" and mode.endswith("A"):
        return
    alpha = photo.metadata.get("alpha")
    planes = photo.rgb if alpha is None else torch.cat([photo.rgb, alpha[None]])

    def bands() -> Iterator[torch.Tensor]:
        yield from (planes[:, a:b] for a, b in ((0, 5), (5, 90), (90, 91), (91, 150)))

    write_photo(photo, tmp_path / f"a{suffix}")
    write_photo(PhotoStream(150, 70, bands(), photo.metadata), tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@given(st.lists(st.integers(1, 200), min_size=1, max_size=9), st.sampled_from([1, 8, ROWS]))
def test_rows_are_regrouped(heights: list[int], count: int) -> None:
    plane = torch.arange(sum(heights))[None, :, None].expand(3, -1, 2)
    bands = iter(torch.split(plane, heights, 1))
    again = list(rows_of(bands, count))
    assert all(band.shape[1] == count for band in again[:-1])
    assert torch.equal(torch.cat(again, 1), plane)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_pillow_reads_what_is_written_as_png(channels: int, kind: type, tmp_path: Path) -> None:
    rng = np.random.default_rng(channels)
    smooth = np.cumsum(rng.integers(0, 3, (90, 40, channels)), 0)
    noise = rng.integers(0, np.iinfo(kind).max, (40, 40, channels))
    samples = np.concatenate([smooth, noise]).astype(kind)
    write_samples(samples, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        if kind == np.uint8:
            assert np.array_equal(np.asarray(image).reshape(samples.shape), samples)
        elif channels == 1:
            assert np.array_equal(np.asarray(image), samples[..., 0])
        image.load()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("height", [1, 8, 63, 64, 65, 128, 515, 600])
def test_a_jpeg_of_bands_decodes_to_that_of_the_whole(mode: str, height: int, tmp_path: Path) -> None:
    photo = _photo(height, 45, mode)
    write_photo(photo, tmp_path / "a.jpg")
    writing.to_image(photo).save(tmp_path / "b.jpg", quality=95, subsampling=0)
    with Image.open(tmp_path / "a.jpg") as ours, Image.open(tmp_path / "b.jpg") as theirs:
        assert ours.size == theirs.size == (45, height)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    assert jpeg.ROWS % 64 == 0


def test_a_large_tiff_is_a_bigtiff_and_keeps_its_pixels(tmp_path: Path, monkeypatch) -> None:
    from ssr_cli.image import tiff

    monkeypatch.setattr(tiff, "_LARGE", 1000)
    photo = _photo(130, 50)
    photo.metadata["icc"], photo.metadata["dpi"] = b"a profile", (300.0, 300.0)
    write_photo(photo, tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        assert np.array_equal(file.pages[0].asarray(), np.asarray(writing.to_image(photo)))
        assert file.pages[0].tags[34675].value == b"a profile"


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("size", [(63, 77), (60, 90), (200, 31), (120, 154), (59, 241), (1, 1), (121, 155)])
@pytest.mark.parametrize("heights", [(120,), (1, 119), (50, 40, 30), (7,) * 17 + (1,)])
def test_resizing_bands_is_resizing_the_whole(size: tuple[int, int], heights: tuple[int, ...]) -> None:
    image = torch.rand(3, 120, 154, generator=torch.Generator().manual_seed(0))
    whole = resize(image, size).clamp(0, 1)
    again = torch.cat(list(resized(iter(torch.split(image, heights, 1)), 120, size)), 1)
    assert again.shape == whole.shape
    assert float((again - whole).abs().max()) < 2e-5


@pytest.mark.parametrize("scale", [4.0, 3.0, 2.5, 7.3])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_tiled_equals_untiled_at_any_scale(scale: float, mode: str, tiny_models) -> None:
    photo = _photo(120, 100, mode)
    whole, tiled = (enlarge(photo, tiny_models, UpscaleOptions(tile=t, scale=scale)).photo for t in (0, 40))
    assert whole.rgb.shape == (3, round(120 * scale), round(100 * scale))
    assert float((whole.rgb - tiled.rgb).abs().max()) <= 1 / 255
    if mode == "RGBA":
        assert float((whole.metadata["alpha"] - tiled.metadata["alpha"]).abs().max()) <= 1 / 255


def test_strips_of_amf_are_amf(tiny_models) -> None:
    photo = _photo(200, 72)
    work = pipeline.prepare(photo, tiny_models, 0)
    with torch.inference_mode():
        y, _ = cut(work, work.tiles[0], tiny_models)
        state: RoundState = refine(work, work.tiles[0], tiny_models, [])[-1]
        prior = pipeline.fit_rounds(work, pipeline.Recovery(tiny_models, [], work.size, 64), lambda *_: None, 1)[0]
        whole = tiny_models.suite.amf(y, state, prior, tile_pass.counted(UpscaleOptions(), tiny_models))
        strips = tile_pass.fuse(tiny_models, y, state, prior, UpscaleOptions())
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(whole.pyramid, strips.pyramid, strict=True))
    assert torch.allclose(whole.gates, strips.gates, atol=1e-5)


def test_a_photo_that_does_not_fit_is_tiled_whatever_is_asked(tiny_models, monkeypatch) -> None:
    photo = _photo(136, 150)
    whole = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=0)).photo.rgb
    sizes = []
    real = pipeline.restore_tile

    def seen(work, tile, *rest):
        sizes.append(tile.padded.height * tile.padded.width)
        return real(work, tile, *rest)

    monkeypatch.setattr(pipeline, "pixels_that_fit", lambda device: (170 * 170, 170 * 170))
    monkeypatch.setattr(pipeline, "restore_tile", seen)
    tiled = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=512)).photo.rgb
    assert sizes == [136 * 150 + 136 * 2] or max(sizes) <= 170 * 170
    monkeypatch.setattr(pipeline, "pixels_that_fit", lambda device: (20_000, 20_000))
    sizes.clear()
    tiled = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=0)).photo.rgb
    assert len(sizes) > 1
    assert max(sizes) <= 160 * 160  # the smallest tile with its surroundings
    assert float((whole - tiled).abs().max()) <= 1 / 255


def test_a_large_photo_is_asked_at_windows_whatever_its_tiles(tiny_models, monkeypatch) -> None:
    from ssr_cli import estimation

    monkeypatch.setattr(estimation, "_ASKED_WHOLE", 100 * 100)
    monkeypatch.setattr(estimation, "_WINDOW", 40)
    photo = _photo(136, 150)
    whole, tiled = (pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=t)) for t in (0, 40))
    assert float((whole.photo.rgb - tiled.photo.rgb).abs().max()) <= 1 / 255
    assert whole.analysis.lens == tiled.analysis.lens


@pytest.mark.parametrize("most", [0, 1_000_000])
def test_windows_are_begun_once_where_their_rounds_fit(most: int, tiny_models, monkeypatch) -> None:
    from ssr_cli import estimation

    monkeypatch.setattr(estimation, "_ASKED_WHOLE", 100 * 100)
    monkeypatch.setattr(estimation, "_WINDOW", 40)
    monkeypatch.setattr(estimation, "_KEPT_PIXELS", most)
    work = pipeline.prepare(_photo(136, 150), tiny_models, 48)
    begun: list[int] = []
    real = tiny_models.suite.svkr.begin
    monkeypatch.setattr(tiny_models.suite.svkr, "begin", lambda *a: (begun.append(1), real(*a))[1])
    with torch.inference_mode():
        recovery = pipeline.Recovery(tiny_models, [], work.size, estimation.OVERLAP)
        priors = pipeline.fit_rounds(work, recovery, lambda *_: None)
    assert len(priors) == 2
    windows = len(estimation._asked(work))
    assert len(begun) == (windows if most else 2 * windows)
    assert not work.kept


def test_rounds_of_another_precision_are_not_gone_on_with(tiny_models) -> None:
    work = pipeline.prepare(_photo(40, 40), tiny_models, 0)
    with torch.inference_mode():
        refine(work, work.tiles[0], replace(tiny_models, precision=torch.bfloat16), [])
        first = work.kept[work.tiles[0]]
        refine(work, work.tiles[0], tiny_models, [])
        again = work.kept[work.tiles[0]]
    assert (first.features.dtype, again.features.dtype) == (torch.bfloat16, torch.float32)


# ---------------------------------------------------------------- faults


def test_a_tile_made_again_does_not_spoil_the_bands_before_it(tiny_models, monkeypatch, tmp_path: Path) -> None:
    photo = _photo(200, 64)
    options = UpscaleOptions(tile=72)
    expected = PhotoEnlarging(photo, tiny_models, options, delivery=Delivery(8))
    write_photo(expected.stream(), tmp_path / "a.png")
    real = pipeline.restore_tile

    def fails_late(work, tile, *rest):
        if tile.core.top >= 144 and tile.core.width > 40:
            raise torch.OutOfMemoryError("out of memory")
        made = real(work, tile, *rest)
        return replace(made, core=made.core * float("nan")) if tile.core.top == 72 and tile.core.height > 40 else made

    monkeypatch.setattr(pipeline, "restore_tile", fails_late)
    again = PhotoEnlarging(photo, tiny_models, options, delivery=Delivery(8))
    write_photo(again.stream(), tmp_path / "b.png")
    a, b = (np.asarray(Image.open(tmp_path / name)).astype(int) for name in ("a.png", "b.png"))
    assert int(np.abs(a - b).max()) <= 1
    assert any("memory ran out" in incident for incident in again.findings().incidents)
    assert again.findings().lr_psnr_after == pytest.approx(expected.findings().lr_psnr_after, abs=0.02)


def test_a_photo_that_fails_in_the_middle_leaves_nothing(tiny_models, monkeypatch, tmp_path: Path) -> None:
    real = pipeline.restore_tile

    def breaks(work, tile, *rest):
        made = real(work, tile, *rest)
        return replace(made, core=made.core * float("nan")) if tile.core.top > 60 else made

    monkeypatch.setattr(pipeline, "restore_tile", breaks)
    work = PhotoEnlarging(_photo(160, 60), tiny_models, UpscaleOptions(tile=64), delivery=Delivery(8))
    with pytest.raises(DeviceError, match="Whatever was tried"):
        write_photo(work.stream(), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_disk_that_fills_up_in_a_band_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    """The second band finds the disk full."""
    photo = _photo(300, 40)

    def bands() -> Iterator[torch.Tensor]:
        yield photo.rgb[:, :200]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="No space left on device"):
        write_photo(PhotoStream(300, 40, bands(), photo.metadata), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_killed_while_a_band_is_written_nothing_is_visible(tmp_path: Path, tiny_checkpoint: Path) -> None:
    photo = tmp_path / "a.png"
    Image.effect_noise((96, 600), 60).save(photo)
    command = [sys.executable, "-m", "ssr_cli", "upscale", str(photo), "--tile", "32", "--model", str(tiny_checkpoint)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not any(p.stat().st_size for p in tmp_path.glob(".ssr-*")):
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a_x4.png").exists()
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == {"a.png", tiny_checkpoint.name}


_PEAK = """
import resource, sys, torch
from pathlib import Path
from ssr_cli.enlarge import PhotoEnlarging
from ssr_cli.image.reading import read_photo
from ssr_cli.image.writing import write_photo
from ssr_cli.settings import Delivery, UpscaleOptions
from ssr_cli.suite import load_models
from ssr_cli.weights import load_checkpoint
torch.set_num_threads(1)
models = load_models(load_checkpoint(sys.argv[1]), torch.device("cpu"))
work = PhotoEnlarging(
    read_photo(Path(sys.argv[2])), models, UpscaleOptions(steps=0, tile=int(sys.argv[4])), delivery=Delivery(8, 4096)
)
write_photo(work.stream(), Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss in kB")
def test_memory_grows_by_the_photo_and_a_band_alone(tmp_path: Path, tiny_checkpoint: Path) -> None:
    """Six times the pixels, in the same width: the result is 60 MB larger, memory by the photo and its depth."""

    def peak(height: int) -> float:
        path = tmp_path / f"{height}.png"
        Image.effect_noise((512, height), 40).convert("RGB").save(path)
        command = [
            sys.executable,
            "-c",
            _PEAK,
            str(tiny_checkpoint),
            str(path),
            str(tmp_path / f"{height}o.png"),
            "96",
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=900)
        return int(made.stdout) / 1024

    small, large = peak(512), peak(3072)
    decoded = 3 * 4 * 512 * (3072 - 512) / 2**20  # float32; its depth is a third of it
    result = 3 * 16 * 512 * (3072 - 512) / 2**20
    assert result == 60

    assert large - small < 1.34 * decoded + 20  # what the allocator keeps
    assert read_photo(tmp_path / "3072o.png").rgb.shape == (3, 12288, 2048)
