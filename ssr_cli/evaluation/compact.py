"""A yardstick of cost: the body of Real-ESRGAN's compact nets, untrained, timed where ours is timed.

32 convolutions of 64 channels at the photo's own size, each with PReLU, then pixel-shuffle (arXiv 2107.10833).
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from ssr_cli.evaluation.measuring import Measured

_WIDTH, _DEPTH = 64, 32


class CompactBody(nn.Module):
    """The net, with the weights it is born with.

    Args:
        scale: enlargement.
    """

    def __init__(self, scale: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, _WIDTH, 3, padding=1), nn.PReLU(_WIDTH)]
        for _ in range(_DEPTH):
            layers += [nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), nn.PReLU(_WIDTH)]
        self.body = nn.Sequential(*layers, nn.Conv2d(_WIDTH, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        self.scale = scale

    def forward(self, y: Tensor) -> Tensor:
        """(B, 3, h, w) to (B, 3, h s, w s)."""
        enlarged: Tensor = nn.functional.interpolate(y, scale_factor=float(self.scale), mode="nearest") + self.body(y)
        return enlarged


class CompactTimer:
    """Times the net on photos; its pictures mean nothing.

    Args:
        device: where it runs, in the layout ours runs in.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        net = CompactBody().eval().requires_grad_(False)
        self.net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, rgb: Tensor) -> Measured:
        """Enlarge a photo (3, h, w) and note the seconds."""
        start = time.perf_counter()
        result = self.net(rgb[None].to(self.device, memory_format=torch.channels_last))[0].cpu()
        return Measured(result, time.perf_counter() - start)
