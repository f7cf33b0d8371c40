"""Photos in formats that an extra reads: HEIC with 8 and 10 bits, JPEG XL, and a camera's RAW.

The files were encoded from formulas (below), 32 x 24 pixels; but for JPEG XL, what encodes them is not installed with
the tests.
"""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssr_cli.errors import InputError
from ssr_cli.image.reading import read_photo

#: 8 bits, lossy, turned by EXIF orientation 6, with a maker.
HEIC_8 = (
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAcdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAAB6wABAAAAAAAAAX8AAgAAAAADagABAAAAAAAAADYAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAABBmlwcnAAAADlaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGE"
    "ABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAA"
    "ABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAIAAAAAEAAAAYAAAAAf///+AAAAAC////2AAAAAIAAAAQcG"
    "l4aQAAAAADCAgIAAAACWlyb3QDAAAAGWlwbWEAAAAAAAAAAQABBoECAwWEhgAAABppcmVmAAAAAAAAAA5jZHNjAAIAAQABAAABvW1kYXQAAAF7"
    "KAGvBjIIiX41gIkG2xPFinEdb2eBb3mxmBf8E+36zOtHlWZRryAn/5oyPzQ/p2GS8/P+Y/jH8qo3/MAi56xbQ3iT6uchL03C2ZksaX0mUk5w7m"
    "OKgFDBxSIymEKRixdbNYgmN5fpgmqluxKvreVcjoaNArNKqmdspnSGKJBQkNwIuNl3bH6SDm1zPXNLQd+OHE5P+qgG0OsVREwX7Md6lNNtSNd8"
    "2wik1Kc78ud5C7ikCXVLGe+5pHXZrUao84mNzw+FC1S2CMVJ7eaty/KzaT985n2cXLobbRtz1Q//fiaU3h+7/DXQFzzVPTg++GY2AzWp+o/38H"
    "f0MEfZ2J3iI/0DXjDTt0f5ZplKgs99MEEaf9DVfatTDnwWSFJbComnMPrJmqb444JT/ocvPdU4gqF9x6iuud44sll+3As0Mw94AVVyj8Zek9Df"
    "WgeHbiYJLQDEcixX2SL3B8sqG8KjQuCEOREA8hJcp7diYgsJBMaWuR7ST73X4PjLwAAAAAZFeGlmAABNTQAqAAAACAACAQ8AAgAAAAYAAAAmAR"
    "IAAwAAAAEABgAAAAAAAE1ha2VyAA=="
)
#: 10 bits, 4:4:4, lossless but for the two bits a pixel's blue loses at most.
HEIC_10 = (
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAX5tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABogABAAAAAAAABbkAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/mlwcnAA"
    "AADeaXBjbwAAAHdodmNDAQQIAAAAnDgAAAAA//AA/P/6+gAADwNgAAEAF0ABDAH//wQIAAADAJw4AAADAAD/ugJAYQABACpCAQEECAAAAwCcOA"
    "AAAwAA/5AEECCbLdVdNc3AQ0ABAAADABkAAAMAAQhiAAEACEQBwXAwYLEgAAAAE2NvbHJuY2x4AAEADQAAgAAAABRpc3BlAAAAAAAAAEAAAABA"
    "AAAAKGNsYXAAAAAgAAAAAQAAABgAAAAB////4AAAAAL////YAAAAAgAAABBwaXhpAAAAAAMKCgoAAAAYaXBtYQAAAAAAAAABAAEFgQIDBYQAAA"
    "XBbWRhdAAABbUoAa8Fsgr6WzAaIegON5iD///59/9Tf88f7E/or+YP7e/rT+i/5h/t/+tf6L/t/+tf7fKh//8iauAL3u4h34d3slwIq81LwWwU"
    "jAir/8Pz5EcEOyQvRHaEaqSjpP/2Qc///6b/9Nf9bf6O/p7+vv5+/p7+v/7f/p/+v/7f/r/+3/7fO02Nfnv//7bdppZVwyZMmPPvvnOc2vfGfo"
    "A878vfHXTTLEIQhCEHywsLCCCCAWrIAf+Sf8j/x/+L/O/O/O/O+n6fp+np06dI/ZZ2f//nSM4iMZUcyWlpZ/y5cq7bbbGDR23//4GHANPfvMFu"
    "bm5nJEiQCSSRmVIMUnu7//6cdJQ1cazZs2Wd99znOYLC3gGJl1crmH0Q0lKUpSlHUdHRvvvvj7Gi///t/2v1vnbt27dfffe973gdZABx4bfCiv"
    "vm+pSlKUpRtjY2MMMMK5xWv//svVkj3ySh9ubm5cq1aqrbbbQxn//+++3zR4P3hoyMjH2PHjo222uaNqvQAAJXf62/i75feAxfpfpfpfeMYxjG"
    "HgQICG1P//4ebDRwS3mr6+vrdWrVmjjjhbLP//zpWcTmNyN19fX1M2bNfxxxigAAnN5E7w7OwDxFzRTRTRTQj9P0/TozZsuW9//+qpVPNN2gxG"
    "RkZBZcuWZjjjOSv//3k68Bua2mh4eHhZq1aoaqqgQ57s2n//11gt+qyUqObm5tzly5W8ccZ6m//97efSjrZsI3NzcvECA/U444ULf//PtR6SbN"
    "KHkZGRhogQHnuOOBhP//p4BNdR0nUIyMjHhSpUdXHGr10nLP//3a7lzHMStWrVjgggQhB8wACgVV2peZHPTJSlKUpRW3t7c8884gt//7GFeqNK"
    "TnTp02RJI///7yACP2b+yXrd0mta1rWtZvb29ttttskY//+fXT0G2O0R/r6+uSzZso/////v//x3GN5CeoPUKCgn8///+CSSN0Ss23//loSck+"
    "gA2bNmc4YXnOcjIAV2jB0NQ4XRNrWta1rMCgoJxxxwzpf/+OpFvPa1Thw4atTTP//+egB0YQ3BMfYyx+973ve9DCwsJpppotn//8mrkmI6QNwb"
    "m5uYefPnVtttwif/++wnxe3yHRwKCgnN37917bbGmk9uf//VjCpanZQolpaWjCRIj5///Vr//7bGbEWcq5M3NzclMmTG+OOJqf//gVEAa95cqe"
    "Hh4cTt27LKqqMj//77cfJXgLdSgoKCRvXrziOOOS7z//+2U2tdmOtzIyMjEQIEBXHHGGH//0Q4hSngS583NzcJAgQBY44uy//+A3f+D2pyJzc3"
    "NsL9++VOOMkH//pCHGqQEGX/X19eD27dhZxxnmMaCnJUhTKCAAHXmw3NS8xflQ0tEtEtEs8KQpCkGnz58BX//vNb4gc9NREZGRjbs2bEW22o//"
    "/8oXkz498PaWlpaKRIkQSSSShAANrRKah5aAvOYLCTCTCTCCUpSlKNhAgOff//d7rtD43qBn////glSpP7bbbIAA+Mq/JUBkw4deCoCoCdbEpS"
    "lCN27cuev//Xli52Lnq86Hh4diQoUEdtttw8B9fp///SvGlEaN1QHfTHTHTHTDebebebeXc3c3c3VtoiH//9ZAawhqqVPWCYiYiYiYUR0R0R0R"
    "lblblbkuGkP//1cWqzp90OKCgoJb58+Zbbbasv//4szFFww32ubm5uA6dOjSSSRdiwwEY90X//zs8cwmVSR2lpaV4rVqupJJAA//9Eq4YR5Au/"
    "S0tLIHr15WSSQJv//SsCSUBZFfcUFBPqSpUkCSSKS//9FaIeH6aQAiMjIvgePHJ2217fXdH//qYXRiS4H4Obm5tMjRoof//xr//6E2QMTopY9z"
    "c3NdyZMjCSSOq//+QOR56WnjZ1BQUDaLFih222lj//3u89SWvYyRtLS0ljZs1Rtttt37/XCqFXGpkfXgUWBiEc7VL7A="
)
#: 10 bits with an alpha of 40000 / 65535.
HEIC_10_ALPHA = (
    "AAAAHGZ0eXBoZWl4AAAAAG1pZjFoZWl4bWlhZgAAAmttZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRpbG9jAA"
    "AAAERAAAIAAQAAAAACjwABAAAAAAAAAQAAAgAAAAADjwABAAAAAAAAACQAAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVp"
    "bmZlAgAAAAACAABodmMxAAAAAA5waXRtAAAAAAABAAABqmlwcnAAAAGCaXBjbwAAAHVodmNDAQQIAAAAnbgAAAAAHvAA/P36+gAADwNgAAEAF0"
    "ABDAH//wQIAAADAJ24AAADAAAeugJAYQABACpCAQEECAAAAwCduAAAAwAAHqAggQTZbqrprm4CGgwIAAADAMgAAAMACEBiAAEABkQBwXPBiQAA"
    "ABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAIAAAAAEAAAAYAAAAAf///+AAAAAC////2AAAAAIAAAAQcG"
    "l4aQAAAAADCgoKAAAAcWh2Y0MBBAgAAACd+AAAAAAe8AD8/Pr6AAAPA2AAAQAXQAEMAf//BAgAAAMAnfgAAAMAAB66AkBhAAEAJkIBAQQIAAAD"
    "AJ34AAADAAAewIIEE2W6q6a5sCAAAAMDIAAAAwAhYgABAAZEAcFzwYkAAAAOcGl4aQAAAAABCgAAACdhdXhDAAAAAHVybjptcGVnOmhldmM6Mj"
    "AxNTphdXhpZDoxAAAAACBpcG1hAAAAAAAAAAIAAQWBAgMFhAACBYYDB4iEAAAAGmlyZWYAAAAAAAAADmF1eGwAAgABAAEAAAEsbWRhdAAAAPwo"
    "Aa8GMh994vCJBtsTxUPHp4MIehk/6dkf6zT5G72wnq3Eg/JyWu2/+CemXn6fzH8e/k44X4G+78C8ElRALisuBqyIURPpqsw6CjfW8Hhff1xxKg"
    "5kbZSd0dxt3plkgYKlvdtx6G0zwPW2J2vvStnj390vxhypSq+IYfsJ7/JJFDk4PNVJy4vn+vrwk8wTZUvzVraaMwblQU7geV9Ffq/K/lG3RGvc"
    "4y+UJrEylgOXNYkouEfUjHmLjn27kSr3/wFRrQgc/mUtQtWPDn/7+0+IPDA///pP/9B0W3UD/97IlG70FJtFq92vtfBWfvegr9B1+XTxK4f+gr"
    "7jH/4AAAAgKAGuDGQkokC00y37m91OG3aAe+299jKEUaIHQC9QSNc="
)
#: 8 bits, a JPEG packed again without loss: its EXIF and its codestream both say how it is turned.
JXL_8 = (
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAASanhscAAAAAD/CsUsEBMAAAHjamJyZMBw2wCCIAgtAwJANAChRoGQq0oAAEDIUdmCoT"
    "j/J4iMEco4pxS0HyFDmKUOMsxA6Q41WB8ynHzMgEMOKixy0LAD20cN/fsjyxx23IGGovtfjHHGJJds8skopzwzzTXbfDPOOQs9NNFFG3000klLPTXV"
    "VVt9NdZZiz022WWbfTbaacs9N91123033nkLPjjhhRt+OOKJRy755JRXbvnlmGceuuijk1666aejnnrsss9Oe+2234577sELPzzxxRt/PPLJRy/99N"
    "RXb/312GcPfvjij09++eafj3768Mcv//z012///fjn/69gqqoEAEDIUdmCoTj/L4iEUkZZpxSJ8YCQzahBhkl1oKF6sOHcQ44ZUJAPGnLQYQc2Flnm"
    "qN/tw44bWtEfeWbwSYb3vxjjjEs2+WSUU6a5ZptvxjlnoYcmumijj0Y6aamnprpqq6/GOmuxxya7bLPPRjttueemu26778Y778AFH5zwwg0/HPHEI5"
    "d8csort/xyzDMPXfTRSS/d9NNRTz122WenvXbbb8c99+CFH5744o0/Hvnko5d+euqrt/567LMPX/zxyS/f/PPRTz9++eenv37778c//3+BHwCoLAAL"
    "CIDgABBKRklGAAEBAAABAAEAAAMAAAA2YnJvYkV4aWYbLwAAhCBv92ym2ZQgSP1LECRNTiKLR4WkEzJtdCWGgoYVUw0CNJLn3Q8AAAFIanhscIAAAA"
    "HgWwAQANQEDGQMZAxk/v8OgGAAUGhs7AYAAFAAAAA/AAAAAAAAAAABSxJFxrET0txhAGZSULgDuaijz7GxMUgxWF085u/p5eoAmWxCQtiaUBVkIFTQ"
    "Jr4VA/nWJGdPlxDDMlA8h+ETFx3vflhlUOa0szqCCkA2fA8Kywkg5s1HAsCZH+gQ5CfBz2BdAp1p3tlUpyGP3HvI+pt9vK+7Wd1gnMOv9hhxutYfGa"
    "B6MyAjBAoLAAAAAABASSIlYbfbeDwEQs3/OywBqQO0XgGZ/3dYAlIHaL0CMv/vsASkDtB6BWT+32EJSB2g9QrI/L/DEpA6QOsVkPl/hyUgdYDWKyDz"
    "/w5LQOoArVdA5v8dloDUAVqvgMz/OywBqQO0XgGZ/3dYAlIHaL0CMv/vsASkDtB6BWT+32EJSB2g9QoI"
)
#: 8 bits, lossy; EXIF says it is turned, the codestream, which is what counts, does not.
JXL_EXIF_ALONE = (
    "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAAQanhscAAAAAD/CsUGAAAANEV4aWZNTQAqAAAACAACAQ8AAgAAAAYAAAAmARIAAw"
    "AAAAEABgAAAAAAAE1ha2VyAAAAAL5qeGxwgAAAAQATiAIArAK1nyAAABUqo4wbvJzr+fJDh8W0jesMbbVtYQljs70wSJiBYmlhNi5Mt4l0dHT0"
    "BAoFHgYOPPLwqPm7iM2RQjmJRTFIUL+Ho2M9AbRfh1jN5bG/t08eyLU2w9tdXbMG5EquKqRAGgxbUSpZMjaSjDGKQ9AAIGByJzC+DncKAxQlnb"
    "Oqk1Z0+1Zl8dyoUN/EW3ZRHrfv7e9PeID2U+xe5wSvA/vcxa7LBO4NoAE="
)
#: Two frames of 8 x 8, one after another.
JXL_ANIMATED = "/wpBBE0AICYIBAEAOABLGIsVgFXqfwAMZVxNCAgEBQA8AEsYixWAXdT/ABiSrppAAg=="


def _planes(red: np.ndarray, green: np.ndarray, blue: np.ndarray, white: float) -> torch.Tensor:
    return torch.from_numpy(np.stack([red, green, blue]).clip(0, white) / white).float()


def _wanted_8() -> torch.Tensor:
    y, x = np.mgrid[0:24, 0:32]
    return torch.rot90(_planes(x * 8, y * 10, 255 - x * 4 - y * 5, 255), -1, (1, 2))


def _wanted_10() -> torch.Tensor:
    y, x = np.mgrid[0:24, 0:32]
    return _planes(x * 2048, y * 2700, 65535 - x * 1024 - y * 1300, 65535)


def _file(folder: Path, name: str, data: str) -> Path:
    path = folder / name
    path.write_bytes(base64.b64decode(data))
    return path


@pytest.mark.parametrize(("name", "data", "module"), [("a.heic", HEIC_8, "pi_heif"), ("a.jxl", JXL_8, "pyjpegxl")])
def test_what_a_phone_saves_is_read_upright_with_its_tags(name: str, data: str, module: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    photo = read_photo(_file(tmp_path, name, data))
    assert photo.rgb.shape == (3, 32, 24)
    assert float((photo.rgb - _wanted_8()).abs().mean()) < 5 / 255
    assert photo.metadata["exif"][0x010F] == "Maker"


def test_the_codestream_says_how_a_jpeg_xl_stands(tmp_path: Path) -> None:
    pytest.importorskip("pyjpegxl")
    photo = read_photo(_file(tmp_path, "a.jxl", JXL_EXIF_ALONE))
    assert photo.rgb.shape == (3, 24, 32)
    assert float((photo.rgb - torch.rot90(_wanted_8(), 1, (1, 2))).abs().mean()) < 5 / 255


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_jpeg_xl_keeps_every_bit(channels: int, kind: type, tmp_path: Path) -> None:
    codec = pytest.importorskip("pyjpegxl")
    white = np.iinfo(kind).max
    samples = np.random.default_rng(0).integers(0, white, (20, 28, channels), kind, endpoint=True)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    path = tmp_path / "a.jxl"
    path.write_bytes(codec.encode_from_numpy(samples, lossless=True, xmp=xmp))
    photo = read_photo(path)
    assert photo.metadata.get("bits", 8) == 8 * samples.itemsize
    assert photo.metadata["grey"] == (channels < 3)
    assert photo.metadata["xmp"] == xmp
    assert photo.metadata["icc"]
    colours = torch.from_numpy(samples[..., :1] if channels < 3 else samples[..., :3]).float() / white
    assert torch.equal(photo.rgb, colours.movedim(-1, 0).expand(3, -1, -1))
    assert ("alpha" in photo.metadata) == (channels in (2, 4))
    if channels in (2, 4):
        assert torch.equal(photo.metadata["alpha"], torch.from_numpy(samples[..., -1]).float() / white)


def test_jpeg_xl_that_moves_or_has_floats_is_refused(tmp_path: Path) -> None:
    codec = pytest.importorskip("pyjpegxl")
    with pytest.raises(InputError, match="animated"):
        read_photo(_file(tmp_path, "a.jxl", JXL_ANIMATED))
    (tmp_path / "b.jxl").write_bytes(codec.encode_from_numpy(np.zeros((9, 9, 3), np.float32)))
    with pytest.raises(InputError, match="more than 8 bits"):
        read_photo(tmp_path / "b.jxl")


def test_a_jpeg_xl_of_too_many_pixels_is_refused_by_its_header(tmp_path: Path) -> None:
    pytest.importorskip("pyjpegxl")
    # no eighths, a height of 18 bits, the width like it, all else as usual
    header = (2 << 1) | ((200_000 - 1) << 3) | (1 << 21) | (1 << 24)
    (tmp_path / "a.jxl").write_bytes(b"\xff\x0a" + header.to_bytes(40, "little"))
    with pytest.raises(InputError, match="200000 x 200000 pixels"):
        read_photo(tmp_path / "a.jxl")


def test_what_is_called_jpeg_xl_and_is_none_is_read_as_what_it_is(tmp_path: Path) -> None:
    pytest.importorskip("pyjpegxl")
    Image.new("RGB", (9, 7), (10, 20, 30)).save(tmp_path / "a.jxl", "PNG")
    assert read_photo(tmp_path / "a.jxl").rgb.shape == (3, 7, 9)


def test_mutated_jpeg_xl_is_read_or_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyjpegxl")
    whole = base64.b64decode(JXL_8)
    rng = np.random.default_rng(3)
    refused = 0
    for n in range(300):
        data = bytearray(whole[: int(rng.integers(1, len(whole)))] if n % 3 == 0 else whole)
        for at in rng.integers(0, len(data), int(rng.integers(1, 6))):
            data[at] = int(rng.integers(256))
        (tmp_path / "a.jxl").write_bytes(data)
        try:
            read_photo(tmp_path / "a.jxl")
        except InputError:
            refused += 1
    assert refused > 100


def test_ten_bits_stay_ten_bits(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    photo = read_photo(_file(tmp_path, "deep.heic", HEIC_10))
    assert photo.metadata["bits"] == 16
    assert float((photo.rgb - _wanted_10()).abs().max()) < 1.01 / 1023
    assert len(photo.rgb[2].unique()) > 300  # 8 bits could not hold so many


def test_ten_bits_come_with_their_alpha(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    photo = read_photo(_file(tmp_path, "alpha.heic", HEIC_10_ALPHA))
    assert photo.metadata["alpha"].shape == (24, 32)
    assert float((photo.metadata["alpha"] - 40_000 / 65_535).abs().max()) < 1 / 255


@pytest.mark.parametrize(
    ("name", "data", "module"),
    [("cut.heic", HEIC_8, "pi_heif"), ("cut10.heic", HEIC_10, "pi_heif"), ("cut.jxl", JXL_8, "pyjpegxl")],
)
def test_a_cut_file_is_refused(name: str, data: str, module: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    path = _file(tmp_path, name, data)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=name):
        read_photo(path)


def _rationals(*values: float) -> list[int]:
    return [n for value in values for n in (round(value * 10_000), 10_000)]


def _dng(path: Path, sharp: np.ndarray) -> None:
    """A 14-bit RGGB negative of a picture (h, w, 3) of linear light, 0..1, taken with a neutral camera."""
    import tifffile

    bayer = np.zeros(sharp.shape[:2])
    for channel, row, column in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        bayer[row::2, column::2] = sharp[row::2, column::2, channel]
    to_camera = (3.24, -1.54, -0.50, -0.97, 1.88, 0.04, 0.06, -0.20, 1.06)  # XYZ to linear sRGB
    tags = [
        (50706, "B", 4, (1, 4, 0, 0), True),
        (33421, "H", 2, (2, 2), True),
        (33422, "B", 4, (0, 1, 1, 2), True),
        (50708, "s", 0, "Camera", True),
        (50721, "2i", 9, _rationals(*to_camera), True),
        (50728, "2I", 3, _rationals(0.95, 1.0, 0.92), True),
        (50778, "H", 1, (21,), True),
        (50714, "H", 1, 512, True),
        (50717, "H", 1, 15_512, True),
    ]
    raw = (bayer * 15_000 + 512).astype(np.uint16)
    tifffile.imwrite(path, raw, photometric=32803, planarconfig=1, extratags=tags)


def test_a_negative_is_developed(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    y, x = np.mgrid[0:96, 0:128]
    sharp = np.stack([x / 127, y / 95, 1 - x / 127], -1) * 0.6 + 0.1
    _dng(tmp_path / "a.dng", sharp)
    photo = read_photo(tmp_path / "a.dng")
    assert photo.rgb.shape == (3, 96, 128)
    assert photo.metadata["bits"] == 16
    assert any("developed" in note for note in photo.metadata["notes"])
    for channel in range(3):  # brightness is the developer's choice; what is brighter must stay brighter
        pair = torch.stack([photo.rgb[channel].flatten(), torch.from_numpy(sharp[..., channel]).float().flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) > 0.9
    (tmp_path / "cut.dng").write_bytes((tmp_path / "a.dng").read_bytes()[:9_000])
    with pytest.raises(InputError, match="cut.dng"):
        read_photo(tmp_path / "cut.dng")
