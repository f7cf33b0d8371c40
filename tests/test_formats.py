"""Formats x modes x what a photo carries, there and back; transparency without halos; extras; dithering."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms, JpegImagePlugin

from ssr_cli.enlarge import enlarge
from ssr_cli.errors import InputError, OutputError, UsageError
from ssr_cli.frames import Photo
from ssr_cli.image import tiff
from ssr_cli.image.alpha import bleed, within_neighbours
from ssr_cli.image.formats import EXTRAS, WRITTEN
from ssr_cli.image.iptc import iptc_segment
from ssr_cli.image.metadata import stripped
from ssr_cli.image.reading import read_photo
from ssr_cli.image.writing import check_format, write_photo
from ssr_cli.settings import FileOptions, UpscaleOptions

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:D tiff:Orientation="6" dc:title="a title"/></x:xmpmeta>'
IPTC = b"\x1c\x02\x50\x00\x05maker"
LOSSY = {".jpg": 3, ".webp": 4, ".avif": 5}


def _pixels(channels: int, deep: bool = False) -> np.ndarray:
    y, x = np.mgrid[0:24, 0:32]
    planes = np.stack([x * 7, y * 9, (x + y) * 4, 255 - x * 3], -1)[..., : max(channels, 1)].astype(np.uint8)
    return planes.astype(np.uint16) * 257 + 13 if deep else planes


def _photo(mode: str, deep: bool = False) -> Photo:
    """A photo as it would have been read, with everything it can carry."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif.get_ifd(0x8769)[0x829A] = 0.5
    metadata = {"exif": exif, "xmp": XMP, "iptc": IPTC, "icc": ICC, "dpi": (300.0, 300.0), "notes": []}
    colour = torch.from_numpy(_pixels(3, deep).astype(np.float32) / (65_535 if deep else 255)).permute(2, 0, 1)
    metadata["grey"] = mode.startswith("L")
    if mode.endswith("A"):
        metadata["alpha"] = colour[2].clone()
    if deep:
        metadata["bits"] = 16
    rgb = colour[:1].expand(3, -1, -1).contiguous() if metadata["grey"] else colour
    return Photo(rgb, metadata)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
@pytest.mark.parametrize("deep", [False, True])
def test_there_and_back(suffix: str, mode: str, deep: bool, tmp_path: Path) -> None:
    photo = _photo(mode, deep)
    path = tmp_path / f"a{suffix}"
    if suffix == ".jpg" and mode.endswith("A"):
        with pytest.raises(OutputError, match="transparency"):
            write_photo(photo, path)
        return
    write_photo(photo, path)
    again = read_photo(path)
    kept = deep and suffix in (".png", ".tif")
    assert (again.metadata.get("bits") == 16) == kept
    limit = LOSSY.get(suffix, 0) + (1.01 if deep and not kept else 0)
    assert float((again.rgb - photo.rgb).abs().max()) * 255 <= max(limit * 4, 0.001)
    assert float((again.rgb - photo.rgb).abs().mean()) * 255 <= max(limit, 0.001)
    if mode.startswith("L") and suffix not in (".webp", ".avif"):  # these two know no grey
        assert again.metadata["grey"]
    if mode.endswith("A"):
        assert float((again.metadata["alpha"] - photo.metadata["alpha"]).abs().max()) <= (0.03 if limit else 1 / 255)
    assert again.metadata["icc"] == ICC
    assert b"a title" in again.metadata["xmp"]
    assert b'tiff:Orientation="1"' in again.metadata["xmp"]
    assert again.metadata["exif"][0x010F].rstrip("\0") == "Maker"
    assert again.metadata["exif"].get(0x0112, 1) == 1
    assert float(again.metadata["exif"].get_ifd(0x8769)[0x829A]) == 0.5
    assert (again.width, again.height) == (32, 24)
    if suffix in (".png", ".jpg", ".tif"):
        assert again.metadata["dpi"] == pytest.approx((300, 300), abs=0.1)
    if suffix in (".jpg", ".tif"):
        assert again.metadata["iptc"] == IPTC
    if suffix == ".jpg":
        with Image.open(path) as image:
            assert JpegImagePlugin.get_sampling(image) == (0 if mode == "RGB" else -1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_strip_drops_all_that_is_carried(suffix: str, tmp_path: Path) -> None:
    write_photo(stripped(_photo("RGB")), tmp_path / f"a{suffix}")
    again = read_photo(tmp_path / f"a{suffix}")
    assert not {"exif", "xmp", "iptc", "icc"} & set(again.metadata)


def test_a_makers_note_too_long_for_a_jpeg_is_dropped_and_the_rest_kept(tmp_path: Path) -> None:
    photo = _photo("RGB")
    photo.metadata["exif"].get_ifd(0x8769)[0x927C] = b"x" * 70_000
    write_photo(photo, tmp_path / "a.jpg")
    again = read_photo(tmp_path / "a.jpg")
    assert again.metadata["exif"][0x010F] == "Maker"
    assert 0x927C not in again.metadata["exif"].get_ifd(0x8769)


def test_iptc_is_what_others_read(tmp_path: Path) -> None:
    assert iptc_segment(IPTC)[:4] == b"\xff\xed\x00" + bytes([len(iptc_segment(IPTC)) - 2])
    write_photo(_photo("RGB"), tmp_path / "a.jpg")
    from PIL import IptcImagePlugin

    with Image.open(tmp_path / "a.jpg") as image:
        assert IptcImagePlugin.getiptcinfo(image)[(2, 0x50)] == b"maker"


# ---------------------------------------------------------------- TIFF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_tiff_stands_upright(orientation: int, tmp_path: Path) -> None:
    stored = _pixels(3, deep=True)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    eight = (stored // 257).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(eight).save(tmp_path / "b.png", exif=exif)
    deep, plain = read_photo(tmp_path / "a.tif"), read_photo(tmp_path / "b.png")
    assert deep.rgb.shape == plain.rgb.shape
    assert float((deep.rgb - plain.rgb).abs().max()) < 1 / 255


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_deep_tiffs_of_others(planar: str, compression: str | None, tmp_path: Path) -> None:
    stored = _pixels(3, deep=True)
    given = stored if planar == "contig" else np.moveaxis(stored, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", given, photometric="rgb", planarconfig=planar, compression=compression)
    photo = read_photo(tmp_path / "a.tif")
    assert np.array_equal((photo.rgb.permute(1, 2, 0) * 65_535).round().numpy().astype(np.uint16), stored)


def test_tiffs_that_are_not_pictures_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((8, 8), np.float32))
    with pytest.raises(InputError, match="more than 8 bits"):
        read_photo(tmp_path / "float.tif")
    tifffile.imwrite(tmp_path / "pages.tif", np.zeros((3, 8, 8), np.uint16), photometric="minisblack")
    with pytest.raises(InputError, match="several pages"):
        read_photo(tmp_path / "pages.tif")
    assert read_photo(tmp_path / "pages.tif", first_frame=True).width == 8
    assert tiff.look(Path(__file__)) is None


def test_a_compression_that_needs_an_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _pixels(3, deep=True), photometric="rgb")

    def missing(*_: object, **__: object) -> None:
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", missing)
    with pytest.raises(InputError, match="extra 'tiff'"):
        read_photo(tmp_path / "a.tif")


# ---------------------------------------------------------------- frames, extras, limits


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_are_refused_unless_the_first_frame_is_wanted(name: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match="animated or has several pages"):
        read_photo(tmp_path / name)
    photo = read_photo(tmp_path / name, first_frame=True)
    assert float(photo.rgb[0].mean()) > 0.9
    assert float(photo.rgb[2].mean()) < 0.1


@pytest.mark.parametrize("extra", EXTRAS, ids=lambda e: e.name)
def test_a_format_without_its_extra_says_which(extra, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, extra.module, None)
    path = tmp_path / f"a{extra.suffixes[0]}"
    path.write_bytes(b"something")
    with pytest.raises(InputError, match=f"needs the extra '{extra.name}'"):
        read_photo(path)


def test_limits_of_formats_are_known_before_the_work(tmp_path: Path) -> None:
    photo = Photo(torch.zeros(3, 2, 20_000))
    check_format(photo, tmp_path / "a.tif", 4)
    for suffix in (".jpg", ".webp", ".avif"):
        with pytest.raises(OutputError, match="cannot hold 80000 x 8"):
            check_format(photo, tmp_path / f"a{suffix}", 4)
    with pytest.raises(OutputError, match="does not write"):
        check_format(photo, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="no format 'gif'"):
        FileOptions(format="gif")
    with pytest.raises(UsageError, match="allows no photo"):
        FileOptions(max_pixels=0)
    assert {"png", "jpg", "webp", "tif", "avif"} == set(WRITTEN.values())


@pytest.mark.parametrize("kind", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_whole_numbers_are_written_as_they_are(kind: torch.dtype, mode: str, suffix: str, tmp_path: Path) -> None:
    """A file of whole numbers is the file of the same values in float32."""
    photo = _photo(mode, deep=kind == torch.uint16)
    if suffix == ".jpg" and mode.endswith("A"):
        return
    largest = 255 if kind == torch.uint8 else 65_535
    whole = Photo((photo.rgb * largest).round().to(kind), photo.metadata)
    write_photo(photo, tmp_path / f"a{suffix}")
    write_photo(whole, tmp_path / f"b{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_sixteen_bits_become_eight_without_steps(tmp_path: Path) -> None:
    """A ramp over four levels of eight bits: rounding makes four flat steps, dithering keeps the slope."""
    ramp = torch.linspace(100, 104, 512).expand(3, 64, -1) / 255
    write_photo(Photo(ramp.contiguous(), {"bits": 16}), tmp_path / "a.jpg")
    write_photo(Photo(ramp.contiguous(), {"bits": 16}), tmp_path / "a.webp")
    from ssr_cli.image.writing import to_image

    means = np.asarray(to_image(Photo(ramp.contiguous(), {"bits": 16}))).astype(float).mean((0, 2))
    smooth = np.convolve(means, np.ones(32) / 32, "valid")
    expected = np.convolve(np.linspace(100, 104, 512), np.ones(32) / 32, "valid")
    assert float(np.abs(smooth - expected).max()) < 0.15
    plain = np.asarray(to_image(Photo(ramp.contiguous()))).astype(float).mean((0, 2))
    assert len(np.unique(plain)) <= 5


def test_five_thousand_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    """No traceback, no hang, no value that is no number, whatever a disk or a phone did to a file."""
    kinds = [("a.png", "RGBA", False), ("b.png", "RGB", True), ("c.png", "LA", True), ("a.jpg", "RGB", False)]
    kinds += [("a.webp", "RGBA", False), ("a.tif", "RGB", False), ("b.tif", "RGBA", True), ("a.avif", "RGB", False)]
    whole: dict[str, bytes] = {}
    for name, mode, deep in kinds:
        write_photo(_photo(mode, deep), tmp_path / name)
        whole[name] = (tmp_path / name).read_bytes()
    for name in ("a.gif", "a.bmp"):
        Image.new("P" if name == "a.gif" else "RGB", (32, 24)).save(tmp_path / name)
        whole[name] = (tmp_path / name).read_bytes()
    names, read, unnamed = list(whole), 0, 0
    for seed in range(5000):
        rng = np.random.default_rng(seed)
        name = names[seed % len(names)]
        data = bytearray(whole[name])
        for place in rng.integers(0, len(data), int(rng.integers(1, 12))):
            data[place] = int(rng.integers(256))
        if rng.random() < 0.4:
            data = data[: int(rng.integers(1, len(data) + 1))]
        (tmp_path / name).write_bytes(data)
        try:
            photo = read_photo(tmp_path / name, max_pixels=1_000_000)
        except InputError as error:
            unnamed += name not in error.message
            continue
        assert bool(photo.rgb.isfinite().all()), seed
        read += 1
    assert read > 500
    assert unnamed == 0


# ---------------------------------------------------------------- transparency


def test_hidden_colours_are_replaced_by_their_surroundings() -> None:
    rgb = torch.zeros(3, 40, 40)
    rgb[0, :, :20] = 1.0  # red is visible, green is hidden
    rgb[1, :, 20:] = 1.0
    alpha = torch.zeros(40, 40)
    alpha[:, :20] = 1.0
    filled = bleed(rgb, alpha)
    assert torch.equal(filled[:, :, :20], rgb[:, :, :20])
    assert float(filled[0].min()) > 0.99
    assert float(filled[1].max()) < 0.01
    assert torch.equal(bleed(rgb, torch.zeros(40, 40)), rgb)
    assert torch.equal(bleed(rgb, torch.ones(40, 40)), rgb)


def test_a_mask_has_no_ring() -> None:
    alpha = torch.zeros(16, 16)
    alpha[4:12, 4:12] = 1.0
    mask = torch.nn.functional.interpolate(alpha[None, None], scale_factor=4.0, mode="bicubic")[0, 0]
    mask = mask + 0.05 * torch.randn(64, 64)  # a net's overshoot
    kept = within_neighbours(mask, alpha)
    assert float(kept[:12].max()) == 0.0
    assert float(kept[20:44, 20:44].min()) == 1.0
    edge = kept[12:20, 32]
    assert float(edge.max() - edge.min()) > 0.7
    half = torch.full((8, 8), 0.5)
    assert torch.equal(within_neighbours(torch.rand(32, 32), half), torch.full((32, 32), 0.5))


def test_no_halo_of_what_was_hidden(tiny_models) -> None:
    """What is hidden has no say: a red disk on transparent green becomes what it becomes on transparent red."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    alpha = (10 - torch.hypot(y - 16, x - 16)).clamp(0, 1)
    red = torch.tensor([0.8, 0.0, 0.0]).view(3, 1, 1).expand(3, 32, 32)
    green = torch.tensor([0.0, 0.9, 0.0]).view(3, 1, 1)
    rgb = torch.where(alpha > 0, red, green)
    options = UpscaleOptions(device="cpu", steps=0, consistency="off")
    result = enlarge(Photo(rgb, {"alpha": alpha}), tiny_models, options).photo
    other = enlarge(Photo(red.contiguous(), {"alpha": alpha}), tiny_models, options).photo
    assert torch.allclose(result.rgb, other.rgb, atol=1e-5)
    mask = result.metadata["alpha"]
    assert mask.shape == (128, 128)
    assert 0 <= float(mask.min()) <= float(mask.max()) <= 1
    opaque = enlarge(Photo(rgb, {"alpha": torch.ones(32, 32)}), tiny_models, options).photo
    assert torch.equal(opaque.metadata["alpha"], torch.ones(128, 128))
