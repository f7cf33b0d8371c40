"""Checkpoints: found by name, read and written. Safetensors is their only format; every file is checked before use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssr_cli.catalogue import CHECKPOINT_NAME, Entry, WeightsFile, catalogue, hub_entry
from ssr_cli.errors import WeightsError
from ssr_cli.fetch import fetch_file, silent
from ssr_cli.paths import publish
from ssr_cli.places import Progress

if TYPE_CHECKING:
    from torch import Tensor


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


def _in_folder(folder: Path) -> Path:
    """The checkpoint of a folder: `ssr.safetensors`, or the only .safetensors there is.

    Raises:
        WeightsError: if that is not clear.
    """
    found = sorted(folder.glob("*.safetensors"))
    if (named := folder / CHECKPOINT_NAME) in found:
        return named
    if len(found) != 1:
        what = "no .safetensors file" if not found else f"{len(found)} .safetensors files"
        raise WeightsError(f"The folder {folder} has {what}.", f"Name the file itself, or call it {CHECKPOINT_NAME}.")
    return found[0]


def named(model: str) -> Path | tuple[Entry, WeightsFile]:
    """What a name on the command line stands for; nothing is downloaded.

    Args:
        model: an id of the table, a .safetensors file, a folder with one, or `user/repo[@revision]` of the Hub.

    Returns:
        A file on this machine, or an entry with the file of it that is the checkpoint.

    Raises:
        WeightsError: if it is no model.
    """
    known = catalogue()
    if (entry := known.get(model)) is not None:
        if entry.kind not in ("lite", "sd-adapter"):
            raise WeightsError(
                f"{model} is a {entry.kind} and no model of its own.", "ssr models list shows the others."
            )
        tensors = next((file for file in entry.files if file.name.endswith(".safetensors")), None)
        if tensors is None:
            raise WeightsError(f"{model} has no .safetensors file.", "Mend its entry in weights.toml.")
        return entry, tensors
    path = Path(model)
    if path.is_dir():
        return _in_folder(path)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise WeightsError(f"The checkpoint {path} does not exist.", "Check the path.")
        return path
    if not path.exists() and (entry := hub_entry(model)) is not None:
        return entry, entry.files[0]
    raise WeightsError(
        f"There is no model {model!r}.",
        f"Use one of {', '.join(known)}, a .safetensors file, a folder with one, or user/repo of the Hub.",
    )


def locate(model: str, progress: Progress = silent) -> Path:
    """The checkpoint file of a name on the command line, downloaded if need be.

    Args:
        model: see `named`.
        progress: receives the bytes of a download.

    Raises:
        WeightsError: if there is none, or it is not what the table says.
    """
    found = named(model)
    return found if isinstance(found, Path) else fetch_file(*found, progress)


def header_of(path: Path) -> dict[str, Any]:
    """Numbers of the models of a checkpoint file, from its header alone.

    Raises:
        WeightsError: if it is none of this program.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            config: dict[str, Any] = json.loads((file.metadata() or {})["config"])
            return config
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise _foreign(path, error) from error


def _foreign(path: Path, error: Exception) -> WeightsError:
    """What is said of a file that is no checkpoint of ours."""
    return WeightsError(f"{path} is not a checkpoint of ssr: {error}.", "Use one made by ssr train --stage pack.")


def load_checkpoint(model: str = "lite", progress: Progress = silent) -> Checkpoint:
    """Read and check a checkpoint.

    Args:
        model: see `locate`.
        progress: receives the bytes of a download.

    Raises:
        WeightsError: if it is missing, damaged or not of this program.
    """
    from safetensors import SafetensorError, safe_open

    from ssr_cli.eight_bits import in_floats

    path = locate(model, progress)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = in_floats({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        return Checkpoint(json.loads(metadata["config"]), state, json.loads(metadata.get("provenance", "{}")))
    except (SafetensorError, OSError, KeyError, json.JSONDecodeError) as error:
        raise _foreign(path, error) from error


def save_checkpoint(
    path: Path,
    config: dict[str, Any],
    state: dict[str, Tensor],
    provenance: dict[str, Any],
    eight_bits: Sequence[str] = (),
) -> None:
    """Write a checkpoint as safetensors, atomically: float16, and int8 where that is asked for.

    Args:
        path: ends in .safetensors.
        config: numbers of the models.
        state: tensors by name.
        provenance: goes into the metadata as JSON.
        eight_bits: parts whose convolutions are kept in eight bits, see `in_eight_bits`.
    """
    from safetensors.torch import save_file

    from ssr_cli.eight_bits import in_eight_bits

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = in_eight_bits(state, eight_bits)
    with publish(path, force=True) as temporary:
        save_file(tensors, temporary, {"config": json.dumps(config), "provenance": json.dumps(provenance)})
