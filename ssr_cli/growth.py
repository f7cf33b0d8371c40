"""Checkpoints of older versions: layers that have gained inputs or outputs since are grown, not refused; and networks
that have gained blocks since begin from them, when they are trained on."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

#: Layers that hardly changed depth, in the place of `DepthRefiner`.
_GONE = re.compile(r"svkr\.rounds\.\d+\.depth_(enter|block|head)\..+")
#: What sees the first guess.
_STEM = "restorer.net.stem.weight"
#: A refiner, and what says whether it chooses depths: the first ones had a single output, which they added.
_REFINER, _CHOOSES = "svkr.refiner.", "svkr.refiner.head.bias"


def _name_of_today(name: str) -> str:
    """A tensor's name as it is now: SVKR's rounds had two blocks, each with a name of its own."""
    numbered = re.fullmatch(r"(svkr\.rounds\.\d+\.)block([12])(\..+)", name)
    return name if numbered is None else f"{numbered[1]}blocks.{int(numbered[2]) - 1}{numbered[3]}"


def _of_luma(stem: Tensor, inputs: int) -> Tensor:
    """A restorer's stem (C, I, 3, 3) whose inputs behind the photo's three are of luma: channels' weights are added."""
    photo, guess = stem[:, :3], stem[:, 3:]
    if guess.shape[1] != 3 * (inputs - 3):
        return stem
    return torch.cat([photo, sum(guess.chunk(3, 1))], 1)  # type: ignore[list-item]


def grown(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of today's names and shapes that do what a checkpoint's did.

    Restorers were told of the first guess in every channel, and now are of its luma. Refiners that added to depth are
    left out, see `SuiteConfig.from_dict`. New inputs count for nothing and new outputs say nothing (zero), so but for
    that an older checkpoint answers as it always did.

    Args:
        state: the checkpoint's tensors by name.
        wanted: today's by name; only their shapes are used.

    Returns:
        The checkpoint's tensors; a smaller one is filled up with zeros, one that does not fit stays as it is.
    """
    out = {_name_of_today(name): tensor for name, tensor in state.items() if not _GONE.fullmatch(name)}
    if (stem := out.get(_STEM)) is not None and _STEM in wanted:
        out[_STEM] = _of_luma(stem, wanted[_STEM].shape[1])
    if _CHOOSES in out and len(out[_CHOOSES]) == 1:
        out = {name: tensor for name, tensor in out.items() if not name.startswith(_REFINER)}
    for name, old in list(out.items()):
        shape = wanted[name].shape if name in wanted else old.shape
        if old.shape == shape or old.ndim != len(shape) or any(a > b for a, b in zip(old.shape, shape, strict=True)):
            continue
        if old.shape[2:] != shape[2:]:  # a convolution over other places is no larger one
            continue
        out[name] = torch.zeros(shape, dtype=old.dtype)
        out[name][tuple(slice(n) for n in old.shape)] = old
    return out


def begun_from(state: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a network that is to be trained on, from a checkpoint that may lack some of its blocks or have others.

    Residual blocks begin at nothing, so a network with more of them answers as the checkpoint's did. Blocks that the
    network does not have are left out.

    Args:
        state: the checkpoint's tensors by name.
        fresh: those of the network as it was built.

    Returns:
        The checkpoint's tensors, grown, and fresh ones where it has none that fits.
    """
    old = grown(state, fresh)
    fits = {name: tensor for name, tensor in old.items() if name in fresh and tensor.shape == fresh[name].shape}
    return {**fresh, **fits}
