"""Checkpoints: `weights.toml` is their table, safetensors their only format, and every file is checked before use."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_cli.errors import WeightsError
from ssr_cli.paths import publish

if TYPE_CHECKING:
    from torch import Tensor

_PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """One line of the table.

    Attributes:
        id: name on the command line.
        kind: "lite".
        file: path inside the package, or file name inside the repo.
        licence: SPDX identifier.
        size: bytes, or None where not known.
        sha256: hex digest, or None where not known.
        repo: Hub repository, or None for bundled files.
        revision: 40 hex digits, or None.
    """

    id: str
    kind: str
    file: str
    licence: str
    size: int | None = None
    sha256: str | None = None
    repo: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    Attributes:
        config: numbers of the models.
        state: tensors by name, float32, CPU.
        provenance: what it was trained on, by what, with which licence.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]
    provenance: dict[str, Any]


def table_path() -> Path:
    """`weights.toml`: inside an installed package, beside it in a checkout.

    Raises:
        WeightsError: if it is in neither place.
    """
    for path in (_PACKAGE / "weights.toml", _PACKAGE.parent / "weights.toml"):
        if path.is_file():
            return path
    raise WeightsError("weights.toml is missing from this installation.", "Install ssr again.")


def read_table(path: Path | None = None) -> dict[str, Entry]:
    """All entries by id.

    Raises:
        WeightsError: naming the entry that is off.
    """
    path = path or table_path()
    try:
        models = tomllib.loads(path.read_text(encoding="utf-8")).get("models", {})
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"{path} cannot be read: {error}.", "Mend the file.") from error
    entries = {}
    for name, values in models.items():
        try:
            entries[name] = Entry(id=name, **values)
        except TypeError as error:
            raise WeightsError(
                f"Entry models.{name} of {path} is not understood: {error}.", "Mend the entry."
            ) from error
    return entries


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(path: Path, entry: Entry) -> None:
    """Compare a file with what the table says of it."""
    if entry.size is not None and path.stat().st_size != entry.size:
        raise WeightsError(
            f"{path} has {path.stat().st_size} bytes and not {entry.size}.", "Install or download it again."
        )
    if entry.sha256 is not None and _digest(path) != entry.sha256:
        raise WeightsError(
            f"{path} is damaged: its SHA-256 is not the one in weights.toml.", "Install or download it again."
        )


def _from_hub(entry: Entry) -> Path:
    """The file of a Hub entry: cache first, then the network."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted: dict[str, Any] = {"repo_id": entry.repo, "filename": entry.file, "revision": entry.revision}
    try:
        return Path(hf_hub_download(**wanted, local_files_only=True))
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(hf_hub_download(**wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise WeightsError(
            f"{entry.id} could not be downloaded from {entry.repo}: {type(error).__name__}.",
            "Check the network, or use the bundled model with --model lite.",
        ) from error


def locate(model: str) -> Path:
    """The checkpoint file of a name on the command line.

    Args:
        model: an id of the table or a path to a .safetensors file.

    Raises:
        WeightsError: if there is none, or it is not what the table says.
    """
    entry = read_table().get(model)
    if entry is not None:
        path = _PACKAGE / entry.file if entry.repo is None else _from_hub(entry)
        if not path.is_file():
            raise WeightsError(f"The bundled checkpoint {path} is missing.", "Install ssr again.")
        _verify(path, entry)
        return path
    path = Path(model)
    if path.suffix != ".safetensors":
        known = ", ".join(read_table())
        raise WeightsError(f"There is no model {model!r}.", f"Use one of {known}, or a .safetensors file.")
    if not path.is_file():
        raise WeightsError(f"The checkpoint {path} does not exist.", "Check the path.")
    return path


def load_checkpoint(model: str = "lite") -> Checkpoint:
    """Read and check a checkpoint.

    Args:
        model: an id of weights.toml or a .safetensors file.

    Raises:
        WeightsError: if it is missing, damaged or not of this program.
    """
    from safetensors import SafetensorError, safe_open

    path = locate(model)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        return Checkpoint(json.loads(metadata["config"]), state, json.loads(metadata.get("provenance", "{}")))
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path} is not a checkpoint of ssr: {error}.", "Use one made by ssr train --stage pack."
        ) from error


def save_checkpoint(path: Path, config: dict[str, Any], state: dict[str, Tensor], provenance: dict[str, Any]) -> None:
    """Write a checkpoint as float16 safetensors, atomically.

    Args:
        path: ends in .safetensors.
        config: numbers of the models.
        state: tensors by name.
        provenance: goes into the metadata as JSON.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.half().contiguous() for k, v in state.items()}
    with publish(path, force=True) as temporary:
        save_file(tensors, temporary, {"config": json.dumps(config), "provenance": json.dumps(provenance)})
