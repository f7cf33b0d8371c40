"""The lite prior: a rectified flow from the noisy posterior mean to sharp photos (PMRF, arXiv 2410.00418).

The path is `z_t = (1 - t) (m + sigma_s eps) + t x`. The net answers with the end point, `denoised = model(z, t)`, the
contract of every prior here; the velocity is `(denoised - z) / (1 - t)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.diffusion.evening import evened
from ssr_cli.image.cells import in_cells
from ssr_cli.models.amf import Fused
from ssr_cli.models.blocks import UNet, conv3, zeroed


@dataclass(frozen=True)
class FlowConfig:
    """Numbers of the net.

    Attributes:
        widths: channels per level.
        encoder: blocks per level going down.
        decoder: blocks per level coming up.
        conditions: levels of AMF's pyramid, as many as there are widths.
        features: channels of the restorer's features.
        stem: side of the first convolution. What enters are whole cells of the result and features that have looked
            around, so each place by itself does.
        noise: sigma_s, encoded units.
        scale: s.
    """

    widths: tuple[int, ...] = (48,)
    encoder: tuple[int, ...] = (2,)
    decoder: tuple[int, ...] = ()
    conditions: tuple[int, ...] = (32,)
    features: int = 48
    stem: int = 1
    noise: float = 0.1
    scale: int = 4


class Flow(nn.Module):
    """Predicts the sharp photo from a point of the path, on the LR grid."""

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
        blocks = 3 * config.scale**2
        self.net = UNet(
            2 * blocks + config.features + 1,
            config.widths,
            config.encoder,
            config.decoder,
            config.conditions,
            config.stem,
        )
        self.head = zeroed(conv3(config.widths[0], blocks))

    def forward(
        self, z: Tensor, t: Tensor, mean: Tensor, features: Tensor, fused: Fused, processed: Tensor | None = None
    ) -> Tensor:
        """End point of the path.

        Args:
            z: (B, 3, H, W) point of the path, encoded.
            t: (B,) times in [0, 1).
            mean: (B, 3, H, W) posterior mean.
            features: (B, C, h, w) the restorer's features.
            fused: AMF's condition.
            processed: (B,) probability that a camera processed the photos, for an end point that is evened out, as the
                last one is in use; None for what the net says.

        Returns:
            (B, 3, H, W), float32, encoded, not clipped.
        """
        out = self.head(self.net(self._inputs(z, t, mean, features), fused.pyramid)).float()
        if processed is not None:
            out = evened(out, processed)
        return F.pixel_shuffle(out, self.config.scale).add_(mean)

    def _inputs(self, z: Tensor, t: Tensor, mean: Tensor, features: Tensor) -> list[Tensor]:
        """All that the net sees on the LR grid but the condition, see `in_parts`."""
        s = self.config.scale
        offset = in_cells((z - mean).div_(self.config.noise), s)
        return [offset, in_cells(mean - 0.5, s), features.to(offset.dtype), t.view(-1, 1, 1, 1).to(offset.dtype)]
