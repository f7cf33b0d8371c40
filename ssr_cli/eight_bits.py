"""Weights in eight bits: half the file, and no pixel that moves by more than rounding.

A convolution's weights are whole numbers of -127 to 127 times a scale of each output channel (symmetric, per channel:
arXiv 1806.08342). Only how they are kept changes; networks compute with what the numbers stand for, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

#: What is added to a tensor's name for its scales.
_SCALES = ".scales"
#: Largest whole number; -128 is not used, so that nothing is lopsided.
_MOST = 127
#: Tensors of fewer numbers stay as they are: there is nothing to be saved.
_LEAST = 4096


def in_eight_bits(state: Mapping[str, Tensor], parts: Sequence[str]) -> dict[str, Tensor]:
    """Tensors as a file has them: large convolutions of some parts in eight bits, all else in float16.

    Args:
        state: tensors by name, floating point.
        parts: beginnings of the names whose convolutions are kept so, e.g. ("restorer.", "flow.").

    Returns:
        The tensors, some as int8 (C', C, k, k) with scales (C',), float32, beside them.
    """
    out: dict[str, Tensor] = {}
    for name, weight in state.items():
        if not name.startswith(tuple(parts)) or weight.ndim != 4 or weight.numel() < _LEAST:
            out[name] = weight.half().contiguous()
            continue
        scales = weight.float().abs().amax((1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny * _MOST) / _MOST
        out[name] = (weight.float() / scales.view(-1, 1, 1, 1)).round().to(torch.int8).contiguous()
        out[name + _SCALES] = scales
    return out


def in_floats(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse: every tensor in float32, scales multiplied in and gone.

    Raises:
        KeyError: if a tensor in eight bits has no scales.
    """
    out: dict[str, Tensor] = {}
    for name, stored in tensors.items():
        if name.endswith(_SCALES):
            continue
        if stored.dtype == torch.int8:
            out[name] = stored.float() * tensors[name + _SCALES].float().view(-1, 1, 1, 1)
        else:
            out[name] = stored.float()
    return out
