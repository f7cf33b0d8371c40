"""Every kind of photo through the whole command into every format: size, colours, transparency, depth, all it carried.

The photos are written by Pillow and tifffile, and the results read by them, so that reading and writing of ours cannot
agree on a mistake.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, IptcImagePlugin

from ssr_cli import cli
from ssr_cli.image import tiff
from ssr_cli.image.iptc import iptc_segment
from ssr_cli.image.png import write_samples
from ssr_cli.image.reading import read_photo

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<?xpacket begin=""?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" '
    b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" photoshop:Headline="a title"/></rdf:RDF></x:xmpmeta>'
    b'<?xpacket end="w"?>'
)
IPTC = b"\x1c\x02\x50\x00\x05maker"
#: Ending and mode of the photos; "16" has so many bits per channel.
PHOTOS = [(".jpg", mode) for mode in ("L", "RGB", "CMYK")]
PHOTOS += [(".png", mode) for mode in ("1", "L", "LA", "P", "P+", "RGB", "RGBA", "L16", "LA16", "RGB16", "RGBA16")]
PHOTOS += [(".tif", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "L16", "LA16", "RGB16", "RGBA16")]
PHOTOS += [(".webp", "RGB"), (".webp", "RGBA"), (".avif", "RGB"), (".avif", "RGBA")]
PHOTOS += [(".bmp", mode) for mode in ("1", "L", "P", "RGB")] + [(".gif", "P"), (".gif", "P+")]
RESULTS = (".png", ".jpg", ".webp", ".tif", ".avif")
#: What each ending can carry.
CARRIES = {
    ".jpg": {"exif", "xmp", "icc", "dpi", "iptc"},
    ".png": {"exif", "xmp", "icc", "dpi", "iptc"},
    ".tif": {"exif", "xmp", "icc", "dpi", "iptc"},
    ".webp": {"exif", "xmp", "icc"},
    ".avif": {"exif", "xmp", "icc"},
    ".bmp": {"dpi"},
    ".gif": set(),
}
WIDTH, HEIGHT = 14, 10


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x4746] = "Maker", 6, 4
    inner = exif.get_ifd(0x8769)
    inner[0x829A], inner[0xA002], inner[0xA003] = 0.5, WIDTH, HEIGHT
    inner[0xA005] = {1: "R98"}
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def _eight(mode: str) -> Image.Image:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = np.stack([x * 16, y * 20, (x + y) * 9], -1).astype(np.uint8)
    image = Image.fromarray(planes)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray((x * 18).astype(np.uint8)))
    return image.convert(mode.removesuffix("+"))


def _sixteen(mode: str) -> np.ndarray:
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}[mode]
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([x * 4001, y * 5003, (x + y) * 2003, x * 4500], -1)[..., :channels].astype(np.uint16)


def _tiff_tags(path: Path) -> None:
    """The tags of a TIFF that was written without any, by Pillow, which reads no 16-bit colours."""
    with tifffile.TiffFile(path) as file:
        samples, colours = file.pages[0].asarray(), file.pages[0].photometric
        extra = file.pages[0].extrasamples
    tags: list[Any] = [(271, 2, 0, "Maker", True), (274, 3, 1, 6, True), (700, 1, len(XMP), XMP, True)]
    tags.append((33723, 7, len(IPTC), IPTC, True))
    tifffile.imwrite(
        path,
        samples,
        photometric=colours,
        extrasamples=extra or None,
        planarconfig="contig" if samples.ndim == 3 else None,
        extratags=tags,
        iccprofile=ICC,
        resolution=(300, 300),
        resolutionunit="INCH",
        metadata=None,
    )


def _photo(folder: Path, suffix: str, mode: str) -> Path:
    """A photo as others write it, with everything its format can carry, lying on its side."""
    path = folder / f"a photo #1{suffix}"
    if mode.endswith("16"):
        samples = _sixteen(mode.removesuffix("16"))
        if suffix == ".png":
            write_samples(samples, path)
        else:
            alpha = ["unassalpha"] if samples.shape[-1] in (2, 4) else None
            colours = "rgb" if samples.shape[-1] > 2 else "minisblack"
            flat = samples[..., 0] if samples.shape[-1] == 1 else samples
            planar = "contig" if flat.ndim == 3 else None
            tifffile.imwrite(path, flat, photometric=colours, extrasamples=alpha, planarconfig=planar)
            _tiff_tags(path)
        return path
    given: dict[str, Any] = {"exif": _exif().tobytes(), "xmp": XMP, "icc_profile": ICC, "dpi": (300, 300)}
    if suffix == ".tif":
        exif = _exif()
        exif[33723], exif[700] = IPTC, given.pop("xmp")
        given["exif"] = exif
    if suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        given["pnginfo"] = PngInfo()
        given["pnginfo"].add_itxt("XML:com.adobe.xmp", given.pop("xmp").decode())
    if mode == "CMYK":
        del given["icc_profile"]
    image = _eight(mode)
    if suffix in (".bmp", ".gif"):
        given = {"dpi": (300, 300)} if suffix == ".bmp" else {}
    image.save(path, **given, **({"transparency": image.getpixel((0, 0))} if mode.endswith("+") else {}))
    if suffix == ".jpg":
        data = path.read_bytes()
        path.write_bytes(data[:2] + iptc_segment(IPTC) + data[2:])
    return path


def _check_carried(image: Image.Image, kinds: set[str], size: tuple[int, int]) -> None:
    exif = image.getexif()
    if "exif" in kinds:
        assert str(exif[0x010F]).rstrip("\0") == "Maker"
        assert exif.get(0x0112, 1) == 1
    if "icc" in kinds:
        assert image.info["icc_profile"] == ICC
    if "xmp" in kinds:
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or image.tag_v2[700]
        xmp = xmp if isinstance(xmp, bytes) else xmp.encode()
        assert b"a title" in xmp
        assert b'Orientation="6"' not in xmp
    if "dpi" in kinds:
        dpi = image.info.get("dpi") or (exif[282], exif[283])
        assert [float(d) for d in dpi] == pytest.approx([300, 300], abs=0.2)
    if "iptc" in kinds and image.format != "PNG":
        assert IptcImagePlugin.getiptcinfo(image)[(2, 0x50)] == b"maker"
    inner = exif.get_ifd(0x8769)
    if 0xA002 in inner:
        assert (inner[0xA002], inner[0xA003]) == size


def _channels(path: Path) -> int:
    """Of a file with 16 bits per channel."""
    return tifffile.imread(path).shape[-1] if path.suffix == ".tif" else {0: 1, 4: 2, 2: 3, 6: 4}[path.read_bytes()[25]]


@pytest.fixture
def upscaled(tiny_models, monkeypatch, tmp_path: Path):
    monkeypatch.setattr("ssr_cli.commands.upscale.load", lambda *_: tiny_models)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def run(*words: object) -> int:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["upscale", "-s", "2.5", "--steps", "0", *map(str, words)])
        return int(stopped.value.code or 0)

    return run


@pytest.mark.parametrize("result", RESULTS)
@pytest.mark.parametrize(("suffix", "mode"), PHOTOS)
def test_matrix(suffix: str, mode: str, result: str, upscaled, tmp_path: Path, capsys) -> None:
    photo = _photo(tmp_path, suffix, mode)
    target = tmp_path / f"b{result}"
    deep, transparent = mode.endswith("16"), mode in ("LA", "RGBA", "P+", "LA16", "RGBA16")
    if result == ".jpg" and transparent:
        assert upscaled(photo, "-o", target) == 4
        assert not target.exists()
        return
    assert upscaled(photo, "-o", target) == 0
    said = capsys.readouterr().err
    assert ("CMYK" in said) == (mode == "CMYK")
    carried = CARRIES[suffix] - ({"icc"} if mode == "CMYK" else set())
    if suffix == ".png":
        carried -= {"iptc"} | ({"exif", "xmp", "icc", "dpi"} if deep else set())
    turned = "exif" in carried
    size = (25, 35) if turned else (35, 25)
    grey = mode.removesuffix("16") in ("1", "L", "LA")
    again = read_photo(target)
    assert (again.width, again.height) == size
    if mode == "LA16" and result in (".png", ".tif"):  # Pillow does not know it
        assert _channels(target) == 2
        return
    with Image.open(target) as image:
        assert image.size == size
        _check_carried(image, carried & (CARRIES[result] | {"dpi"}), size)
        bands = image.getbands()
        assert ("A" in bands) == transparent or (deep and result == ".tif")
        if result in (".png", ".jpg"):
            assert (len(bands) < 3) == grey
    assert (again.metadata.get("bits") == 16) == (deep and result in (".png", ".tif"))
    assert ("alpha" in again.metadata) == transparent
    if grey:
        assert float((again.rgb[0] - again.rgb[2]).abs().max()) < 3 / 255
    if "iptc" in carried:
        kept = again.metadata["iptc"] == IPTC if "iptc" in CARRIES[result] else b"maker" in again.metadata["xmp"]
        assert kept
        assert ("IPTC" in said) == ("iptc" not in CARRIES[result])
    assert upscaled(photo, "-o", target, "--force", "--strip") == 0
    assert not {"exif", "xmp", "iptc", "icc"} & set(read_photo(target).metadata)


# ---------------------------------------------------------------- what the formats hide


@pytest.mark.parametrize("large", [False, True], ids=["TIFF", "BigTIFF"])
def test_directories_of_exif_are_kept_in_a_tiff(large: bool, upscaled, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tiff, "_LARGE", 100 if large else 10**9)
    photo = tmp_path / "a.jpg"
    exif = _exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0a comment that does not fit into eight bytes"
    _eight("RGB").save(photo, exif=exif.tobytes())
    assert upscaled(photo, "-o", tmp_path / "b.tif") == 0
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_bigtiff == large
        tags = file.pages[0].tags
        assert tags[0x4746].value == 4
        inner = tags[0x8769].value
        assert (inner["PixelXDimension"], inner["PixelYDimension"]) == (25, 35)
        assert inner["ExposureTime"] == 0.5
        assert "does not fit" in str(inner["UserComment"])
        assert tags[0x8825].value["GPSLatitudeRef"] == "N"
        data = (tmp_path / "b.tif").read_bytes()
        assert b"R98" in data
    with Image.open(tmp_path / "b.tif") as image:
        inner = image.getexif().get_ifd(0x8769)
        assert (inner[0xA002], inner[0xA003]) == (25, 35)
        assert float(inner[0x829A]) == 0.5
        assert image.getexif().get_ifd(0xA005)[1].rstrip("\0") == "R98"
        assert image.getexif().get_ifd(0x8825)[1].rstrip("\0") == "N"
        image.load()


def _with_thumbnail(path: Path, colour: str) -> None:
    """A photo whose EXIF holds a small picture of another colour, lying on its side."""
    small = io.BytesIO()
    Image.new("RGB", (16, 12), colour).save(small, "JPEG")
    body = bytearray(_exif().tobytes()[6:])
    order = "<" if body[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", body, 4)
    (count,) = struct.unpack_from(order + "H", body, first)
    struct.pack_into(order + "I", body, first + 2 + 12 * count, len(body))
    place = len(body) + 2 + 24 + 4
    body += struct.pack(order + "HHHIIHHII", 2, 0x0201, 4, 1, place, 0x0202, 4, 1, len(small.getvalue())) + b"\0" * 4
    _eight("RGB").save(path, exif=b"Exif\0\0" + bytes(body) + small.getvalue())


@pytest.mark.parametrize("result", [".jpg", ".png", ".webp", ".avif"])
def test_a_thumbnail_is_made_anew(result: str, upscaled, tmp_path: Path) -> None:
    _with_thumbnail(tmp_path / "a.jpg", "red")
    assert upscaled(tmp_path / "a.jpg", "-o", tmp_path / f"b{result}") == 0
    with Image.open(tmp_path / f"b{result}") as image:
        found = image.getexif().get_ifd(-1)
        start = found[0x0201]
        data = image.info["exif"].removeprefix(b"Exif\0\0")[start : start + found[0x0202]]
        with Image.open(io.BytesIO(data)) as small:
            assert small.size == (10, 14)  # upright
            expected = np.asarray(_eight("RGB").transpose(Image.Transpose.ROTATE_270), dtype=float)
            assert np.abs(np.asarray(small, dtype=float) - expected).mean() < 12
    assert upscaled(tmp_path / "a.jpg", "-o", tmp_path / f"b{result}", "--force", "--strip") == 0
    with Image.open(tmp_path / f"b{result}") as image:
        assert not image.getexif().get_ifd(-1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiffs_stand_upright(mode: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    _eight(mode).save(tmp_path / "a.tif", exif=exif)
    _eight(mode).convert("RGBA" if mode in ("LA", "RGBA") else "RGB").save(tmp_path / "b.png", exif=exif)
    ours, expected = read_photo(tmp_path / "a.tif"), read_photo(tmp_path / "b.png")
    assert ours.rgb.shape == expected.rgb.shape
    assert float((ours.rgb - expected.rgb).abs().max()) < 2 / 255


def test_cmyk_is_converted_through_its_profile(upscaled, tmp_path: Path, capsys) -> None:
    _eight("CMYK").save(tmp_path / "a.jpg", icc_profile=b"no profile of CMYK")
    assert upscaled(tmp_path / "a.jpg") == 0
    said = capsys.readouterr().err
    assert "profile is damaged" in said
    assert "plain formula" in said


def test_colours_multiplied_by_their_alpha_are_divided_again(tmp_path: Path) -> None:
    colours = np.full((4, 6, 3), 40_000, np.uint16)
    alpha = np.linspace(65_535, 6_000, 6).astype(np.uint16)[None, :, None].repeat(4, 0)
    stored = np.concatenate([(colours * (alpha / 65_535)).round().astype(np.uint16), alpha], -1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["assocalpha"])
    photo = read_photo(tmp_path / "a.tif")
    assert float((photo.rgb * 65_535 - 40_000).abs().max()) < 8
    tifffile.imwrite(tmp_path / "b.tif", stored, photometric="rgb", extrasamples=["unassalpha"])
    assert float((read_photo(tmp_path / "b.tif").rgb * 65_535 - 40_000).abs().max()) > 10_000
