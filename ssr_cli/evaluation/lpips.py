"""LPIPS v0.1 on SqueezeNet 1.1: a perceptual distance, as a figure and as a training loss.

Source: Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018, eq. 1; trunk: Iandola et al., SqueezeNet, 2016, in its version 1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

#: Fire modules by their place in SqueezeNet 1.1: channels in, squeezed, out of each of the two expansions.
_FIRES = {
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}
#: Layers whose output is compared, and how many channels it has.
_TAPS = {1: 64, 4: 128, 7: 256, 9: 384, 10: 384, 11: 512, 12: 512}
#: Under the root of the feature norm: keeps the gradient finite where every feature is off.
_EPSILON = 1e-8

#: Shortest side that still leaves a window for every pooling.
SHORTEST_SIDE = 17


class _Fire(nn.Module):
    """Squeeze to few channels, expand by 1x1 and by 3x3, side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (B, channels, H, W) -> (B, 2 * expanded, H, W)
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1x1(x)), F.relu(self.expand3x3(x))], 1)


class _Trunk(nn.Module):
    """SqueezeNet 1.1 without its classifier, giving the compared layers."""

    def __init__(self) -> None:
        super().__init__()
        first: list[nn.Module] = [nn.Conv2d(3, 64, 3, stride=2), nn.ReLU()]
        pool_or_fire = [_Fire(*_FIRES[i]) if i in _FIRES else nn.MaxPool2d(3, 2, ceil_mode=True) for i in range(2, 13)]
        self.features = nn.Sequential(*first, *pool_or_fire)

    def forward(self, x: Tensor) -> list[Tensor]:
        taps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in _TAPS:
                taps.append(x)
        return taps


class Lpips(nn.Module):
    """Perceptual distance between photos; 0 for equal ones.

    Frozen: nothing in it is trained, but gradients flow through to both photos. Under autocast the trunk's convolutions
    run in the lower precision; input scaling and the comparison of features stay in float32.

    Args:
        path: safetensors file with keys `net.features.*`, `lins.0..6`, `mean`, `std`.

    Raises:
        WeightsError: when the file is missing, unreadable or holds other tensors.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.net = _Trunk()
        self.lins = nn.ParameterList([torch.zeros(1, channels, 1, 1) for channels in _TAPS.values()])
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("std", torch.ones(1, 3, 1, 1))
        self._load(path)
        self.requires_grad_(False)
        self.eval()

    def _load(self, path: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        hint = "Give the LPIPS v0.1 SqueezeNet weights as one safetensors file."
        try:
            self.load_state_dict(load_file(path))
        except (OSError, SafetensorError) as exc:
            raise WeightsError(f"The LPIPS weights {path} cannot be read.", hint) from exc
        except RuntimeError as exc:  # names or shapes that differ
            raise WeightsError(f"{path} does not hold LPIPS weights on SqueezeNet.", hint) from exc

    def _features(self, photo: Tensor) -> list[Tensor]:
        taps: list[Tensor] = self.net((photo.float() - self.mean) / self.std)
        return [tap.float() * torch.rsqrt(tap.float().square().sum(1, keepdim=True) + _EPSILON) for tap in taps]

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance of each photo of a batch to its partner.

        Args:
            a: (B, 3, H, W), encoded sRGB, 0..1; sides of at least 17.
            b: (B, 3, H, W), likewise; cheapest where it needs no gradient.

        Returns:
            (B,), float32, 0 or more.

        Raises:
            ValueError: when the shapes differ, are not (B, 3, H, W), or a side is too short.
        """
        if a.shape != b.shape or a.ndim != 4 or a.shape[1] != 3:
            raise ValueError(f"LPIPS needs two equal shapes (B, 3, H, W), not {tuple(a.shape)} and {tuple(b.shape)}")
        if min(a.shape[-2:]) < SHORTEST_SIDE:
            raise ValueError(f"LPIPS needs sides of at least {SHORTEST_SIDE} pixels, not {tuple(a.shape[-2:])}")
        total = torch.zeros(len(a), device=a.device)
        # Two passes, not one of the joined batch: a target without gradient then keeps no activations.
        for one, two, weight in zip(self._features(a), self._features(b), self.lins, strict=True):
            total = total + ((one - two).square() * weight).sum(1).mean((1, 2))
        return total
