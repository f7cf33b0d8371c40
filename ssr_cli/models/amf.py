"""AMF, adaptive multi-modal fusion: photo, depth and kernel attend to each other and are weighed at every place."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.models.blocks import ResBlock, conv3, everywhere, local_gradient
from ssr_cli.models.lens import PhotoPrior
from ssr_cli.models.svkr import RoundState

#: Places that attend at a time: what that takes stays in a processor's cache.
_PLACES = 4096
#: Grain, 1/255, below which photos are as good as without any.
_LEAST_GRAIN = 0.25


@dataclass(frozen=True)
class AmfConfig:
    """Numbers of the fusion.

    Attributes:
        width: channels of a modality's token.
        heads: of the cross-modal attention.
        pyramid: channels of the condition per level.
        code: P, must be the dictionary's.
        stride: LR pixels from one place where modalities attend to the next; what the photo alone shows in between
            goes on beside them.
        depth_trust: factor 0..1 of depth's token in use. In training depth is the truth, spoiled; the lite net's
            answers are worse than that. Believed in full they gain half a per cent of LPIPS on real pairs (every
            seventh) and cost 0.2 dB on rendered defocus; so they are by more than half.
        facts: whether AMF is told of the whole photo's grain and of the light it was blurred in, too.
    """

    width: int = 32
    heads: int = 4
    pyramid: tuple[int, ...] = (32, 48, 64)
    code: int = 24
    stride: int = 2
    depth_trust: float = 0.6
    facts: bool = False


@dataclass(frozen=True)
class Fused:
    """What the fusion gives.

    Attributes:
        pyramid: one (B, C_i, h / 2^i, w / 2^i) per level.
        gates: (B, 3, h, w) weights of photo, depth, kernel, sum 1.
    """

    pyramid: list[Tensor]
    gates: Tensor


def _each_by_its_own(layer: nn.Conv2d, tokens: Tensor) -> Tensor:
    """A 1 x 1 convolution in three groups, of tokens that are sorted by group: (3, N, C) to (3, N, C')."""
    assert layer.bias is not None
    weight = layer.weight.view(3, -1, layer.weight.shape[1])
    return torch.baddbmm(layer.bias.view(3, 1, -1), tokens, weight.mT)


class Amf(nn.Module):
    """Three tokens per place (each already sees its neighbourhood), attention among them, a gate per place.

    Neither depth nor kernels change from one pixel to the next, so places are some LR pixels apart. What the photo's
    token has of single pixels keeps the weight of its place.
    """

    def __init__(self, config: AmfConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.photo = nn.Sequential(conv3(3, width), ResBlock(width))
        self.depth = nn.Sequential(conv3(4, width), ResBlock(width))
        self.kernel = nn.Sequential(conv3(config.code + 6 + 2 * config.facts, width), ResBlock(width))
        self.qkv = nn.Conv2d(3 * width, 9 * width, 1, groups=3)
        self.merge = nn.Conv2d(3 * width, 3 * width, 1, groups=3)
        self.gate = conv3(3 * width, 3)
        self.levels = nn.ModuleList()
        previous = width
        for i, channels in enumerate(config.pyramid):
            self.levels.append(conv3(previous, channels) if i == 0 else nn.Conv2d(previous, channels, 2, stride=2))
            previous = channels

    def _attend(self, tokens: Tensor) -> Tensor:
        """Attention among the three modalities of each place, (B, 3 C, h, w) to the same, some places at a time."""
        b, _, h, w = tokens.shape
        places = tokens.permute(0, 2, 3, 1).reshape(b * h * w, 3, self.config.width)
        attended = torch.cat([self._attend_at(part) for part in torch.split(places, _PLACES)])
        return attended.view(b, h, w, -1).permute(0, 3, 1, 2)

    def _attend_at(self, tokens: Tensor) -> Tensor:
        """Scaled dot-product attention of tokens (N, 3, C), to the same; every modality has weights of its own."""
        width, heads = self.config.width, self.config.heads
        q, k, v = torch.split(_each_by_its_own(self.qkv, tokens.transpose(0, 1)), width, -1)  # each (3, N, C)
        members = torch.eye(heads, device=q.device, dtype=q.dtype).repeat_interleave(width // heads, 0)  # (C, heads)
        mixed = []
        # One asking modality at a time: all nine products at once would not fit in a processor's cache.
        for i in range(3):
            scores = torch.stack([(q[i] * k[j]) @ members for j in range(3)]) * (heads / width) ** 0.5
            shares = torch.softmax(scores.float(), 0).to(v.dtype) @ members.mT  # (3, N, C)
            mixed.append((shares[0] * v[0]).addcmul(shares[1], v[1]).addcmul(shares[2], v[2]))
        return tokens + _each_by_its_own(self.merge, torch.stack(mixed)).transpose(0, 1)

    def forward(
        self,
        y: Tensor,
        state: RoundState,
        prior: PhotoPrior,
        drop: Tensor | None = None,
        levels: int | None = None,
    ) -> Fused:
        """Fuse.

        Args:
            y: (B, 3, h, w), encoded, 0..1; h and w multiples of 2^(levels - 1).
            state: SVKR's last round.
            prior: its statements about the whole photos.
            drop: (B, 2) factors 0 or 1 for depth and kernel (modality dropout and ablations), or None.
            levels: of the pyramid that are needed, finest first; None for all.

        Returns:
            The condition's pyramid and the gates.
        """
        seen = self.photo(y - 0.5)
        disparity = state.disparity
        lens = prior.radius_of(disparity) / 4
        depth = self.depth(self._at_places(torch.cat([disparity - 0.5, local_gradient(disparity), lens], 1)))
        local = [state.code, state.radius_px / 4, state.confidence_px.log(), state.noise.log() / 4]
        facts = self._at_places(torch.cat(local, 1))
        photo = self._of_photo(prior)[:, :, None, None].expand(-1, -1, *facts.shape[-2:])
        kernel = self.kernel(torch.cat([facts, photo], 1))
        if drop is not None:
            depth, kernel = depth * drop[:, :1, None, None], kernel * drop[:, 1:, None, None]
        near = self._at_places(seen)
        tokens = self._attend(torch.cat([near, depth, kernel], 1))
        gates = torch.softmax(self.gate(tokens).float(), 1)
        photo, depth, kernel = tokens.chunk(3, 1)
        first, second, third = gates.to(tokens.dtype).chunk(3, 1)
        h = (photo * first).addcmul(depth, second).addcmul(kernel, third)
        gates = everywhere(gates, self.config.stride)
        if self.config.stride > 1:
            h = everywhere(h - near * first, self.config.stride).addcmul(seen, gates[:, :1].to(seen.dtype))
        pyramid: list[Tensor] = []
        for level in list(self.levels)[:levels]:
            h = F.silu(level(h))
            pyramid.append(h)
        return Fused(pyramid, gates)

    def _of_photo(self, prior: PhotoPrior) -> Tensor:
        """What is told of whole photos, (B, 3 or 5)."""
        numbers = [prior.gain, prior.processed[:, None] - 0.5]
        if self.config.facts:
            numbers += [(prior.grain[:, None] * 255 + _LEAST_GRAIN).log() / 2, prior.light[:, None] - 0.5]
        return torch.cat(numbers, 1)

    def _at_places(self, planes: Tensor) -> Tensor:
        """Each place the mean of its LR pixels."""
        return planes if self.config.stride == 1 else F.avg_pool2d(planes, self.config.stride)
