"""When memory runs out or a tile comes out wrong: smaller tiles, then the CPU, but never a bad photo."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from ssr_cli.device import is_out_of_memory
from ssr_cli.errors import DeviceError
from ssr_cli.suite import Models
from ssr_cli.tiling import with_halving

T = TypeVar("T")
#: A result that is nowhere brighter than this where the photo is not dark is a black tile.
_BLACK, _NOT_DARK = 1 / 255, 6 / 255


class BadTile(RuntimeError):
    """A tile came out with values that are no numbers, or black."""


def checked(core: Tensor, photo: Tensor) -> Tensor:
    """A finished tile, if it is one.

    Args:
        core: (3, H, W), encoded.
        photo: the part of the photo it was made from.

    Raises:
        BadTile: if values are not finite, or all of it is black and the photo there is not.
    """
    if not bool(core.isfinite().all()):
        raise BadTile("a tile came out with values that are no numbers")
    if float(core.max()) < _BLACK and float(photo.max()) > _NOT_DARK:
        raise BadTile("a tile came out black")
    return core


def _reason(error: BaseException) -> str | None:
    """Why another attempt makes sense, for a person, or None."""
    if isinstance(error, BadTile):
        return str(error)
    return "memory ran out" if is_out_of_memory(error) else None


def on_cpu(models: Models) -> Models:
    """The same models on the CPU, in float32."""
    cpu = torch.device("cpu")
    return replace(models, suite=copy.deepcopy(models.suite).to(cpu, torch.float32), device=cpu)


def _attempted(attempt: Callable[[int, Models], T], models: Models, tile: int) -> T:
    """One attempt."""
    return attempt(tile, models)


def _worth_it(incidents: list[str], models: Models, error: BaseException) -> bool:
    """Whether to try again, written down."""
    reason = _reason(error)
    if reason is not None:
        incidents.append(f"{reason} on {models.device}; tried again another way")
    return reason is not None


def with_recovery(
    tile: int, largest: int, models: Models, attempt: Callable[[int, Models], T], incidents: list[str]
) -> T:
    """Try a tile size, then halves of it; then the same on the CPU, if that was not the device.

    Args:
        tile: first core side in LR pixels, 0 for the whole photo.
        largest: longest side of the photo.
        models: on the device that was asked for.
        attempt: does all the work, from the start.
        incidents: gets a sentence about everything that went wrong.

    Returns:
        What the first good attempt returned.

    Raises:
        DeviceError: when nothing helped.
    """
    last: BaseException | None = None
    # a Stable Diffusion backbone is not moved: it is too large to be had twice
    movable = models.device.type != "cpu" and models.stable is None
    for fallen_back in (False, True)[: 1 + movable]:
        there = on_cpu(models) if fallen_back else models
        try:
            return with_halving(
                tile, largest, partial(_attempted, attempt, there), partial(_worth_it, incidents, there)
            )
        except (RuntimeError, MemoryError) as error:
            if _reason(error) is None:
                raise
            last = error
    if isinstance(last, BadTile):
        raise DeviceError(
            f"Whatever was tried, {last}.", "Try --device cpu or another --model; nothing was written."
        ) from last
    raise DeviceError("The device ran out of memory even with the smallest tile.", "Use --device cpu.") from last
