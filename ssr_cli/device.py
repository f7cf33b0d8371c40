"""Choosing a device and recognising its failures."""

from __future__ import annotations

import torch

from ssr_cli.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """The device to run on.

    Args:
        name: "auto" (CUDA, else MPS, else CPU), "cpu", "cuda", "cuda:N" or "mps".

    Returns:
        A device that exists.

    Raises:
        DeviceError: if it is unknown or absent.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise DeviceError(f"There is no device {name!r}.", "Use --device auto, cpu, cuda, cuda:N or mps.")
    if kind == "cuda" and (not cuda or int(index or 0) >= torch.cuda.device_count()):
        raise DeviceError(
            f"Device {name} is not available here.", "Use --device auto or cpu, or install a CUDA build of torch."
        )
    if kind == "mps" and not mps:
        raise DeviceError("Device mps is not available here.", "Use --device auto or cpu.")
    return torch.device(name)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a device or the machine ran out of memory."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


#: LR pixels worked on at a time on a CPU: of a photo that is done at once, and of a tile, its surroundings included.
#: Either takes a process to about 1.6 GB, beside the photo: what tiles leave free is in pieces.
_CPU_PIXELS, _CPU_TILE = 520 * 520, 384 * 384
#: Bytes that an LR pixel needs at the peak, on any device.
BYTES_PER_PIXEL = 3500


def pixels_that_fit(device: torch.device) -> tuple[int, int]:
    """LR pixels that are worked on at a time: what keeps a CPU's memory small, or what fits into a GPU's.

    Returns:
        Of a photo that is done at once, and of a tile with its surroundings.
    """
    if device.type != "cuda":
        return _CPU_PIXELS, _CPU_TILE
    free, _ = torch.cuda.mem_get_info(device)
    fitting = max(_CPU_PIXELS // 4, int(free * 0.5) // BYTES_PER_PIXEL)
    return fitting, fitting
