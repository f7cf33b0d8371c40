"""The lite depth net: a coarse relative inverse depth of a whole photo, from a small copy of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.models.blocks import UNet, conv3


@dataclass(frozen=True)
class DepthConfig:
    """Numbers of the net.

    Attributes:
        side: longest side of the copy it sees, pixels.
        widths: channels per level.
        encoder: blocks per level going down.
        decoder: blocks per level coming up.
    """

    side: int = 160
    widths: tuple[int, ...] = (24, 40, 64, 96, 128)
    encoder: tuple[int, ...] = (1, 1, 2, 2, 2)
    decoder: tuple[int, ...] = (1, 1, 1, 1)


class DepthNet(nn.Module):
    """Photo to disparity; the two coordinate planes give it the horizon's usual place."""

    def __init__(self, config: DepthConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(5, config.widths, config.encoder, config.decoder)
        self.head = conv3(config.widths[0], 1)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Size of the copy for a photo of that size: longest side `side`, both multiples of the deepest stride."""
        stride: int = 2 ** (len(self.config.widths) - 1)
        ratio = self.config.side / max(height, width)

        def fit(n: int) -> int:
            return max(stride, round(n * ratio / stride) * stride)

        return fit(height), fit(width)

    def forward(self, rgb: Tensor) -> Tensor:
        """Disparity of copies that already have a working size.

        Args:
            rgb: (B, 3, h, w), encoded, 0..1, h and w multiples of 16.

        Returns:
            (B, 1, h, w), 0..1.
        """
        b, _, h, w = rgb.shape
        y = torch.linspace(-1, 1, h).to(rgb).view(1, 1, h, 1).expand(b, 1, h, w)
        x = torch.linspace(-1, 1, w).to(rgb).view(1, 1, 1, w).expand(b, 1, h, w)
        features = self.net(torch.cat([rgb - 0.5, y, x.abs()], 1))
        return torch.sigmoid(self.head(features).float())

    def estimate(self, rgb: Tensor) -> Tensor:
        """Disparity of a photo of any size, once for all of it.

        Args:
            rgb: (1, 3, h, w), encoded, 0..1.

        Returns:
            (1, 1, h, w), 0..1.
        """
        size = self.working_size(*rgb.shape[-2:])
        small = F.interpolate(rgb, size=size, mode="bilinear", antialias=True, align_corners=False)
        return F.interpolate(self.forward(small), size=rgb.shape[-2:], mode="bilinear", align_corners=False)
