"""Plain residual blocks and a U-Net on the LR grid. Nothing here looks further than its receptive field.

No normalisation over space or batch and no global attention: a tile gives what the whole photo gives (blueprint 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.image.cells import in_cells


def conv3(inputs: int, outputs: int) -> nn.Conv2d:
    """3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def narrowing(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    """Convolution whose places are `stride` apart, each in the middle of what it stands for; `conv3` for 1."""
    return nn.Conv2d(inputs, outputs, stride + 2, stride, padding=1)


def in_parts(layer: nn.Conv2d, planes: Sequence[Tensor]) -> Tensor:
    """A convolution of planes side by side, without putting them together.

    Many planes copied into one tensor of another layout take as long as a small convolution of them.

    Args:
        layer: see `conv3` and `narrowing`.
        planes: each (B, C_i, h, w), side by side its input, or (B, C_i, 1, 1) for what is the same everywhere; the
            first is of the former kind.

    Returns:
        (B, C', h / stride, w / stride), what the convolution of the whole gives.
    """
    first, *others = torch.split(layer.weight, [plane.shape[1] for plane in planes], 1)
    out = _of(layer, first, planes[0], layer.bias)
    for plane, weight in zip(planes[1:], others, strict=True):
        part = _of_constant(layer, weight, plane, out) if plane.shape[-2:] == (1, 1) else _of(layer, weight, plane)
        out = out + part if torch.is_grad_enabled() else out.add_(part)
    return out


def _of(layer: nn.Conv2d, weight: Tensor, plane: Tensor, bias: Tensor | None = None) -> Tensor:
    """A layer's convolution with a part of its weights."""
    return F.conv2d(plane, weight, bias, layer.stride, layer.padding)  # type: ignore[arg-type]


def _of_constant(layer: nn.Conv2d, weight: Tensor, values: Tensor, like: Tensor) -> Tensor:
    """The same of values (B, C, 1, 1) that are the same everywhere: borders differ, all between them is alike."""
    if not any(layer.padding):
        return _of(layer, weight, values.expand(-1, -1, *layer.kernel_size))
    stride = int(layer.stride[0])
    if min(like.shape[-2:]) == 1:
        return _of(layer, weight, values.expand(-1, -1, *(n * stride for n in like.shape[-2:])))
    side = 3 * stride
    small = _of(layer, weight, values.expand(-1, -1, side, side))
    rows, columns = (torch.ones(n, dtype=torch.long, device=small.device) for n in like.shape[-2:])
    for places in (rows, columns):
        places[0], places[-1] = 0, small.shape[-1] - 1
    return small[:, :, rows][..., columns]


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
        told = self.modulate is not None and condition is not None
        h: Tensor = self.conv1(x)
        if torch.is_grad_enabled():
            if told:
                scale, shift = self.modulate(condition).chunk(2, 1)  # type: ignore[misc]
                h = h * (1 + scale) + shift
            out: Tensor = x + self.conv2(F.silu(h))
            return out
        # Every step overwrites the last one, which saves half of the block's memory and some time.
        if told:
            scale, shift = self._modulation(condition).chunk(2, 1)  # type: ignore[arg-type]
            torch.addcmul(shift, h, scale, out=h)
        return self.conv2(F.silu(h, inplace=True)).add_(x)  # type: ignore[no-any-return]

    def _modulation(self, condition: Tensor) -> Tensor:
        """1 + scale, and shift, (B, 2 width, h, w)."""
        layer = self.modulate
        assert layer is not None
        assert layer.bias is not None
        bias = layer.bias.clone()
        bias[: len(bias) // 2] += 1
        return F.conv2d(condition, layer.weight, bias)


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
        stem: side of the first convolution.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int],
        encoder: Sequence[int],
        decoder: Sequence[int],
        conditions: Sequence[int] = (),
        stem: int = 3,
    ) -> None:
        super().__init__()
        levels = len(widths)
        given = list(conditions) if conditions else [0] * levels

        def stack(level: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(ResBlock(widths[level], given[level]) for _ in range(count))

        self.stem = nn.Conv2d(inputs, widths[0], stem, padding=stem // 2)
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

    def forward(self, planes: Sequence[Tensor], conditions: Sequence[Tensor] | None = None) -> Tensor:
        """Features at the finest level.

        Args:
            planes: side by side (B, inputs, h, w), see `in_parts`; h and w multiples of 2^(levels - 1).
            conditions: one (B, C, h / 2^i, w / 2^i) per level, or None.

        Returns:
            (B, widths[0], h, w).
        """
        h = in_parts(self.stem, planes)
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


@lru_cache(maxsize=8)
@torch.inference_mode(mode=False)  # whoever asks first: what learns must be able to use them
def _bicubic_filters(scale: int, channels: int) -> Tensor:
    """What LR pixels around give to the pixels of a cell, (C s s, C, 5, 5): every channel's to its own alone."""
    reach = 2  # LR pixels
    dot = F.pad(torch.ones(1, 1, 1, 1), (2 * reach,) * 4)
    spread = F.interpolate(dot, scale_factor=float(scale), mode="bicubic", align_corners=False)[0, 0]
    steps = range(2 * reach, -1, -1)
    first = reach * scale  # of the cells that hear of the dot
    rows = [spread[first + i * scale : first + (i + 1) * scale] for i in steps]
    cells = [torch.stack([row[:, first + j * scale : first + (j + 1) * scale] for j in steps], -1) for row in rows]
    kernel = torch.stack(cells, -2).reshape(scale**2, 2 * reach + 1, 2 * reach + 1)
    out = torch.zeros(channels, scale**2, channels, *kernel.shape[-2:])
    for channel in range(channels):
        out[channel, :, channel] = kernel
    return out.flatten(0, 1).contiguous(memory_format=torch.channels_last)


def bicubic_cells(y: Tensor, scale: int) -> Tensor:
    """Bicubic upscaling of (B, C, h, w) in cells, (B, C s s, h, w), in float32; see `in_cells`.

    On a CPU as a convolution, which takes a quarter of the time of `F.interpolate` and differs in the seventh digit.
    """
    y = y.float()
    if y.device.type != "cpu":
        return in_cells(F.interpolate(y, scale_factor=float(scale), mode="bicubic", align_corners=False), scale)
    with torch.autocast("cpu", enabled=False):
        return F.conv2d(F.pad(y, (2, 2, 2, 2), mode="replicate"), _bicubic_filters(scale, y.shape[1]))


def upscale_bicubic(y: Tensor, scale: int) -> Tensor:
    """Bicubic upscaling (B, C, h, w) -> (B, C, h s, w s) with half-pixel centres, in float32, not clipped."""
    return F.pixel_shuffle(bicubic_cells(y, scale), scale)


def ramp(value: Tensor, bounds: tuple[float, float]) -> Tensor:
    """0 up to the first bound, 1 from the second on, evenly between them; bounds may fall."""
    return ((value - bounds[0]) / (bounds[1] - bounds[0])).clamp(0, 1)


def mean_around(plane: Tensor, side: int) -> Tensor:
    """Means of (B, C, h, w) over side x side places, side odd, borders repeated; down first, then across."""
    padded = F.pad(plane, (side // 2,) * 4, mode="replicate")
    return F.avg_pool2d(F.avg_pool2d(padded, (side, 1), 1), (1, side), 1)


def largest_around(plane: Tensor, reach: int) -> Tensor:
    """The largest of the values (B, C, h, w) up to `reach` places down and across."""
    for _ in range(reach):  # a place further each time: pooling over many at once takes ten times as long
        wide = F.pad(plane, (1, 1, 1, 1), mode="replicate")
        rows = torch.maximum(torch.maximum(wide[:, :, :-2], wide[:, :, 1:-1]), wide[:, :, 2:])
        plane = torch.maximum(torch.maximum(rows[..., :-2], rows[..., 1:-1]), rows[..., 2:])
    return plane


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
