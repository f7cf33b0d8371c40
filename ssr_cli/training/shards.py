"""Rendering training data once, by a few processes, into files that are whole or not there."""

from __future__ import annotations

import multiprocessing as mp
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

#: Renders one shard: (photos, number of its first item, items, seed) to named tensors.
Render = Callable[[Sequence[Path], int, int, int], dict[str, Tensor]]


@dataclass(frozen=True)
class _Task:
    """One shard to be rendered."""

    render: Render
    target: Path
    photos: tuple[Path, ...]
    first: int
    items: int
    seed: int


def _work(task: _Task) -> Path:
    """Render a shard beside its place, then put it there."""
    torch.set_num_threads(1)
    data = task.render(task.photos, task.first, task.items, task.seed)
    temporary = task.target.with_suffix(".tmp")
    save_file(data, temporary)
    os.replace(temporary, task.target)
    return task.target


def shard_files(folder: Path, count: int, items: int, seed: int) -> list[Path]:
    """The files of `count` items, whether they are there or not; the folder's name is theirs."""
    return [folder / f"{folder.name}_{seed}_{i:05d}.safetensors" for i in range(-(-count // items))]


def render_shards(
    render: Render,
    photos: Sequence[Path],
    folder: Path,
    count: int,
    items: int,
    seed: int,
    workers: int,
    progress: Callable[[int, int], None],
) -> list[Path]:
    """Make what is missing.

    Args:
        render: a function of a module (processes import it).
        photos: given to it.
        folder: where the shards lie; its name is theirs.
        count: number of items, rounded up to whole shards.
        items: per shard.
        seed: given to it; item i depends on (seed, i) alone.
        workers: processes.
        progress: called with (shards done, shards).

    Returns:
        The shards, in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    targets = shard_files(folder, count, items, seed)
    tasks = [_Task(render, t, tuple(photos), i * items, items, seed) for i, t in enumerate(targets) if not t.exists()]
    progress(len(targets) - len(tasks), len(targets))
    if tasks:
        with mp.get_context("spawn").Pool(workers) as processes:
            for done, _ in enumerate(processes.imap_unordered(_work, tasks), len(targets) - len(tasks) + 1):
                progress(done, len(targets))
    return targets
