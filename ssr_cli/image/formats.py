"""Which files are read and written, and which of them need an extra."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from ssr_cli.errors import InputError, OutputError

#: Formats of Pillow that are read as they are.
READ = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "TIFF", "AVIF", "GIF", "HEIF")
#: Endings of what is written, with the name of the format.
WRITTEN = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tif",
    ".tiff": "tif",
    ".avif": "avif",
}
#: Formats that can hold 16 bits per channel.
DEEP = ("png", "tif")
#: Longest side a format can hold, in pixels.
LONGEST = {"jpg": 65_535, "webp": 16_383, "avif": 65_535}


@dataclass(frozen=True)
class Extra:
    """A format that an optional package reads.

    Attributes:
        name: of the extra.
        module: it brings.
        suffixes: of the files.
    """

    name: str
    module: str
    suffixes: tuple[str, ...]


RAW = Extra("raw", "rawpy", (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw"))
JXL = Extra("jxl", "pyjpegxl", (".jxl",))
EXTRAS = (
    Extra("heic", "pi_heif", (".heic", ".heif", ".hif")),
    JXL,
    RAW,
)


def extra_of(path: Path) -> Extra | None:
    """The extra a file needs, by its ending."""
    return next((e for e in EXTRAS if path.suffix.lower() in e.suffixes), None)


def load_extra(path: Path, extra: Extra) -> None:
    """Make Pillow able to open a file's format.

    Raises:
        InputError: naming the extra, if it is not installed.
    """
    try:
        module = importlib.import_module(extra.module)
    except ImportError as error:
        raise InputError(
            f"{path} needs the extra {extra.name!r} to be read.",
            f'Install it with pip install "ssr-cli[{extra.name}]".',
        ) from error
    if extra.name == "heic":
        module.register_heif_opener()


def written_format(path: Path) -> str:
    """The format that a file's ending asks for.

    Raises:
        OutputError: if ssr does not write it.
    """
    found = WRITTEN.get(path.suffix.lower())
    if found is None:
        raise OutputError(f"{path} has an ending ssr does not write.", f"Use one of {', '.join(WRITTEN)}.")
    return found
