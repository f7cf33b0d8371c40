"""The restorer: posterior mean `m = E[x | y]` from the photo and what its kernels make of it, under AMF's condition."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.image.cells import in_cells
from ssr_cli.models.amf import Fused
from ssr_cli.models.blocks import UNet, bicubic_cells, conv3, upscale_bicubic, zeroed
from ssr_cli.physics.spectra import luma_of


@dataclass(frozen=True)
class RestorerConfig:
    """Numbers of the net.

    Attributes:
        widths: channels per level.
        encoder: blocks per level going down.
        decoder: blocks per level coming up.
        conditions: levels of AMF's pyramid, as many as there are widths.
        scale: s.
        doubt: share 0..1 of what the mean adds to the interpolated photo that is taken back where a camera processed
            the pixels.
    """

    widths: tuple[int, ...] = (48,)
    encoder: tuple[int, ...] = (4,)
    decoder: tuple[int, ...] = ()
    conditions: tuple[int, ...] = (32,)
    scale: int = 4
    doubt: float = 0.1


class Restorer(nn.Module):
    """U-Net on the LR grid, pixel-shuffled, added to the bicubic photo.

    Blur is undone twice: by arithmetic with the estimated kernels (the guess), which knows nothing of photos, and by
    the net, which sees where that went well.

    Cameras differ more than training's do: on RealSR and DRealSR what the mean adds to the interpolated photo is right
    in direction and too much, by a factor that is much the same in both. The least error is that much nearer to the
    interpolated photo, and the flow, which begins there, gains both in PSNR and in LPIPS. So of a camera's photo a
    share is taken back, `doubt`.
    """

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        self.net = UNet(3 + config.scale**2, config.widths, config.encoder, config.decoder, config.conditions)
        self.head = zeroed(conv3(config.widths[0], 3 * config.scale**2))

    def forward(self, y: Tensor, fused: Fused, guess: Tensor, processed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Restore.

        Args:
            y: (B, 3, h, w), encoded, 0..1, h and w multiples of 4.
            fused: AMF's condition.
            guess: (B, 1, h s, w s), encoded luma, see `consistency.first_guess`.
            processed: (B,) probability that a camera processed the photos; None takes nothing back.

        Returns:
            the mean (B, 3, h s, w s), float32, encoded, not clipped; features (B, widths[0], h, w).
        """
        features = self.net(self._inputs(y, guess), fused.pyramid)
        cells = bicubic_cells(y, self.config.scale).add_(self._believed(self.head(features).float(), processed))
        return F.pixel_shuffle(cells, self.config.scale), features

    def hedged(self, y: Tensor, mean: Tensor, processed: Tensor) -> Tensor:
        """The mean that `forward` gives when it is told `processed`, from the one it gives when it is not."""
        bicubic = upscale_bicubic(y, self.config.scale)
        return bicubic + self._believed(mean - bicubic, processed)

    def _believed(self, added: Tensor, processed: Tensor | None) -> Tensor:
        """What is left of what the mean adds to the interpolated photo."""
        if processed is None or not self.config.doubt:
            return added
        return added * (1 - self.config.doubt * processed.to(added)).view(-1, 1, 1, 1)

    def _inputs(self, y: Tensor, guess: Tensor) -> list[Tensor]:
        """The photo, and what its kernels add to its interpolation's luma, on the LR grid; see `in_parts`."""
        undone = 4 * (in_cells(guess, self.config.scale) - bicubic_cells(luma_of(y)[:, None], self.config.scale))
        return [y - 0.5, undone.to(y.dtype)]
