"""The table of checkpoints: `weights.toml` of the package, and the user's own, which adds to it or overrides it."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ssr_cli.errors import WeightsError
from ssr_cli.settings import config_file

_PACKAGE = Path(__file__).parent
KINDS = ("lite", "sd-adapter", "sd-backbone", "depth")
#: Environment variable that names a table of the user's (`ssr --weights-file` sets it).
TABLE_VARIABLE = "SSR_WEIGHTS_FILE"
#: What a published checkpoint of ours is called inside its repository or folder.
CHECKPOINT_NAME = "ssr.safetensors"
_REPO = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+?)(?:@(?P<revision>[\w.-]+))?")


@dataclass(frozen=True)
class WeightsFile:
    """One file of an entry.

    Attributes:
        name: path inside the repository or the bundle.
        size: bytes, or None where not known.
        sha256: 64 hex digits, or None where not known.
    """

    name: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Mirror:
    """Another place with the same files; exactly one of the three is set.

    Attributes:
        repo: of the Hub.
        url: folder on a web server; file names are appended.
        folder: local folder.
        revision: of `repo`.
    """

    repo: str | None = None
    url: str | None = None
    folder: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Entry:
    """One checkpoint of the table.

    Attributes:
        id: its name on the command line.
        kind: one of `KINDS`.
        licence: SPDX identifier, or what its authors call it.
        files: what it consists of.
        bundled: folder inside the package, for what is shipped.
        repo: of the Hub, for what is not.
        revision: 40 hex digits, or None where not pinned.
        trained_on: in a sentence.
        scores: measured figures by name.
        mirrors: tried in order when the first place fails.
        table: the file this entry stands in.
    """

    id: str
    kind: str
    licence: str
    files: tuple[WeightsFile, ...]
    bundled: str | None = None
    repo: str | None = None
    revision: str | None = None
    trained_on: str | None = None
    scores: dict[str, str] = field(default_factory=dict)
    mirrors: tuple[Mirror, ...] = ()
    table: Path | None = None

    @property
    def size(self) -> int | None:
        """Bytes of all files, or None where one is not known."""
        sizes = [f.size for f in self.files]
        return None if any(s is None for s in sizes) else sum(s for s in sizes if s is not None)


def bundled_table() -> Path:
    """`weights.toml`: inside an installed package, beside it in a checkout.

    Raises:
        WeightsError: if it is in neither place.
    """
    for path in (_PACKAGE / "weights.toml", _PACKAGE.parent / "weights.toml"):
        if path.is_file():
            return path
    raise WeightsError("weights.toml is missing from this installation.", "Install ssr again.")


def _line_of(text: str, name: str) -> int:
    """Line of the header of an entry, 1 when it is written in another way."""
    header = re.compile(rf"^\s*\[models\.[\"\']?{re.escape(name)}[\"\']?\]")
    return next((i for i, line in enumerate(text.splitlines(), 1) if header.match(line)), 1)


def _checked(name: str, values: dict[str, Any]) -> Entry:
    """An entry from its table.

    Raises:
        ValueError: naming what is off.
    """
    known = {f.name for f in fields(Entry)} - {"id", "table"}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{unknown[0]!r} is not known")
    for needed in ("kind", "licence", "files"):
        if needed not in values:
            raise ValueError(f"{needed!r} is missing")
    if values["kind"] not in KINDS:
        raise ValueError(f"kind {values['kind']!r} is none of {', '.join(KINDS)}")
    if ("bundled" in values) == ("repo" in values):
        raise ValueError("exactly one of 'bundled' and 'repo' says where it is")
    revision = values.get("revision")
    if revision is not None and not re.fullmatch(r"[0-9a-f]{40}", str(revision)):
        raise ValueError("'revision' is not 40 hex digits")
    files = tuple(WeightsFile(**f) for f in values["files"])
    if not files:
        raise ValueError("'files' is empty")
    for file in files:
        if Path(file.name).is_absolute() or ".." in Path(file.name).parts:
            raise ValueError(f"{file.name!r} leads out of its folder")
        if file.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
            raise ValueError(f"'sha256' of {file.name} is not 64 hex digits")
    mirrors = tuple(Mirror(**m) for m in values.get("mirrors", ()))
    for mirror in mirrors:
        if sum(v is not None for v in (mirror.repo, mirror.url, mirror.folder)) != 1:
            raise ValueError("a mirror has exactly one of 'repo', 'url' and 'folder'")
    return Entry(**{**values, "id": name, "files": files, "mirrors": mirrors})


def read_table(path: Path) -> dict[str, Entry]:
    """The entries of one file.

    Raises:
        WeightsError: naming the file, the line and what is off.
    """
    try:
        text = path.read_text(encoding="utf-8")
        models = tomllib.loads(text).get("models", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}.", "Mend the file.") from error
    entries = {}
    for name, values in models.items():
        try:
            entries[name] = replace(_checked(name, values), table=path)
        except (TypeError, ValueError, AttributeError) as error:
            where = f"{path}, line {_line_of(text, name)}"
            raise WeightsError(f"{where}: models.{name} is not understood: {error}.", "Mend the entry.") from error
    return entries


def user_table() -> Path:
    """The user's own table: what `SSR_WEIGHTS_FILE` (`--weights-file`) names, else `weights.toml` beside the config."""
    named = os.environ.get(TABLE_VARIABLE)
    return Path(named) if named else config_file().with_name("weights.toml")


def catalogue() -> dict[str, Entry]:
    """All checkpoints by id: the package's, then the user's, which add to them or override them.

    Raises:
        WeightsError: if a table is off, or one that was named does not exist.
    """
    entries = read_table(bundled_table())
    own = user_table()
    if own.is_file() or os.environ.get(TABLE_VARIABLE):
        entries |= read_table(own)
    return entries


def hub_entry(model: str) -> Entry | None:
    """The entry that `user/repo` or `user/repo@revision` stands for, or None if it is not written like that."""
    match = _REPO.fullmatch(model)
    if match is None:
        return None
    return Entry(
        id=model,
        kind="lite",
        licence="see the repository",
        files=(WeightsFile(CHECKPOINT_NAME),),
        repo=match["repo"],
        revision=match["revision"],
    )
