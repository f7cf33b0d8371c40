"""Names of outputs, and putting them in their place so that nothing is ever half there or lost."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ssr_cli.errors import InputError, OutputError
from ssr_cli.temporaries import temporary

#: What `ssr` reads.
INPUT_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".gif", ".heic", ".heif", ".hif", ".jxl")
    + (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw")
)
#: What `ssr` writes.
OUTPUT_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif"})
#: What a result's name has behind its photo's: _x4, _x2.5, _x4-2.
_RESULT = re.compile(r"(?P<photo>.+?)_x\d+(\.\d+)?(-\d+)?", re.DOTALL)
#: Pictures that go with a result or a photo.
_COMPANION = re.compile(r".+(_x\d+(\.\d+)?(-\d+)?\.(kernel|depth|invented|confidence)|\.inspect)", re.DOTALL)
#: Bytes of a photo's stem that leave room, of the 255 that a name may have, for the longest of what follows it.
_LONGEST_STEM = 215


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
    name = f"{fitting(source.stem)}_x{scale:g}{suffix}"
    if out is None:
        return source.with_name(name)
    if _is_folder(out):
        return out / name
    if out.suffix.lower() not in OUTPUT_SUFFIXES:
        known = " ".join(sorted(OUTPUT_SUFFIXES))
        raise OutputError(
            f"{out} is neither a folder nor a kind of file ssr writes.",
            f"Name an existing folder or end it in one of {known}.",
        )
    return out


def fitting(stem: str) -> str:
    """A photo's stem, or its beginning and a hash where a result's name would be too long for the file system."""
    if len(os.fsencode(stem)) <= _LONGEST_STEM:
        return stem
    mark = f"~{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}"
    kept = stem
    while len(os.fsencode(kept)) > _LONGEST_STEM - len(mark):
        kept = kept[:-1]
    return kept + mark


def companion(path: Path, tag: str) -> Path:
    """A picture that goes with a result: `photo_x4.kernel.png`."""
    return path.with_name(f"{path.stem}.{tag}.png")


def expand_folder(folder: Path, recursive: bool) -> list[Path]:
    """All photos of a folder, sorted, without hidden files and our own results.

    `a_x4.png` is a result where `a` is a photo beside it; alone it may be a photo of that name.

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
    photos = [p for p in photos if not p.name.startswith(".") and not _COMPANION.fullmatch(p.stem)]
    begun = {p.with_name(name) for p in photos for name in (fitting(p.stem), _told_apart(p))}

    def made_here(photo: Path) -> bool:
        match = _RESULT.fullmatch(photo.stem)
        return match is not None and photo.with_name(match["photo"]) in begun

    return sorted(p for p in photos if not made_here(p))


def _told_apart(photo: Path) -> str:
    """How the result of `a.jpg` begins where there is an `a.png` too: `a_jpg`."""
    return f"{fitting(photo.stem)}_{photo.suffix[1:]}"


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
    wanted = Counter(str(target).casefold() for target in natural)
    taken = {key for key, times in wanted.items() if times == 1}
    plan = []
    for photo, target in zip(photos, natural, strict=True):
        if wanted[str(target).casefold()] > 1:
            stem, number = f"{_told_apart(photo)}_x{scale:g}", 1
            target = target.with_name(stem + suffix)
            while str(target).casefold() in taken:
                number += 1
                target = target.with_name(f"{stem}-{number}{suffix}")
            taken.add(str(target).casefold())
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


def _is_folder(path: Path) -> bool:
    """Whether there is a folder; what cannot even be looked for is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _taken(path: Path) -> bool:
    """Whether a name is taken, also by a link that leads nowhere.

    Raises:
        OutputError: if no file can have that name.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.", "Choose another name with -o.") from error
    return True


def check_writable(path: Path, force: bool) -> None:
    """Fail before the work if the result could not be put there afterwards.

    Raises:
        OutputError: if it exists (without `force`), is a folder, or its folder is missing or read-only.
    """
    if _is_folder(path):
        raise OutputError(f"{path} is a folder.", "Name a file with -o.")
    if _taken(path) and not force:
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
    try:
        with temporary(path.parent, path.suffix) as unfinished:
            yield unfinished
            umask = os.umask(0)
            os.umask(umask)
            unfinished.chmod(0o666 & ~umask)  # mkstemp makes files private
            _on_disk(unfinished)
            if force:
                os.replace(unfinished, path)
            else:
                _name(unfinished, path)
    except FileExistsError as error:
        raise OutputError(f"{path} exists already.", "Use --force to overwrite it or -o to write elsewhere.") from error
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}.", "Check the folder and the disk's free space."
        ) from error


def _on_disk(path: Path) -> None:
    """Wait until a file's content is on the disk, so that no power loss leaves a name without it."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _name(unfinished: Path, path: Path) -> None:
    """Give a file its name only if nobody has it, also on file systems without hard links."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:
        if not _renamed(unfinished, path):
            path.open("xb").close()
            os.replace(unfinished, path)


def _renamed(old: Path, new: Path) -> bool:
    """Rename without replacing, in one step; False where the system cannot.

    Raises:
        FileExistsError: if the new name is taken.
    """
    if sys.platform == "win32":
        os.rename(old, new)
        return True
    import ctypes

    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    here, no_replace = -100, 1  # AT_FDCWD, RENAME_NOREPLACE
    if rename(here, os.fsencode(old), here, os.fsencode(new), no_replace) == 0:
        return True
    if ctypes.get_errno() == errno.EEXIST:
        raise FileExistsError(errno.EEXIST, "File exists", str(new))
    return False
