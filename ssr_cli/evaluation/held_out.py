"""Kernels judged on LR pixels they were not estimated from: what a wrong kernel cannot fake."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssr_cli.evaluation.rows import Row
from ssr_cli.evaluation.scenes import Scene
from ssr_cli.frames import DepthMap, KernelField, Photo
from ssr_cli.hiding import without
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import Models

#: Side of a held-out block, LR pixels, and how many of all blocks are held out.
BLOCK, SHARE = 8, 0.2


def held_out_places(height: int, width: int, seed: int = 0) -> Tensor:
    """Which LR pixels are kept from the estimate: (h, w) bool, blocks of 8 x 8 drawn by the seed, at least one."""
    rows, columns = math.ceil(height / BLOCK), math.ceil(width / BLOCK)
    draw = torch.rand(rows * columns, generator=torch.Generator().manual_seed(seed))
    chosen = torch.zeros(rows * columns, dtype=torch.bool)
    chosen[draw.argsort()[: max(1, round(SHARE * rows * columns))]] = True
    blocks = chosen.view(rows, columns).repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    return blocks[:height, :width]


def _psnr(residual: Tensor) -> float:
    return -10 * math.log10(max(float(residual.square().mean()), 1e-12))


def held_out_figures(field: KernelField, scene: Scene, places: Tensor) -> Row:
    """LR-PSNR of the blurred truth at held-out places, in dB, in the light the scene was blurred in.

    Args:
        field: estimated without these places.
        scene: the truth.
        places: (h, w) bool.

    Returns:
        `held_out_db`: under the field; `held_out_db_single`: under the best one atom for the places that were seen.
    """
    dictionary = default_dictionary()
    photo = scene.decode(scene.truth.lr)
    operator = SpatiallyVariantBlur(dictionary.atoms, field.weights[None], dictionary.scale)
    seen = operator.responses(scene.decode(scene.truth.hr)[None])[0]  # (3, L, h, w)
    misses = seen - photo[:, None]
    best = int(misses[..., ~places].square().sum((0, 2)).argmin())
    return {
        "held_out_db": _psnr(((seen * field.weights).sum(1) - photo)[:, places]),
        "held_out_db_single": _psnr(misses[:, best][:, places]),
    }


def held_out_rounds(scene: Scene, models: Models, options: UpscaleOptions, depth: DepthMap | None = None) -> list[Row]:
    """Estimate the kernels with a fifth of the photo hidden; the figures of every round on what was hidden.

    Args:
        scene: with its photo.
        models: ours.
        options: of the estimate.
        depth: to begin with, or None for the suite's own estimate.
    """
    from ssr_cli.pipeline import analyse

    lr = scene.truth.lr
    places = held_out_places(*lr.shape[-2:])
    analysis = analyse(Photo(without(lr, places)), models, options, depth=depth)
    return [held_out_figures(turn.field, scene, places) for turn in analysis.rounds]
