"""Plain residual blocks and a U-Net on the LR grid. Nothing here looks further than its receptive field.

No normalisation over space or batch and no global attention: a tile gives what the whole photo gives (blueprint 3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def narrowing(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """Convolution whose places are `stride` apart, each in the middle of what it stands for; `conv3` for 1."""
    return nn.Conv2d(inputs, outputs, stride + 2, stride, padding=1)


#: Rows of a strip that comes out.
_STRIP = 64


def in_strips(layer: nn.Conv2d, planes: Sequence[Tensor]) -> Tensor:
    """A convolution of planes that are too many to be put together whole: a strip of rows is at a time.

    Args:
        layer: see `conv3` and `narrowing`.
        planes: each (B, C_i, h, w), side by side its input; h and w multiples of the layer's stride.

    Returns:
        (B, C', h / stride, w / stride), what the convolution of the whole gives.
    """
    stride = int(layer.stride[0])
    height = planes[0].shape[-2] // stride
    if torch.is_grad_enabled() or height <= _STRIP:
        whole: Tensor = layer(torch.cat(list(planes), 1))
        return whole
    out: Tensor | None = None
    for top in range(0, height, _STRIP):
        bottom = min(height, top + _STRIP)
        first, last = max(0, top - 1), min(height, bottom + 1)  # a row more on either side, where there is one
        rows = slice(first * stride, last * stride)
        strip = layer(torch.cat([plane[..., rows, :] for plane in planes], 1))
        strip = strip[..., top - first : bottom - first, :]
        if out is None:
            shape = (len(strip), strip.shape[1], height, strip.shape[-1])
            out = strip.new_empty(shape).to(memory_format=torch.channels_last)
        out[..., top:bottom, :] = strip
    assert out is not None
    return out


def zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """Start a residual branch at nothing."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


class ResBlock(nn.Module):
    """`x + conv(act(modulate(conv(x))))`; the modulation (scale and shift per place) comes from a condition."""

    def __init__(self, width: int, condition: int = 0) -> None:
        super().__init__()
        self.conv1 = conv3(width, width)
        self.conv2 = zeroed(conv3(width, width))
        self.modulate = zeroed(nn.Conv2d(condition, 2 * width, 1)) if condition else None

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map (B, width, h, w) to the same; condition (B, C, h, w) or (B, C, 1, 1)."""
        told = self.modulate(condition).chunk(2, 1) if self.modulate is not None and condition is not None else None
        return _learning(self, x, told) if torch.is_grad_enabled() else _in_place(self, x, told)


def _learning(block: ResBlock, x: Tensor, told: tuple[Tensor, ...] | None) -> Tensor:
    """A block whose steps are kept for the gradient."""
    h: Tensor = block.conv1(x)
    if told is not None:
        h = h * (1 + told[0]) + told[1]
    out: Tensor = x + block.conv2(F.silu(h))
    return out


def _in_place(block: ResBlock, x: Tensor, told: tuple[Tensor, ...] | None) -> Tensor:
    """The same to the bit; every step overwrites the last one, which saves half of the block's memory and some time."""
    h: Tensor = block.conv1(x)
    if told is not None:
        h = h.mul_(told[0].add_(1)).add_(told[1])
    out: Tensor = block.conv2(F.silu(h, inplace=True))
    return out.add_(x)


def twice(x: Tensor) -> Tensor:
    """Every place of (B, C, h, w) two by two times, as nearest interpolation has it: (B, C, 2 h, 2 w).

    Not by `F.interpolate` where something is learnt: compiled for a CPU and in bfloat16, its gradient is nothing at all
    (PyTorch 2.13), and all below the finest level would stay as it is.
    """
    if not torch.is_grad_enabled():
        return F.interpolate(x, scale_factor=2.0, mode="nearest")
    b, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(b, c, h, 2, w, 2).reshape(b, c, 2 * h, 2 * w)


class UNet(nn.Module):
    """Encoder and decoder of residual blocks with additive skips.

    Args:
        inputs: channels in.
        widths: channels at every level, finest first.
        encoder: residual blocks per level going down (the last level's are the bottleneck).
        decoder: residual blocks per level coming up, finest first, one entry fewer.
        conditions: channels of the condition at every level, or empty.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        encoder: Sequence[int],
        decoder: Sequence[int],
        conditions: Sequence[int] = (),
    ) -> None:
        super().__init__()
        levels = len(widths)
        given = list(conditions) if conditions else [0] * levels

        def stack(level: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(ResBlock(widths[level], given[level]) for _ in range(count))

        self.stem = conv3(inputs, widths[0])
        self.down_blocks = nn.ModuleList(stack(i, encoder[i]) for i in range(levels))
        self.downs = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 2, stride=2) for i in range(levels - 1))
        self.ups = nn.ModuleList(nn.Conv2d(widths[i + 1], widths[i], 1) for i in range(levels - 1))
        self.up_blocks = nn.ModuleList(stack(i, decoder[i]) for i in range(levels - 1))

    @staticmethod
    def _through(blocks: nn.Module, h: Tensor, conditions: Sequence[Tensor] | None, level: int) -> Tensor:
        """All blocks of one level."""
        for block in blocks.children():
            h = block(h, None if conditions is None else conditions[level])
        return h

    def forward(self, x: Tensor, conditions: Sequence[Tensor] | None = None) -> Tensor:
        """Features at the finest level.

        Args:
            x: (B, inputs, h, w), h and w multiples of 2^(levels - 1).
            conditions: one (B, C, h / 2^i, w / 2^i) per level, or None.

        Returns:
            (B, widths[0], h, w).
        """
        return self.body(self.stem(x), conditions)

    def body(self, h: Tensor, conditions: Sequence[Tensor] | None = None) -> Tensor:
        """All behind the stem, for a caller whose wide input should not stay in memory meanwhile.

        Args:
            h: (B, widths[0], h, w), what the stem gave.
            conditions: see `forward`.

        Returns:
            (B, widths[0], h, w).
        """
        skips: list[Tensor] = []
        last = len(self.downs)
        for level in range(last + 1):
            h = self._through(self.down_blocks[level], h, conditions, level)
            if level < last:
                skips.append(h)
                h = self.downs[level](h)
        for level in reversed(range(last)):
            h = twice(self.ups[level](h)) + skips[level]
            h = self._through(self.up_blocks[level], h, conditions, level)
        return h


def upscale_bicubic(y: Tensor, scale: int) -> Tensor:
    """Bicubic upscaling (B, C, h, w) -> (B, C, h s, w s) with half-pixel centres, in float32, not clipped."""
    return F.interpolate(y.float(), scale_factor=float(scale), mode="bicubic", align_corners=False)


def everywhere(plane: Tensor, stride: int) -> Tensor:
    """What places `stride` LR pixels apart say, (B, C, h / stride, w / stride), at every LR pixel, (B, C, h, w)."""
    if stride == 1:
        return plane
    return F.interpolate(plane, scale_factor=float(stride), mode="bilinear", align_corners=False)


def local_gradient(plane: Tensor) -> Tensor:
    """Absolute forward differences (B, 2, h, w) of (B, 1, h, w), zero at the far border."""
    dy = F.pad(plane[:, :, 1:] - plane[:, :, :-1], (0, 0, 0, 1))
    dx = F.pad(plane[:, :, :, 1:] - plane[:, :, :, :-1], (0, 1))
    return torch.cat([dy, dx], 1).abs()
