"""The adapter: AMF's pyramid enters a frozen Stable Diffusion UNet as ControlNet-style residuals.

Photo, posterior mean and AMF's pyramid are brought onto the latent grid and followed down the UNet's levels; every
residual leaves through a convolution that starts at zero (arXiv 2302.05543), so an untrained adapter changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.models.amf import Fused
from ssr_cli.models.blocks import ResBlock, conv3, zeroed


@dataclass(frozen=True)
class AdapterConfig:
    """Numbers of the adapter.

    Attributes:
        width: channels of its trunk per level of the UNet.
        residuals: channels of the UNet's residuals per level: `((320, 320, 320), (320, 640, 640), ...)`.
        middle: channels of the UNet's middle block.
        conditions: AMF's pyramid.
        latents: channels of a latent.
        context: width of the prompt's embedding.
        strength: how far up the schedule a run begins.
    """

    width: tuple[int, ...] = (96, 160, 224, 288)
    residuals: tuple[tuple[int, ...], ...] = (
        (320, 320, 320),
        (320, 640, 640),
        (640, 1280, 1280),
        (1280, 1280, 1280),
    )
    middle: int = 1280
    conditions: tuple[int, ...] = (32, 48, 64)
    latents: int = 4
    context: int = 1024
    strength: float = 0.5


def config_of(state: dict[str, Tensor], strength: float = AdapterConfig.strength) -> AdapterConfig:
    """The numbers of an adapter, read off its tensors.

    Args:
        state: of an `SdAdapter`.
        strength: which no tensor tells.
    """
    levels = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("exits."))
    width = tuple(int(state[f"blocks.{i}.conv1.weight"].shape[0]) for i in range(levels))
    exits = [[n for n in state if n.startswith(f"exits.{i}.") and n.endswith(".weight")] for i in range(levels)]
    conditions = AdapterConfig.conditions
    inputs = int(state["enter.weight"].shape[1])
    return AdapterConfig(
        width=width,
        residuals=tuple(tuple(int(state[n].shape[0]) for n in names) for names in exits),
        middle=int(state["middle.weight"].shape[0]),
        conditions=(*conditions[:2], int(state["deep.weight"].shape[1])),
        latents=inputs - 12 - 4 * conditions[0] - conditions[1],
        context=int(state["prompt"].shape[-1]),
        strength=strength,
    )


def residual_channels(blocks: list[int], layers: int) -> tuple[tuple[int, ...], ...]:
    """Channels of a UNet's residuals, by level of resolution.

    Args:
        blocks: `block_out_channels` of its configuration.
        layers: `layers_per_block`.
    """
    levels = []
    for i, channels in enumerate(blocks):
        # the level begins with what came down: the first convolution's output, then the halvings'
        levels.append((blocks[0] if i == 0 else blocks[i - 1], *([channels] * layers)))
    return tuple(levels)


@dataclass(frozen=True)
class Residuals:
    """What the UNet is given.

    Attributes:
        down: in the UNet's order.
        middle: of its middle block.
    """

    down: tuple[Tensor, ...]
    middle: Tensor


class SdAdapter(nn.Module):
    """Trunk and zero-initialised exits; holds the embedding of the empty prompt, so no text encoder is needed."""

    prompt: Tensor

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.config = config
        photo = 3 * 4  # an LR cell of 2 x 2 is one latent pixel at x4 and a VAE of 8
        self.enter = conv3(photo + 4 * config.conditions[0] + config.conditions[1] + config.latents, config.width[0])
        self.blocks = nn.ModuleList(ResBlock(w) for w in config.width)
        self.downs = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in zip(config.width, config.width[1:], strict=False)
        )
        self.deep = nn.Conv2d(config.conditions[2], config.width[min(1, len(config.width) - 1)], 1)
        self.exits = nn.ModuleList(
            nn.ModuleList(zeroed(nn.Conv2d(w, c, 1)) for c in level)
            for w, level in zip(config.width, config.residuals, strict=True)
        )
        self.middle = zeroed(nn.Conv2d(config.width[-1], config.middle, 1))
        self.register_buffer("prompt", torch.zeros(1, 77, config.context))

    def forward(self, y: Tensor, fused: Fused, mean_latent: Tensor) -> Residuals:
        """Residuals for the UNet.

        Args:
            y: (B, 3, h, w), encoded, 0..1; h and w even.
            fused: AMF's condition.
            mean_latent: (B, 4, h / 2, w / 2), the VAE's latent of the posterior mean.
        """
        finest, second, third = fused.pyramid[:3]
        parts = [F.pixel_unshuffle(y - 0.5, 2), F.pixel_unshuffle(finest, 2), second, mean_latent]
        h = self.enter(torch.cat([p.to(y.dtype) for p in parts], 1))
        down: list[Tensor] = []
        for level, block in enumerate(self.blocks):
            if level:
                h = self.downs[level - 1](F.silu(h))
            if level == 1:
                deep = self.deep(third.to(h.dtype))
                # nearly always they are of one size; see `blocks.twice` for why nothing is interpolated in vain
                h = h + (deep if deep.shape == h.shape else F.interpolate(deep, size=h.shape[-2:], mode="nearest"))
            h = block(h)
            exits = list(self.exits[level].children())
            # the first residual of a level below the first is made by the halving of the level above, at this size
            down += [exit_(h) for exit_ in exits]
        return Residuals(tuple(down), self.middle(h))
