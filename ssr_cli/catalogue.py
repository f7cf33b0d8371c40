"""The table of checkpoints: `weights.toml` of the package, and the user's own, which adds to it or overrides it."""

from __future__ import annotations

import os
import re
import tomllib
import urllib.parse
from dataclasses import dataclass, field, replace
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
#: As the Hub's client wants them; a revision is a commit, a tag or a branch, whose name may have slashes.
_REPO = re.compile(r"\b[\w.-]+\b/\b[\w.-]{1,96}\b", re.ASCII)
_REVISION = re.compile(r"\b[\w.-]+(/[\w.-]+)*", re.ASCII)


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


class _Mistake(Exception):
    """What is off in an entry, and the key and value that its line can be found by."""

    def __init__(self, said: str, key: str | None = None, value: object = None) -> None:
        super().__init__(said)
        self.key = key
        self.value = value


def _line_of(text: str, name: str, key: str | None = None, value: object = None) -> int:
    """Line of a key of an entry, of its header where there is no key, 1 when it is written in another way."""
    lines = text.splitlines()
    header = re.compile(rf"\s*\[+\s*models\.[\"']?{re.escape(name)}[\"']?\s*[\].]")
    start = next((i for i, line in enumerate(lines) if header.match(line)), None)
    if start is None:
        return 1
    foreign = (i for i, line in enumerate(lines) if i > start and re.match(r"\s*\[", line) and not header.match(line))
    body = range(start, next(foreign, len(lines)))
    if key is not None:
        written = rf"\b{re.escape(key)}[\"']?\s*=\s*"
        for wanted in (rf"{written}[\"']?{re.escape(str(value))}", written):
            for i in body:
                if re.search(wanted, lines[i]):
                    return i + 1
    return start + 1


#: What may stand in an entry, in one of its files and in one of its mirrors.
_ENTRY: dict[str, type] = {
    **dict.fromkeys(("kind", "licence", "bundled", "repo", "revision", "trained_on"), str),
    "files": list,
    "mirrors": list,
    "scores": dict,
}
_FILE: dict[str, type] = {"name": str, "size": int, "sha256": str}
_MIRROR: dict[str, type] = dict.fromkeys(("repo", "url", "folder", "revision"), str)
_CALLED: dict[type, str] = {str: "text", int: "a whole number", list: "a list", dict: "a table"}


def _typed(values: object, known: dict[str, type], what: str, key: str | None = None) -> dict[str, Any]:
    """A table whose keys are known and whose values are of their type.

    Raises:
        _Mistake: naming the first that is not.
    """
    if not isinstance(values, dict):
        raise _Mistake(f"{what} is not a table", key)
    for name, value in values.items():
        if name not in known:
            raise _Mistake(f"{name!r} is not known", name, value)
        if type(value) is not known[name]:  # True is no number here
            raise _Mistake(f"{name!r} is not {_CALLED[known[name]]}", name, value)
    return values


def _file(values: object) -> WeightsFile:
    """One of an entry's files, or a `_Mistake`."""
    file = _typed(values, _FILE, "one of 'files'", "files")
    name, size, sha256 = file.get("name"), file.get("size"), file.get("sha256")
    if not name:
        raise _Mistake("one of 'files' has no 'name'", "files")
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise _Mistake(f"{name!r} leads out of its folder", "name", name)
    if size is not None and size <= 0:
        raise _Mistake(f"'size' of {name} is not above 0", "size", size)
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise _Mistake(f"'sha256' of {name} is not 64 hex digits, in lower case", "sha256", sha256)
    return WeightsFile(**file)


def _mirror(values: object) -> Mirror:
    """One of an entry's mirrors, or a `_Mistake`."""
    mirror = Mirror(**_typed(values, _MIRROR, "one of 'mirrors'", "mirrors"))
    if sum(v is not None for v in (mirror.repo, mirror.url, mirror.folder)) != 1:
        raise _Mistake("a mirror has exactly one of 'repo', 'url' and 'folder'", "mirrors")
    if mirror.repo is not None and not is_repo(mirror.repo):
        raise _Mistake(f"'repo' {mirror.repo!r} is not USER/NAME", "repo", mirror.repo)
    if mirror.url is not None and not is_address(mirror.url):
        raise _Mistake(f"'url' {mirror.url!r} is no web address", "url", mirror.url)
    return mirror


def _checked(name: str, given: object) -> Entry:
    """An entry from its table.

    Raises:
        _Mistake: naming what is off.
    """
    values = _typed(given, _ENTRY, "it")
    for needed in ("kind", "licence", "files"):
        if needed not in values:
            raise _Mistake(f"{needed!r} is missing")
    if values["kind"] not in KINDS:
        raise _Mistake(f"kind {values['kind']!r} is none of {', '.join(KINDS)}", "kind")
    if ("bundled" in values) == ("repo" in values):
        raise _Mistake("exactly one of 'bundled' and 'repo' says where it is")
    if "repo" in values and not is_repo(values["repo"]):
        raise _Mistake(f"'repo' {values['repo']!r} is not USER/NAME", "repo", values["repo"])
    if "revision" in values and not re.fullmatch(r"[0-9a-f]{40}", values["revision"]):
        raise _Mistake("'revision' is not 40 hex digits", "revision", values["revision"])
    scores = values.get("scores", {})
    _typed(scores, dict.fromkeys(scores, str), "'scores'")
    if not values["files"]:
        raise _Mistake("'files' is empty", "files")
    files = tuple(_file(file) for file in values["files"])
    mirrors = tuple(_mirror(mirror) for mirror in values.get("mirrors", ()))
    return Entry(**{**values, "id": name, "files": files, "mirrors": mirrors})


def read_table(path: Path) -> dict[str, Entry]:
    """The entries of one file.

    Raises:
        WeightsError: naming the file, the line and what is off.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}.", "Check the path.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}.", "Mend the file.") from error
    models = content.get("models", {})
    if not isinstance(models, dict) or set(content) - {"models"}:
        raise WeightsError(f"{path} has more than tables [models.ID].", "Mend the file.")
    entries = {}
    for name, values in models.items():
        try:
            entries[name] = replace(_checked(name, values), table=path)
        except _Mistake as mistake:
            where = f"{path}, line {_line_of(text, name, mistake.key, mistake.value)}"
            raise WeightsError(f"{where}: models.{name} is not understood: {mistake}.", "Mend the entry.") from mistake
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


def is_repo(name: str) -> bool:
    """Whether the Hub could have a repository of this name."""
    return _REPO.fullmatch(name) is not None and not name.endswith(".git") and not re.search(r"--|\.\.", name)


def is_address(url: str) -> bool:
    """Whether a text is the address of a web server, as far as its form tells."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def hub_entry(model: str) -> Entry | None:
    """The entry that `user/repo` or `user/repo@revision` stands for, or None if it is not written like that."""
    repo, at, revision = model.partition("@")
    if not is_repo(repo) or (at and not _REVISION.fullmatch(revision)):
        return None
    return Entry(
        id=model,
        kind="lite",
        licence="see the repository",
        files=(WeightsFile(CHECKPOINT_NAME),),
        repo=repo,
        revision=revision or None,
    )
