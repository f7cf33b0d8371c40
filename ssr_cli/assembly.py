"""From a name on the command line to models on their device: the lite suite, alone or with a Stable Diffusion prior."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch

from ssr_cli.backbone import backbone_entry, load_backbone
from ssr_cli.diffusion.stable import StablePrior
from ssr_cli.errors import WeightsError
from ssr_cli.fetch import silent
from ssr_cli.models.adapter import AdapterConfig, SdAdapter
from ssr_cli.places import Progress
from ssr_cli.suite import Models, load_models
from ssr_cli.weights import Checkpoint, load_checkpoint

#: What the configuration of an adapter's checkpoint says it is.
ADAPTER = "sd-adapter"


def adapter_config(data: dict[str, Any]) -> AdapterConfig:
    """Read an adapter's numbers back from JSON.

    Raises:
        KeyError: for a number this version does not know.
    """
    if unknown := set(data) - {f.name for f in fields(AdapterConfig)}:
        raise KeyError(f"adapter.{sorted(unknown)[0]}")
    tuples = {
        k: tuple(tuple(w) if isinstance(w, list) else w for w in v) for k, v in data.items() if isinstance(v, list)
    }
    return AdapterConfig(**{**data, **tuples})


def load_adapter(checkpoint: Checkpoint, device: torch.device) -> SdAdapter:
    """The adapter of a checkpoint.

    Raises:
        WeightsError: if its tensors do not fit its numbers.
    """
    try:
        adapter = SdAdapter(adapter_config(checkpoint.config["adapter"]))
        adapter.load_state_dict(checkpoint.state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(
            f"The adapter does not fit this version of ssr: {str(error).splitlines()[0]}.",
            "Update ssr or use --model lite.",
        ) from error
    return adapter.to(device).eval().requires_grad_(False)


def assemble(model: str, device: torch.device, progress: Progress = silent) -> Models:
    """Models of a name.

    Args:
        model: see `weights.locate`; an adapter's checkpoint brings its backbone and suite by their names.
        device: where they run.
        progress: receives the bytes of downloads.

    Raises:
        WeightsError: if something is missing, damaged or of another kind.
    """
    checkpoint = load_checkpoint(model, progress)
    if checkpoint.config.get("kind") != ADAPTER:
        return load_models(checkpoint, device)
    suite = load_models(load_checkpoint(str(checkpoint.config.get("suite", "lite")), progress), device)
    backbone = load_backbone(backbone_entry(str(checkpoint.config.get("backbone"))), device, progress)
    return replace(suite, stable=StablePrior(backbone, load_adapter(checkpoint, device)))
