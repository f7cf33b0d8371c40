"""IPTC records as XMP, for formats that have no other place for them.

Source: IPTC Photo Metadata Standard, the mapping of IIM datasets to XMP properties.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from ssr_cli.image.iptc import datasets

_NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
#: Property and form (of RDF) of each dataset of record 2.
_PROPERTIES = {
    4: ("Iptc4xmpCore:IntellectualGenre", ""),
    5: ("dc:title", "Alt"),
    10: ("photoshop:Urgency", ""),
    12: ("Iptc4xmpCore:SubjectCode", "Bag"),
    15: ("photoshop:Category", ""),
    20: ("photoshop:SupplementalCategories", "Bag"),
    25: ("dc:subject", "Bag"),
    40: ("photoshop:Instructions", ""),
    55: ("photoshop:DateCreated", ""),
    80: ("dc:creator", "Seq"),
    85: ("photoshop:AuthorsPosition", ""),
    90: ("photoshop:City", ""),
    92: ("Iptc4xmpCore:Location", ""),
    95: ("photoshop:State", ""),
    100: ("Iptc4xmpCore:CountryCode", ""),
    101: ("photoshop:Country", ""),
    103: ("photoshop:TransmissionReference", ""),
    105: ("photoshop:Headline", ""),
    110: ("photoshop:Credit", ""),
    115: ("photoshop:Source", ""),
    116: ("dc:rights", "Alt"),
    120: ("dc:description", "Alt"),
    122: ("photoshop:CaptionWriter", ""),
}
_DATE, _TIME = 55, 60
#: Says nothing of the photo.
_VERSION = (2, 0)
_EMPTY = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
).encode()
_END, _ABOUT = b"</rdf:RDF>", re.compile(rb"rdf:about\s*=\s*(\"[^\"]*\"|'[^']*')")
#: Characters that XML cannot hold.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Moved:
    """IPTC records that became XMP.

    Attributes:
        xmp: the packet, None where there was none and there is nothing to say.
        lost: numbers of the datasets that have no property.
    """

    xmp: bytes | None
    lost: tuple[str, ...] = ()


def as_xmp(iptc: bytes, xmp: bytes | None) -> Moved:
    """A packet that also says what IPTC records say; what it says itself is not touched.

    Args:
        iptc: records.
        xmp: the photo's own packet, if it has one.
    """
    found = datasets(iptc)
    packet = xmp or _EMPTY
    if packet.count(_END) != 1:  # not as everyone writes it: better left alone
        return Moved(xmp, _names(found, {_VERSION}))
    lost = _names(found, {(2, n) for n in (*_PROPERTIES, _TIME)} | {_VERSION})
    new = [_element(*_PROPERTIES[n], _values(n, found)) for n in _PROPERTIES if (2, n) in found and _new(n, packet)]
    if not new:
        return Moved(xmp, lost)
    about = _ABOUT.search(packet)
    spaces = " ".join(f"xmlns:{prefix}={quoteattr(uri)}" for prefix, uri in _NAMESPACES.items())
    name = about[1].decode(errors="replace") if about else '""'
    said = f"<rdf:Description rdf:about={name} {spaces}>{''.join(new)}</rdf:Description>".encode()
    return Moved(packet.replace(_END, said + _END), lost)


def _names(found: Iterable[tuple[int, int]], kept: set[tuple[int, int]]) -> tuple[str, ...]:
    """What is not kept, as people write it; the envelope, record 1, says nothing of the photo."""
    return tuple(f"{record}:{number:02d}" for record, number in sorted(set(found) - kept) if record != 1)


def _new(number: int, packet: bytes) -> bool:
    """Whether a packet does not say it already."""
    return re.search(rb"\b" + _PROPERTIES[number][0].encode() + rb"\b", packet) is None


def _values(number: int, found: dict[tuple[int, int], list[str]]) -> list[str]:
    """What a dataset says, as XMP says it."""
    values = found[(2, number)]
    if number == _DATE:
        return [_when(values[0], found.get((2, _TIME), [""])[0])]
    return [_FORBIDDEN.sub("", value) for value in values]


def _when(date: str, time: str) -> str:
    """`CCYYMMDD` and `HHMMSS+HHMM` as ISO 8601; parts that are unknown stand as zeros and are left out."""
    day = re.fullmatch(r"(\d{4})(\d\d)(\d\d)", date)
    if day is None:
        return _FORBIDDEN.sub("", date)
    known = [part for part in day.groups() if int(part)]
    clock = re.fullmatch(r"(\d\d)(\d\d)(\d\d)([+-]\d\d)?(\d\d)?", time)
    if clock is None or len(known) < 3:
        return "-".join(known)
    zone = f"{clock[4]}:{clock[5]}" if clock[4] and clock[5] else ""
    return f"{'-'.join(known)}T{clock[1]}:{clock[2]}:{clock[3]}{zone}"


def _element(name: str, form: str, values: list[str]) -> str:
    """One property."""
    if not form:
        return f"<{name}>{escape(values[0])}</{name}>"
    if form == "Alt":
        values = values[:1]
    tag = '<rdf:li xml:lang="x-default">' if form == "Alt" else "<rdf:li>"
    items = "".join(f"{tag}{escape(value)}</rdf:li>" for value in values)
    return f"<{name}><rdf:{form}>{items}</rdf:{form}></{name}>"
