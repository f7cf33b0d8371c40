"""IPTC records: read wherever they lie, kept as XMP where a format has no place for them, missed aloud elsewhere."""

from __future__ import annotations

import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssr_cli.frames import Photo
from ssr_cli.image.holding import notes_on
from ssr_cli.image.iptc import datasets, iptc_segment
from ssr_cli.image.iptc_xmp import as_xmp
from ssr_cli.image.reading import read_photo
from ssr_cli.image.writing import write_photo

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
DC, PHOTOSHOP = "{http://purl.org/dc/elements/1.1/}", "{http://ns.adobe.com/photoshop/1.0/}"
PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    b'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">of the packet</rdf:li></rdf:Alt></dc:title>'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def _set(number: int, value: str | bytes, record: int = 2) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(">BBBH", 0x1C, record, number, len(raw)) + raw


IPTC = b"".join(
    [
        _set(90, b"\x1b%G", 1),
        _set(0, b"\0\4"),
        _set(5, "a title"),
        _set(25, "sea & <sky>"),
        _set(25, "Köln"),
        _set(55, "20240229"),
        _set(60, "101500+0100"),
        _set(80, "A. Maker"),
        _set(90, "Köln"),
        _set(120, "what\nis seen"),
    ]
)


def _photo(**metadata: object) -> Photo:
    return Photo(torch.linspace(0, 1, 3 * 16 * 24).view(3, 16, 24), {"notes": [], **metadata})


def _said(xmp: bytes) -> dict[str, list[str]]:
    """Properties of a packet, each as its texts."""
    root = ElementTree.fromstring(xmp)
    found: dict[str, list[str]] = {}
    for description in root.iter(f"{RDF}Description"):
        for child in description:
            found[child.tag] = [item.text or "" for item in child.iter(f"{RDF}li")] or [child.text or ""]
    return found


def test_every_property_says_what_its_dataset_said() -> None:
    moved = as_xmp(IPTC, None)
    assert moved.xmp is not None
    assert not moved.lost
    said = _said(moved.xmp)
    assert said[f"{DC}title"] == ["a title"]
    assert said[f"{DC}subject"] == ["sea & <sky>", "Köln"]
    assert said[f"{DC}creator"] == ["A. Maker"]
    assert said[f"{DC}description"] == ["what\nis seen"]
    assert said[f"{PHOTOSHOP}DateCreated"] == ["2024-02-29T10:15:00+01:00"]
    assert said[f"{PHOTOSHOP}City"] == ["Köln"]


def test_what_the_packet_says_itself_stays() -> None:
    xmp = as_xmp(IPTC, PACKET).xmp
    assert xmp is not None
    said = _said(xmp)
    assert said[f"{DC}title"] == ["of the packet"]
    assert said[f"{DC}subject"] == ["sea & <sky>", "Köln"]
    abouts = {d.get(f"{RDF}about") for d in ElementTree.fromstring(xmp).iter(f"{RDF}Description")}
    assert abouts == {"uuid:1"}


@pytest.mark.parametrize(
    ("date", "when"), [("20240000", "2024"), ("20240300", "2024-03"), ("20240331", "2024-03-31"), ("spring", "spring")]
)
def test_dates_are_as_precise_as_they_are_known(date: str, when: str) -> None:
    xmp = as_xmp(_set(55, date), None).xmp
    assert xmp is not None
    assert _said(xmp)[f"{PHOTOSHOP}DateCreated"] == [when]


def test_characters_without_a_word_about_them() -> None:
    assert datasets(_set(90, "Köln".encode("latin-1")))[(2, 90)] == ["Köln"]
    assert datasets(_set(90, "Köln"))[(2, 90)] == ["Köln"]


def test_long_datasets_and_broken_ones() -> None:
    text = "x" * 70_000
    long = struct.pack(">BBBHI", 0x1C, 2, 120, 0x8004, len(text)) + text.encode()
    assert datasets(long + _set(5, "t")) == {(2, 120): [text], (2, 5): ["t"]}
    assert datasets(_set(5, "t") + _set(80, "cut off")[:-1]) == {(2, 5): ["t"]}


@given(st.binary(max_size=80), st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=12)), max_size=6))
def test_whatever_stands_in_them_the_packet_is_well_formed(rest: bytes, sets: list[tuple[int, bytes]]) -> None:
    iptc = b"".join(_set(number, value) for number, value in sets) + rest
    for packet in (None, PACKET):
        if moved := as_xmp(iptc, packet).xmp:
            ElementTree.fromstring(moved)


@pytest.mark.parametrize("packet", [b"not xml at all", PACKET + PACKET, PACKET.decode().encode("utf-16")])
def test_a_packet_that_is_not_as_usual_is_left_alone_and_that_is_said(packet: bytes) -> None:
    moved = as_xmp(_set(5, "a title"), packet)
    assert moved.xmp == packet
    assert moved.lost == ("2:05",)


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_a_result_without_a_place_for_it_keeps_it_as_xmp(suffix: str, tmp_path: Path) -> None:
    photo, path = _photo(iptc=IPTC + _set(65, "a program")), tmp_path / f"a{suffix}"
    write_photo(photo, path)
    with Image.open(path) as image:
        assert _said(image.info["xmp"])[f"{DC}subject"] == ["sea & <sky>", "Köln"]
    (note,) = notes_on(photo, path, strip=False)
    assert "2:65" in note
    assert not notes_on(photo, path, strip=True)


def test_a_jpeg_says_what_it_has_no_room_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x927C] = b"n" * 70_000
    crowded = _photo(iptc=_set(5, "t") * 20_000, xmp=PACKET.ljust(70_000), exif=exif)
    notes = notes_on(crowded, path, strip=False)
    assert [note.split()[0] for note in notes] == ["EXIF's", "XMP", "IPTC"]
    assert not notes_on(crowded, tmp_path / "a.png", strip=False)
    write_photo(crowded, path)
    assert read_photo(path).metadata["exif"][0x010F] == "Maker"
    roomy = _photo(iptc=IPTC, xmp=PACKET)
    assert not notes_on(roomy, path, strip=False)
    write_photo(roomy, path, force=True)
    assert read_photo(path).metadata["iptc"] == IPTC


def test_large_xmp_is_kept_where_there_is_room(tmp_path: Path) -> None:
    large = PACKET.ljust(70_000)
    for suffix in (".webp", ".avif", ".png", ".tif"):
        write_photo(_photo(xmp=large), tmp_path / f"a{suffix}")
        assert len(read_photo(tmp_path / f"a{suffix}").metadata["xmp"]) >= 70_000


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_tiff_may_hold_it_as_whole_numbers(deep: bool, order: str, tmp_path: Path) -> None:
    iptc = IPTC + b"\0" * (-len(IPTC) % 4)
    numbers = struct.unpack(f"{order}{len(iptc) // 4}I", iptc)
    samples = torch.arange(16 * 24 * 3).view(16, 24, 3).numpy().astype("uint16" if deep else "uint8")
    path = tmp_path / "a.tif"
    tags = [(33723, 4, len(numbers), numbers, True)]
    tifffile.imwrite(path, samples, photometric="rgb", byteorder=order, extratags=tags, metadata=None)
    assert read_photo(path).metadata["iptc"] == iptc


def test_a_segment_that_would_not_fit_is_none() -> None:
    assert not iptc_segment(b"x" * 70_000)
