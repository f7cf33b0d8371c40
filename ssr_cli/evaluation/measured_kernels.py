"""Measured camera-shake kernels from files, on the bench's grid: PNG, NPY and MATLAB 7.3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ssr_cli.errors import InputError
from ssr_cli.physics.shapes import OPTICAL_SIZE

_SUFFIXES = (".png", ".npy", ".mat")
_LEAST_SIDE = 3


def _from_mat(path: Path) -> list[np.ndarray]:
    """Every two-dimensional array of numbers in a MATLAB 7.3 (HDF5) file, cells included, by name."""
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} needs h5py to be read.", 'Install it with pip install "ssr-cli[bench]".') from error
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 2 and min(item.shape) >= _LEAST_SIDE:
            # MATLAB stores columns first
            found[name] = np.asarray(item[()], dtype=np.float64).T

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except OSError as error:
        raise InputError(
            f"{path} is not a MATLAB 7.3 file.", "Save it with -v7.3, or its kernels as PNG or NPY."
        ) from error
    return [found[name] for name in sorted(found)]


def _read(path: Path) -> list[np.ndarray]:
    """The kernels of one file, as they are stored."""
    if path.suffix.lower() == ".mat":
        return _from_mat(path)
    try:
        if path.suffix.lower() == ".npy":
            return [np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)]
        with Image.open(path) as image:
            return [np.asarray(image.convert("L"), dtype=np.float64)]
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise InputError(f"{path} cannot be read as a kernel.", "Give a grey PNG or a two-dimensional NPY.") from error


def centred(kernel: Tensor, size: int = OPTICAL_SIZE) -> Tensor:
    """A kernel on a grid of `size`, its centroid in the middle, unit sum; shrunk when it is larger than that.

    A kernel that is off its centre would shift the photo, and every figure would judge the shift.

    Args:
        kernel: (k, l), non-negative.
        size: odd.
    """
    largest = max(kernel.shape)
    if largest > size:
        sides = [max(1, round(n * size / largest)) for n in kernel.shape]
        kernel = F.interpolate(kernel[None, None], size=sides, mode="bilinear", antialias=True)[0, 0]
    kernel = kernel / kernel.sum()
    rows, columns = (torch.arange(n, dtype=kernel.dtype) for n in kernel.shape)
    # where the first row and column go, in fractions of a pixel
    top = (size - 1) / 2 - float((kernel.sum(1) * rows).sum())
    left = (size - 1) / 2 - float((kernel.sum(0) * columns).sum())
    out = torch.zeros(size, size, dtype=kernel.dtype)
    y0, x0 = int(np.floor(top)), int(np.floor(left))
    for dy, wy in ((0, 1 - (top - y0)), (1, top - y0)):
        for dx, wx in ((0, 1 - (left - x0)), (1, left - x0)):
            ys, xs = rows.long() + y0 + dy, columns.long() + x0 + dx
            inside_y, inside_x = (ys >= 0) & (ys < size), (xs >= 0) & (xs < size)
            out[ys[inside_y][:, None], xs[inside_x][None]] += wy * wx * kernel[inside_y][:, inside_x]
    return out / out.sum()


def read_kernels(paths: Sequence[Path]) -> list[Tensor]:
    """Measured kernels of files and folders, in the order of their names, ready to blur the HR grid.

    Args:
        paths: PNG, NPY or MAT files, or folders of them.

    Returns:
        Each (25, 25), non-negative, unit sum, centred.

    Raises:
        InputError: when a file is unreadable or holds no kernel, or there is none.
    """
    files: list[Path] = []
    for path in paths:
        files += sorted(p for p in path.iterdir() if p.suffix.lower() in _SUFFIXES) if path.is_dir() else [path]
    kernels: list[Tensor] = []
    for file in files:
        for array in _read(file):
            if array.ndim != 2 or min(array.shape) < _LEAST_SIDE or not np.isfinite(array).all():
                raise InputError(f"{file} holds no kernel.", "A kernel is a two-dimensional array of numbers.")
            array = np.clip(array, 0, None)
            if array.sum() <= 0:
                raise InputError(f"{file} holds an empty kernel.", "A kernel has a positive sum.")
            kernels.append(centred(torch.from_numpy(array.copy()).float()))
    if not kernels:
        raise InputError("There are no kernels to blur with.", "Name PNG, NPY or MAT files with --shake-kernels.")
    return kernels
