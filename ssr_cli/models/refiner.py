"""The depth of a round, refined: what the kernels say of distances, on outlines where the photo has them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssr_cli.models.blocks import UNet, conv3, local_gradient, zeroed


class DepthRefiner(nn.Module):
    """A small U-Net at every LR pixel.

    An estimator's depth has soft or displaced outlines, slow waves, or is of another scene. Outlines are the photo's to
    tell, waves the kernels', through the lens; either needs more than a place's own neighbours.

    Args:
        features: channels of SVKR's features of the photo.
        widths: channels per level.
        encoder: blocks per level going down.
        decoder: blocks per level coming up.
    """

    def __init__(self, features: int, widths: Sequence[int], encoder: Sequence[int], decoder: Sequence[int]) -> None:
        super().__init__()
        self.net = UNet(3 + features + 3 + 4, widths, encoder, decoder)
        self.head = zeroed(conv3(widths[0], 1))

    def forward(
        self, y: Tensor, features: Tensor, depth: Tensor, radius_px: Tensor, confidence_px: Tensor, lens_px: Tensor
    ) -> Tensor:
        """The change of depth (B, 1, h, w) that is due, float32.

        Args:
            y: (B, 3, h, w), encoded, h and w multiples of 2^(levels - 1).
            features: (B, C, h, w) of the photo.
            depth: (B, 1, h, w) disparity so far, 0..1.
            radius_px: (B, 1, h, w) blur radius that the round found, HR px.
            confidence_px: (B, 1, h, w) its expected error, HR px.
            lens_px: (B, 1, h, w) blur radius that the photo's lens predicts for the depth, HR px; 0 before it is known.
        """
        kernels = [radius_px / 4, confidence_px.log(), lens_px / 4, (radius_px - lens_px) / 4]
        seen = torch.cat([y - 0.5, features, depth - 0.5, local_gradient(depth), *kernels], 1)
        change: Tensor = self.head(self.net(seen))
        return change.float()
