"""Fit the bench's NIQE model to the training photos and write it as a small safetensors file."""

from __future__ import annotations

import torch
from safetensors.torch import save_file

from ssr_cli.errors import UsageError
from ssr_cli.evaluation.niqe import fit_niqe
from ssr_cli.evaluation.pairs import read_rgb
from ssr_cli.paths import publish
from ssr_cli.training.loop import Report
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import list_photos


def write_niqe(options: TrainOptions, report: Report) -> dict[str, float]:
    """Fit and write.

    Args:
        options: `photos` and `pack_to`.
        report: receives a line.

    Returns:
        How many photos were used.

    Raises:
        UsageError: if no target was named.
    """
    if options.pack_to is None:
        raise UsageError("The niqe stage needs a target.", "Name one with --pack-to niqe.safetensors.")
    photos = list_photos(options.photos)
    torch.set_num_threads(1)
    model = fit_niqe(read_rgb(path) for path in photos)
    with publish(options.pack_to, force=True) as temporary:
        save_file({"mean": model.mean, "covariance": model.covariance}, temporary)
    report(f"niqe: {options.pack_to}, from {len(photos)} photos")
    return {"photos": float(len(photos))}
