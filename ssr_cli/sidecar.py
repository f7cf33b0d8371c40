"""The record beside a result, `photo_x4.ssr.json`: what it takes to make it again, and what was found on the way."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_cli import __version__
from ssr_cli.console import Tell, finite
from ssr_cli.errors import InputError
from ssr_cli.paths import digest, publish
from ssr_cli.settings import Ablation, FileOptions, UpscaleOptions

if TYPE_CHECKING:
    from ssr_cli.frames import Findings, Photo
    from ssr_cli.suite import Models

#: Changes with the meaning of the fields.
FORMAT = 1
#: Packages whose version can change a result or the file it is written to.
_PACKAGES = ("torch", "numpy", "pillow", "tifffile", "safetensors")


def sidecar_path(output: Path) -> Path:
    """Where the record of a result lies: `photo_x4.png` has `photo_x4.ssr.json`."""
    return output.with_name(f"{output.stem}.ssr.json")


def versions() -> dict[str, str]:
    """What this program runs on."""
    found = {"ssr": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def device_facts(kind: str) -> dict[str, Any]:
    """The device as far as it can change a result: its kind, its name, and how many threads share a sum."""
    import torch

    cuda = kind.startswith("cuda") and torch.cuda.is_available()
    name = torch.cuda.get_device_name(torch.device(kind)) if cuda else platform.processor() or platform.machine()
    return {"kind": kind.partition(":")[0], "name": name, "threads": torch.get_num_threads()}


@dataclass
class Recorder:
    """Watches one photo being made.

    Args:
        photo: the input's file; its hash is taken now, before the work.
    """

    photo: Path
    sha256: str = ""
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    started: float = field(default_factory=time.time)
    _begun: float = field(default_factory=time.monotonic)
    _last: tuple[str, int, float] | None = None

    def __post_init__(self) -> None:
        """Take the hash."""
        self.sha256 = digest(self.photo)

    def through(self, tell: Tell) -> Tell:
        """Progress that is also written down: seconds and number of steps of each stage, and of each tile."""

        def both(what: str, done: int, total: int) -> None:
            now = time.monotonic()
            self._close(now)
            if total > 0:
                stage = self.stages.setdefault(what, {"steps": total, "seconds": []})
                stage["steps"] = total
            self._last = (what, done, now) if done < total else None
            tell(what, done, total)

        return both

    def _close(self, now: float) -> None:
        """The step that was running ends."""
        if self._last is not None:
            what, number, since = self._last
            seconds = self.stages[what]["seconds"]
            # a step may be told of more than once, or several finish together
            seconds += [0.0] * (number + 1 - len(seconds))
            seconds[number] = round(seconds[number] + now - since, 3)
            self._last = None

    def record(
        self,
        output: Path,
        size: tuple[int, int],
        found: Findings,
        photo: Photo,
        models: Models,
        options: UpscaleOptions,
        files: FileOptions,
        model: str,
        depth: str,
        depth_invert: bool,
    ) -> dict[str, Any]:
        """Everything about a finished, written result, as plain data."""
        from ssr_cli.report.findings import find, summarise

        self._close(time.monotonic())
        folder = output.parent
        seconds = round(time.monotonic() - self._begun, 3)
        return {
            "format": FORMAT,
            "input": {"path": _relative(self.photo, folder), "sha256": self.sha256},
            "output": {
                "path": output.name,
                "sha256": digest(output),
                "width": size[1],
                "height": size[0],
            },
            "weights": {"model": model, "sha256": _weights_digest(model)},
            "depth": _depth_facts(depth, depth_invert, folder),
            "options": asdict(options),
            "files": asdict(files),
            "versions": versions(),
            "device": device_facts(str(models.device)),
            "kernels": summarise(find(photo, found.analysis, models.dictionary)),
            "faithfulness": {"lr_psnr_before": found.lr_psnr_before, "lr_psnr_after": found.lr_psnr_after},
            "tiles": {"stages": self.stages, "incidents": list(found.incidents)},
            "times": {"started": datetime.fromtimestamp(self.started, UTC).isoformat(), "seconds": seconds},
        }


def _relative(path: Path, folder: Path) -> str:
    """A path as seen from the record, so that a folder can be moved whole."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:  # another drive
        return path.resolve().as_posix()


def _weights_digest(model: str) -> str:
    from ssr_cli.weights import locate

    return digest(locate(model))


def _depth_facts(depth: str, invert: bool, folder: Path) -> dict[str, Any]:
    """Where depth came from; a file by its hash."""
    from ssr_cli.depth_source import is_file

    if not is_file(depth):
        return {"source": depth, "invert": invert, "sha256": None}
    return {"source": _relative(Path(depth), folder), "invert": invert, "sha256": digest(Path(depth))}


def write_sidecar(record: dict[str, Any], output: Path, force: bool) -> Path:
    """Write the record beside the result.

    Raises:
        OutputError: if it cannot be written, or exists without `force`.
    """
    path = sidecar_path(output)
    with publish(path, force) as temporary:
        temporary.write_text(json.dumps(finite(record), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


@dataclass(frozen=True)
class Sidecar:
    """A record that was read.

    Attributes:
        path: of the record.
        data: all of it.
        options: of the pipeline.
        files: of reading and writing.
    """

    path: Path
    data: dict[str, Any]
    options: UpscaleOptions
    files: FileOptions

    @property
    def photo(self) -> Path:
        """The input."""
        return self.path.parent / str(self.data["input"]["path"])

    @property
    def output(self) -> Path:
        """The result."""
        return self.path.parent / str(self.data["output"]["path"])

    @property
    def depth(self) -> str:
        """What --depth was; a file as seen from here."""
        facts = self.data["depth"]
        return str(self.path.parent / facts["source"]) if facts["sha256"] else str(facts["source"])


def read_sidecar(path: Path) -> Sidecar:
    """Read and check a record.

    Raises:
        InputError: if it is missing, torn, of another program or of a later version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise InputError(
                f"{path} has format {data['format']}, not {FORMAT}.", "Use the version of ssr that made it."
            )
        for part, name in (("input", "sha256"), ("output", "sha256"), ("weights", "model"), ("depth", "source")):
            if not isinstance(data[part][name], str):
                raise KeyError(f"{part}.{name}")
        given = dict(data["options"])
        ablation = Ablation(**given.pop("ablation", {}))
        return Sidecar(path, data, UpscaleOptions(**given, ablation=ablation), FileOptions(**data["files"]))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Name the .ssr.json beside a result.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is no record of a result: {type(error).__name__} {error}.", "Name the .ssr.json beside a result."
        ) from error
