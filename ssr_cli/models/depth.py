"""The lite depth net: a coarse relative inverse depth of a whole photo, from a small copy of it.

Depth is made once for the whole photo, so unlike every other net here this one may look at all of it: it normalises
over space and hears the mean of the picture at its coarsest level.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.models.blocks import conv3

#: Groups of every normalisation; widths are multiples of it.
_GROUPS = 8


@dataclass(frozen=True)
class DepthConfig:
    """Numbers of the net.

    Attributes:
        side: longest side of the copy it sees, pixels.
        stem: channels at half the copy's size.
        widths: channels at a quarter, an eighth, a sixteenth, ...
        blocks: residual blocks per level going down; coming up there is one.
        ramp: weight of "lower is nearer" beside 1 for what the net says of a photo. The net knows rendered worlds, and
            photos resemble those less than horizons resemble each other. Rank correlation with measured depth: kitchen
            0.65 by the net, 0.67 by the ramp, 0.68 by both; office 0.17, 0.11, 0.14.
    """

    side: int = 160
    stem: int = 32
    widths: tuple[int, ...] = (48, 80, 144)
    blocks: tuple[int, ...] = (2, 2, 2)
    ramp: float = 0.2


class NormBlock(nn.Module):
    """`x + conv(act(norm(conv(act(norm(x))))))`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(_GROUPS, width), nn.GroupNorm(_GROUPS, width)
        self.conv1, self.conv2 = conv3(width, width), conv3(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, h, w) to the same."""
        h = self.conv1(F.silu(self.norm1(x)))
        out: Tensor = x + self.conv2(F.silu(self.norm2(h)))
        return out


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class DepthNet(nn.Module):
    """Photo to disparity; two coordinate planes give it the horizon's usual place."""

    def __init__(self, config: DepthConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = nn.Conv2d(5, config.stem, 3, stride=2, padding=1)
        before = (config.stem, *widths)
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(before, widths, strict=False)
        )
        self.down_blocks = nn.ModuleList(
            nn.Sequential(*(NormBlock(w) for _ in range(n))) for w, n in zip(widths, config.blocks, strict=True)
        )
        self.overview = nn.Linear(widths[-1], widths[-1])
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in zip(before, widths, strict=False))
        self.up_blocks = nn.ModuleList(NormBlock(w) for w in before[:-1])
        self.head = nn.Sequential(nn.GroupNorm(_GROUPS, config.stem), nn.SiLU(), conv3(config.stem, 1))

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of the copy for a photo of that size: longest side `side`, both multiples of the deepest stride."""
        stride: int = 2 ** (len(self.config.widths) + 1)
        ratio = self.config.side / max(height, width)

        def fit(n: int) -> int:
            return max(stride, round(n * ratio / stride) * stride)

        return fit(height), fit(width)

    def forward(self, rgb: Tensor) -> Tensor:
        """Disparity of copies that already have a working size.

        Args:
            rgb: (B, 3, h, w), encoded, 0..1, h and w multiples of the deepest stride.

        Returns:
            (B, 1, h, w), 0..1.
        """
        b, _, h, w = rgb.shape
        y = torch.linspace(-1, 1, h).to(rgb).view(1, 1, h, 1).expand(b, 1, h, w)
        x = torch.linspace(-1, 1, w).to(rgb).view(1, 1, 1, w).expand(b, 1, h, w)
        features: Tensor = self.stem(torch.cat([rgb - 0.5, y, x.abs()], 1))
        skips: list[Tensor] = []
        for down, blocks in zip(self.downs, self.down_blocks, strict=True):
            skips.append(features)
            features = blocks(down(features))
        features = features + self.overview(features.mean((2, 3)))[:, :, None, None]
        for i in reversed(range(len(skips))):
            features = self.up_blocks[i](_doubled(self.ups[i](features)) + skips[i])
        return torch.sigmoid(_doubled(self.head(features).float()))

    def estimate(self, rgb: Tensor) -> Tensor:
        """Disparity of a photo of any size, once for all of it.

        Args:
            rgb: (1, 3, h, w), encoded, 0..1.

        Returns:
            (1, 1, h, w), 0..1.
        """
        size = self.working_size(*rgb.shape[-2:])
        small = F.interpolate(rgb, size=size, mode="bilinear", antialias=True, align_corners=False)
        said = F.interpolate(self.forward(small), size=rgb.shape[-2:], mode="bilinear", align_corners=False)
        ramp = torch.linspace(0, 1, rgb.shape[-2]).to(said).view(1, 1, -1, 1)
        return (said + self.config.ramp * ramp) / (1 + self.config.ramp)
