"""Names of outputs, and putting them in their place so that nothing is ever half there or lost."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ssr_cli.errors import InputError, OutputError

#: What `ssr` reads.
INPUT_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".gif", ".heic", ".heif", ".hif", ".jxl")
    + (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw")
)
#: What `ssr` writes.
OUTPUT_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif"})
_OURS = re.compile(r"_x\d+(\.\d+)?(\.(kernel|depth))?$")


def output_path(source: Path, scale: float, out: Path | None = None, suffix: str = ".png") -> Path:
    """Where a photo's result goes: `photo.jpg` becomes `photo_x4.png` beside it.

    Args:
        source: the photo.
        scale: factor; 2.5 gives `photo_x2.5.png`.
        out: a file to use instead, or a folder (existing, or written with a trailing separator) to put it into.
        suffix: of the result.

    Returns:
        The path.

    Raises:
        OutputError: for a file name whose kind cannot be written.
    """
    name = f"{source.stem}_x{scale:g}{suffix}"
    if out is None:
        return source.with_name(name)
    if out.is_dir():
        return out / name
    if out.suffix.lower() not in OUTPUT_SUFFIXES:
        known = " ".join(sorted(OUTPUT_SUFFIXES))
        raise OutputError(
            f"{out} is neither a folder nor a kind of file ssr writes.",
            f"Name an existing folder or end it in one of {known}.",
        )
    return out


def companion(path: Path, tag: str) -> Path:
    """A picture that goes with a result: `photo_x4.kernel.png`."""
    return path.with_name(f"{path.stem}.{tag}.png")


def expand_folder(folder: Path, recursive: bool) -> list[Path]:
    """All photos of a folder, sorted, without our own results and hidden files.

    Raises:
        InputError: if it is not a folder or cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", "Name a folder, or use ssr upscale for one photo.")
    try:
        found = folder.rglob("*") if recursive else folder.iterdir()
        photos = [p for p in found if p.suffix.lower() in INPUT_SUFFIXES and p.is_file()]
    except OSError as error:
        raise InputError(f"{folder} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return sorted(p for p in photos if not _OURS.search(p.stem) and not p.name.startswith("."))


def plan_batch(
    photos: Sequence[Path], folder: Path, scale: float, out: Path | None, suffix: str = ".png"
) -> list[tuple[Path, Path]]:
    """Outputs for a folder's photos; `a.jpg` and `a.png` do not clash.

    Args:
        photos: of `expand_folder`.
        folder: the folder they are in; below `out` its structure is kept.
        scale: factor.
        out: folder for the results, or None for beside the photos.
        suffix: of the results.

    Returns:
        Pairs of photo and output.
    """
    natural = [output_path(p if out is None else out / p.relative_to(folder), scale, suffix=suffix) for p in photos]
    # Names that differ in case alone are one file on many systems.
    keys = [str(t).casefold() for t in natural]
    wanted = Counter(keys)
    plan = []
    for photo, target, key in zip(photos, natural, keys, strict=True):
        if wanted[key] > 1:
            target = target.with_name(f"{photo.stem}_{photo.suffix[1:]}_x{scale:g}{suffix}")
        plan.append((photo, target))
    return plan


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(folder: Path) -> None:
    """Make a folder for results, and those above it.

    Raises:
        OutputError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be made: {error.strerror}.", "Choose another with -o."
        ) from error


def check_writable(path: Path, force: bool) -> None:
    """Fail before the work if the result could not be put there afterwards.

    Raises:
        OutputError: if it exists (without `force`), is a folder, or its folder is missing or read-only.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder.", "Name a file with -o.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already.", "Use --force to overwrite it or -o to write elsewhere.")
    if not path.parent.is_dir():
        raise OutputError(f"The folder {path.parent} does not exist.", "Make it first or choose another with -o.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"The folder {path.parent} cannot be written to: {error.strerror}.", "Choose another with -o."
        ) from error


@contextmanager
def publish(path: Path, force: bool) -> Iterator[Path]:
    """Write a file so that it is there whole or not at all.

    Args:
        path: where it goes.
        force: replace what is there; otherwise an existing file wins, even one that appeared meanwhile.

    Yields:
        A temporary path in the same folder with the same suffix, to be written by the block.

    Raises:
        OutputError: if it cannot be written or exists.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=".ssr-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # mkstemp makes files private
        if force:
            os.replace(temporary, path)
        else:
            _link(temporary, path)
    except FileExistsError as error:
        raise OutputError(f"{path} exists already.", "Use --force to overwrite it or -o to write elsewhere.") from error
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.", "Check the folder and the disk's free space."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _link(temporary: Path, path: Path) -> None:
    """Give the file its name only if nobody has it; file systems without hard links get an exclusive create first."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        path.open("xb").close()
        os.replace(temporary, path)
