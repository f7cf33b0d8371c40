"""Folders of low- and high-resolution photos of the same view, and of other programs' results on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ssr_cli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
#: What programs add to the name of a photo they enlarged: `_x4`, `_out`, `_SR`, ...
_RESULT_TAG = re.compile(r"_(x\d+(\.\d+)?|out|sr|hr|result)", re.IGNORECASE)


@dataclass(frozen=True)
class Pair:
    """One view, twice.

    Attributes:
        folder: name of the set it belongs to.
        name: file name without suffix, the same in both.
        lr: the small photo.
        hr: the large one.
    """

    folder: str
    name: str
    lr: Path
    hr: Path


def photos_by_name(folder: Path) -> dict[str, Path]:
    """The photos of one folder (not of its subfolders), by file name without suffix, sorted.

    Raises:
        InputError: when the folder cannot be listed, or two photos differ only in suffix.
    """
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file())
    except OSError as exc:
        raise InputError(f"The folder {folder} cannot be read.", "Check its name and permissions.") from exc
    found: dict[str, Path] = {}
    for path in files:
        if path.stem in found:
            message = f"{found[path.stem].name} and {path.name} in {folder} differ only in suffix."
            raise InputError(message, "Keep one of the two.")
        found[path.stem] = path
    return found


def find_pairs(folder: Path) -> list[Pair]:
    """Pair the photos of `folder/LR` and `folder/HR` by file name (the suffix may differ), sorted.

    Raises:
        InputError: when a folder is missing or empty, or a photo has no partner.
    """
    small, large = photos_by_name(folder / "LR"), photos_by_name(folder / "HR")
    if alone := sorted(set(small) ^ set(large)):
        side = "HR" if alone[0] in small else "LR"
        raise InputError(f"{alone[0]} has no partner in {folder / side}.", "Give both photos of a pair the same name.")
    if not small:
        raise InputError(f"There are no photos in {folder / 'LR'}.", "Put pairs into its LR and HR folders.")
    return [Pair(folder.resolve().name, name, small[name], large[name]) for name in small]


def result_for(pair: Pair, folder: Path) -> Path:
    """Another program's result for a pair: `NAME.png`, or with a tag such as `NAME_x4.png`.

    Looks in `folder/SET` where that exists (results on several sets), else in `folder` itself.

    Raises:
        InputError: when there is none, or more than one.
    """
    home = folder / pair.folder if (folder / pair.folder).is_dir() else folder
    results = photos_by_name(home)
    if pair.name in results:
        return results[pair.name]
    length = len(pair.name)
    fits = [p for n, p in results.items() if n.startswith(pair.name) and _RESULT_TAG.fullmatch(n[length:])]
    if len(fits) != 1:
        what = "no result" if not fits else "more than one result"
        raise InputError(f"{home} holds {what} for {pair.name}.", f"Name it {pair.name}.png or {pair.name}_x4.png.")
    return fits[0]


def read_rgb(path: Path) -> Tensor:
    """Pixels of a photo file: (3, H, W), encoded sRGB, 0..1.

    Raises:
        InputError: as `image.reading.read_photo` does.
    """
    from ssr_cli.image.reading import read_photo

    return read_photo(path).rgb


def first_of_each(folders: Sequence[Path], limit: int | None) -> list[Pair]:
    """The pairs of all folders, at most `limit` of each."""
    return [pair for folder in folders for pair in find_pairs(folder)[:limit]]
