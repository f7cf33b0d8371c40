"""Where a photo's depth comes from: our own net, a larger one, a map of the user's own, or nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from ssr_cli.catalogue import Entry, catalogue
from ssr_cli.errors import UsageError, WeightsError
from ssr_cli.fetch import fetch, silent
from ssr_cli.frames import DepthMap, Photo
from ssr_cli.places import Progress

#: Gives the depth to begin with at the photo's size, or None for the suite's own estimate.
DepthSource = Callable[[Photo], DepthMap | None]
LITE, NONE = BUILT_IN = "lite", "none"


def is_file(name: str) -> bool:
    """Whether a value of `--depth` names a file and not an estimator."""
    return name not in (LITE, NONE) and (Path(name).suffix != "" or "/" in name) and name not in catalogue()


def depth_source(
    name: str = LITE, invert: bool = False, device: torch.device | None = None, progress: Progress = silent
) -> DepthSource:
    """What `--depth` asked for.

    Args:
        name: "lite", "none", the id of a depth estimator in weights.toml, or a grey picture.
        invert: values of the picture grow with distance.
        device: where an estimator runs.
        progress: receives the bytes of a download.

    Returns:
        A function of the photo.

    Raises:
        UsageError: for a name that is none of these, or `invert` without a picture.
        WeightsError: if the estimator cannot be had or used.
    """
    if is_file(name):
        from ssr_cli.image.depth_file import read_depth

        return lambda photo: DepthMap(read_depth(Path(name), photo.height, photo.width, invert))
    if invert:
        raise UsageError("--depth-invert belongs to a depth map.", "Name one with --depth FILE.png.")
    if name == LITE:
        return lambda photo: None
    if name == NONE:
        return lambda photo: DepthMap(torch.full((photo.height, photo.width), 0.5))
    return _estimator(estimator_entry(name), device or torch.device("cpu"), progress)


def estimator_entry(name: str) -> Entry:
    """The table's entry of a depth estimator.

    Raises:
        UsageError: if it has none.
    """
    entries = {key: entry for key, entry in catalogue().items() if entry.kind == "depth"}
    if name not in entries:
        raise UsageError(f"There is no depth {name!r}.", f"Use {', '.join((*BUILT_IN, *entries))}, or a grey PNG.")
    return entries[name]


def _estimator(entry: Entry, device: torch.device, progress: Progress) -> DepthSource:
    """A net of the table, downloaded if need be."""
    from ssr_cli.models.depth_anything import DepthAnything

    files = fetch(entry, progress)
    config = next((path for name, path in files.items() if name.endswith("config.json")), None)
    tensors = next((path for name, path in files.items() if name.endswith(".safetensors")), None)
    if config is None or tensors is None:
        raise WeightsError(f"{entry.id} lacks config.json or a .safetensors file.", "Mend its entry in weights.toml.")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        net = DepthAnything(json.loads(config.read_text(encoding="utf-8")), load_file(tensors)).to(device)
    except ImportError as error:
        raise WeightsError(
            f"--depth {entry.id} needs transformers.", 'Install it with pip install "ssr-cli[depth]".'
        ) from error
    except (RuntimeError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"{entry.id} is not a Depth Anything checkpoint: {str(error).splitlines()[0]}.",
            "Run ssr models verify, or use --depth lite.",
        ) from error
    return lambda photo: DepthMap(net.estimate(photo.rgb[None].to(device))[0, 0].cpu())
