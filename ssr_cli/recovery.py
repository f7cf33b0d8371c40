"""When memory runs out or a tile comes out wrong: float32, smaller tiles, then the CPU, but never a bad photo.

Recovery is local: tiles agree with the whole photo whatever their size, so only the tile in question is made again.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from ssr_cli.device import is_out_of_memory
from ssr_cli.errors import DeviceError
from ssr_cli.suite import Models
from ssr_cli.tiling import Tile, divided

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
    darkest, brightest = core.aminmax()  # neither is a number where one value is none
    if not bool(darkest.isfinite() & brightest.isfinite()):
        raise BadTile("a tile came out with values that are no numbers")
    if float(brightest) < _BLACK and float(photo.max()) > _NOT_DARK:
        raise BadTile("a tile came out black")
    return core


def on_cpu(models: Models) -> Models:
    """The same models on the CPU, all of it in float32."""
    cpu = torch.device("cpu")
    suite, optical = copy.deepcopy((models.suite, models.optical))  # together: they share a part
    suite.to(cpu, torch.float32)
    if optical is not None:
        optical.to(cpu, torch.float32)
    return replace(models, suite=suite, optical=optical, device=cpu, precision=torch.float32)


class Recovery:
    """Works through tiles, each divided or moved to the CPU where that helps.

    Args:
        models: on the device that was asked for.
        incidents: gets a sentence about everything that went wrong.
        size: of the photo in whole cells, LR pixels.
        overlap: LR pixels that a tile reads around its core.
    """

    def __init__(self, models: Models, incidents: list[str], size: tuple[int, int], overlap: int) -> None:
        self.models = models
        self.incidents = incidents
        self.size = size
        self.overlap = overlap
        #: Longest side of a core that memory suffices for, once it did not.
        self.longest: int | None = None
        self._spare: Models | None = None

    def pieces(self, tile: Tile, attempt: Callable[[Tile, Models], T]) -> Iterator[tuple[Tile, T]]:
        """Do a tile, or what it has to be divided into.

        Args:
            tile: to be done.
            attempt: does one tile; it may be called again for parts of a tile it failed at.

        Yields:
            Tiles whose cores partition the tile's, and what the attempts returned.

        Raises:
            DeviceError: when nothing helped.
        """
        waiting = deque([tile])
        while waiting:
            piece = waiting.popleft()
            parts = divided(piece, self.size, self.overlap)
            if self.longest and max(piece.core.height, piece.core.width) > self.longest and len(parts) > 1:
                waiting.extendleft(reversed(parts))
                continue
            made = self._tried(piece, attempt, len(parts) == 1)
            if made:
                yield piece, made[0]
            else:
                waiting.extendleft(reversed(parts))

    def _tried(self, piece: Tile, attempt: Callable[[Tile, Models], T], last: bool) -> list[T]:
        """One attempt on the device and, if there is no smaller one, on the CPU; nothing if it should be divided."""
        try:
            return [self._attempted(partial(attempt, piece))]
        except (RuntimeError, MemoryError) as error:
            self._write_down(error)
            full = is_out_of_memory(error)
            if last and not self._movable():
                raise self._final(error) from error
        if full:
            # what follows need not fail first: smaller pieces, or none on this device
            self.longest = None if last else max(piece.core.height, piece.core.width) // 2 + 7
            self.models = self._spared() if last else self.models
        # beyond the block, so that the failed attempt's tensors are free
        return [self._on_cpu(piece, attempt)] if last else []

    def _attempted(self, attempt: Callable[[Models], T]) -> T:
        """An attempt on the device; if what comes out is wrong, once more with float32 numbers.

        Raises:
            BadTile: if that was wrong too.
        """
        try:
            return attempt(self.models)
        except BadTile as error:
            if self.models.precision == torch.float32:
                raise
            self._write_down(error)
        return attempt(replace(self.models, precision=torch.float32))

    def _on_cpu(self, piece: Tile, attempt: Callable[[Tile, Models], T]) -> T:
        """The last resort."""
        try:
            return attempt(piece, self._spared())
        except (RuntimeError, MemoryError) as error:
            if not isinstance(error, BadTile) and not is_out_of_memory(error):
                raise
            raise self._final(error) from error

    def whole(self, attempt: Callable[[Models], T]) -> T:
        """Do what cannot be divided: on the device, else all of it and what follows on the CPU.

        Raises:
            DeviceError: when that did not help either.
        """
        try:
            return self._attempted(attempt)
        except (RuntimeError, MemoryError) as error:
            self._write_down(error)
            if not self._movable():
                raise self._final(error) from error
        self.models = self._spared()
        return self.whole(attempt)

    def settle(self, processed: float) -> None:
        """From here on with the models that the photo is for, see `Models.for_photo`."""
        self.models = self.models.for_photo(processed)
        self._spare = None  # of the models before; copied anew where it is needed

    def _write_down(self, error: BaseException) -> None:
        """Note a failure that another attempt may help with; raise every other."""
        if isinstance(error, BadTile):
            reason = str(error)
        elif is_out_of_memory(error):
            reason = "memory ran out"
        else:
            raise error
        self.incidents.append(f"{reason} on {self.models.device}; tried again another way")

    def _movable(self) -> bool:
        """Whether the CPU is left; a Stable Diffusion backbone is too large to be had twice."""
        return self.models.device.type != "cpu" and self.models.stable is None

    def _spared(self) -> Models:
        """The models on the CPU, copied once."""
        if self._spare is None:
            self._spare = on_cpu(self.models)
        return self._spare

    def _final(self, error: BaseException) -> DeviceError:
        """What is said when nothing helped."""
        if isinstance(error, BadTile):
            return DeviceError(
                f"Whatever was tried, {error}.", "Try --device cpu or another --model; nothing was written."
            )
        return DeviceError("The device ran out of memory even with the smallest tile.", "Use --device cpu.")
