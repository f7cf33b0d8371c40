"""Stable Diffusion backbones: the files of an entry of weights.toml become frozen modules, without a pipeline.

Built from their configurations on the meta device and filled from safetensors: no warning, no call to the Hub.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssr_cli.catalogue import Entry, catalogue
from ssr_cli.diffusion.schedule import Schedule
from ssr_cli.diffusion.stable import Backbone
from ssr_cli.errors import WeightsError
from ssr_cli.fetch import fetch, silent
from ssr_cli.places import Progress


def backbone_entry(name: str) -> Entry:
    """The entry of a backbone.

    Raises:
        WeightsError: if there is none.
    """
    found = {key: entry for key, entry in catalogue().items() if entry.kind == "sd-backbone"}
    if name not in found:
        raise WeightsError(f"There is no backbone {name!r}.", f"Use one of {', '.join(found) or 'none yet'}.")
    return found[name]


def precision(device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """Number formats of UNet and VAE on a device.

    The VAE overflows in float16, so it stays in float32 where there is no bfloat16.
    """
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return torch.bfloat16, torch.bfloat16
        return torch.float16, torch.float32
    if device.type == "mps":
        return torch.float16, torch.float32
    return torch.float32, torch.float32


def _files(files: dict[str, Path], part: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a part (a folder of the repository)."""
    from safetensors.torch import load_file

    config = next((p for n, p in files.items() if n.startswith(f"{part}/") and n.endswith("config.json")), None)
    tensors = next((p for n, p in files.items() if n.startswith(f"{part}/") and n.endswith(".safetensors")), None)
    if config is None or tensors is None:
        raise ValueError(f"it lacks the configuration or the tensors of its {part}")
    return json.loads(config.read_text(encoding="utf-8")), load_file(tensors)


def _filled(kind: Any, config: dict[str, Any], state: dict[str, Tensor], dtype: torch.dtype) -> nn.Module:
    """A diffusers model of a configuration with the tensors of a state."""
    with torch.device("meta"):
        model: nn.Module = kind.from_config(config)
    model.load_state_dict({k: v.to(dtype) for k, v in state.items()}, assign=True)
    return model.eval().requires_grad_(False)


def load_backbone(entry: Entry, device: torch.device, progress: Progress = silent) -> Backbone:
    """A backbone, downloaded if need be.

    Args:
        entry: with `unet/`, `vae/` and `scheduler/scheduler_config.json` among its files.
        device: where it runs.
        progress: receives the bytes of a download.

    Raises:
        WeightsError: if it cannot be had or is no such model.
    """
    files = fetch(entry, progress)
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from safetensors import SafetensorError

    unet_dtype, vae_dtype = precision(device)
    try:
        scheduler = next((p for n, p in files.items() if n.endswith("scheduler_config.json")), None)
        if scheduler is None:
            raise ValueError("it lacks scheduler/scheduler_config.json")
        schedule = Schedule.from_config(json.loads(scheduler.read_text(encoding="utf-8")))
        unet = _filled(UNet2DConditionModel, *_files(files, "unet"), unet_dtype).to(device)
        vae: Any = _filled(AutoencoderKL, *_files(files, "vae"), vae_dtype).to(device)
        factor = float(vae.config.scaling_factor)
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise WeightsError(
            f"{entry.id} is not a Stable Diffusion backbone: {str(error).splitlines()[0]}.",
            "Run ssr models verify, or use --model lite.",
        ) from error

    def encode(pixels: Tensor) -> Tensor:
        latent: Tensor = vae.encode(pixels.to(vae_dtype), return_dict=False)[0].mode()
        return latent.float() * factor

    def decode(latent: Tensor) -> Tensor:
        pixels: Tensor = vae.decode((latent / factor).to(vae_dtype), return_dict=False)[0]
        return pixels.float()

    return Backbone(unet, encode, decode, schedule, unet_dtype)
