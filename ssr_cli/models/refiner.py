"""The depth of a round, refined: what the kernels say of distances, on outlines where the photo has them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.models.blocks import UNet, conv3, zeroed

#: Sides of the neighbourhoods that depth is compared with, LR pixels, and how much that is amplified: outlines differ
#: from their surroundings by hundredths, and a net that is told depth alone takes long to see them.
_SIDES, _AMPLIFIED = (3, 7, 15), 10.0
#: What an output of 1 changes.
_UNIT = 0.1


class DepthRefiner(nn.Module):
    """A small U-Net at every LR pixel, the same in all rounds.

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
        self.net = UNet(3 + features + 1 + len(_SIDES) + 4, widths, encoder, decoder)
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
        detail = [_AMPLIFIED * (depth - _around(depth, side)) for side in _SIDES]
        kernels = [radius_px / 4, confidence_px.log(), lens_px / 4, (radius_px - lens_px) / 4]
        change: Tensor = self.head(self.net(torch.cat([y - 0.5, features, depth - 0.5, *detail, *kernels], 1)))
        return _UNIT * change.float()


def _around(depth: Tensor, side: int) -> Tensor:
    """Means of (B, 1, h, w) over side x side places."""
    return F.avg_pool2d(F.pad(depth, (side // 2,) * 4, mode="replicate"), side, 1)
