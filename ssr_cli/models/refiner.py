"""The depth of a round, refined: what the kernels say of distances, on outlines where the photo has them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.models.blocks import UNet, conv3, mean_around, ramp
from ssr_cli.models.opinion import Opinion

#: Sides of the neighbourhoods that depth is compared with, LR pixels, and how much that is amplified: outlines differ
#: from their surroundings by hundredths, and a net that is told depth alone takes long to see them.
_SIDES, _AMPLIFIED = (3, 7, 15), 10.0
#: A place's depth is chosen among so many places a side, so many LR pixels apart: as far as soft outlines reach.
_CHOICES, _APART = 5, 2
#: Logarithms of how much likelier than any other place itself is at first, and our own estimate.
_STAYS, _OWN = 5.0, 3.0
#: A share of our own estimate up to this is none: a thousandth of it everywhere would put places of one depth in the
#: order that the estimate's errors have.
_LEAST = 0.02
#: Agreement of the steps of depth and photo from which on, and below which wholly, a depth is taken for that of another
#: scene, and the share of our own estimate it then has at least: of 80 scenes made of training photos a fifth of the
#: mirrored depths are below, no true one, bent or displaced, and one in eighty soft ones. The net alone never dares.
_CHANCE, _MISTRUSTED = (-0.03, -0.05), 0.2
#: Numbers that a photo is told of: its agreements, and the residual of its lens.
_TOLD = 4


class DepthRefiner(nn.Module):
    """A small U-Net at every LR pixel, the same in all rounds.

    An estimator's depth has soft or displaced outlines, slow waves, or is of another scene. So a place's depth is
    chosen anew, among those of places around it (outlines only move or grow crisp, and what is flat stays flat) and our
    own estimate. Nothing is added to it: what a net adds, it adds everywhere a little, and ranks suffer.

    Args:
        features: channels of SVKR's features of the photo.
        widths: channels per level.
        encoder: blocks per level going down.
        decoder: blocks per level coming up.
    """

    def __init__(self, features: int, widths: Sequence[int], encoder: Sequence[int], decoder: Sequence[int]) -> None:
        super().__init__()
        self.net = UNet(3 + features + 1 + len(_SIDES) + 4 + 1 + _TOLD, widths, encoder, decoder)
        self.head = conv3(widths[0], _CHOICES**2 + 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[_CHOICES**2 // 2] = _STAYS
            self.head.bias[-1] = _OWN

    def forward(
        self,
        y: Tensor,
        features: Tensor,
        depth: Tensor,
        opinion: Opinion,
        radius_px: Tensor,
        confidence_px: Tensor,
        lens_px: Tensor,
        residual_px: Tensor,
    ) -> Tensor:
        """The refined depth (B, 1, h, w), float32, between those that it was chosen among.

        Args:
            y: (B, 3, h, w), encoded, h and w multiples of 2^(levels - 1).
            features: (B, C, h, w) of the photo.
            depth: (B, 1, h, w) disparity so far, 0..1.
            opinion: see there.
            radius_px: (B, 1, h, w) blur radius that the round found, HR px.
            confidence_px: (B, 1, h, w) its expected error, HR px.
            lens_px: (B, 1, h, w) blur radius that the photo's lens predicts for the depth, HR px; 0 before it is known.
            residual_px: (B,) how far radii and lens are apart over the photo, HR px; 0 before it is known.
        """
        depth, estimate = depth.float(), opinion.estimate.float()
        detail = [_AMPLIFIED * (depth - mean_around(depth, side)) for side in _SIDES]
        kernels = [radius_px / 4, confidence_px.log(), lens_px / 4, (radius_px - lens_px) / 4]
        told = torch.cat([opinion.agreement, residual_px[:, None] / 4], 1)[:, :, None, None]
        told = told.expand(-1, -1, *depth.shape[-2:])
        seen = [y - 0.5, features, torch.cat([depth - 0.5, *detail, *kernels, estimate - depth, told], 1)]
        shares = torch.softmax(self.head(self.net(seen)).float(), 1)
        own = (shares[:, -1:] - _LEAST) / (1 - _LEAST)
        own = own + (own.clamp_min(0) - own).detach()  # a share that is none must still hear that it is wanted
        beyond = ramp(opinion.agreement[:, 1], _CHANCE)
        own = torch.maximum(own, _MISTRUSTED * beyond.view(-1, 1, 1, 1))
        # As differences: where all are equal the depth is what it was, to the bit, and ranks do not follow rounding.
        refined: Tensor = depth + (shares[:, :-1] * (_around(depth) - depth)).sum(1, keepdim=True)
        return torch.lerp(refined, estimate, own)


def _around(depth: Tensor) -> Tensor:
    """Depths (B, n^2, h, w) of the places around each, borders repeated."""
    h, w = depth.shape[-2:]
    reach = _CHOICES // 2 * _APART
    wide = F.pad(depth, (reach,) * 4, mode="replicate")
    steps = range(0, 2 * reach + 1, _APART)
    return torch.cat([wide[..., dy : dy + h, dx : dx + w] for dy in steps for dx in steps], 1)
