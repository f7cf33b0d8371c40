"""The Stable Diffusion prior: a latent diffusion model held to the photo by the adapter, over a whole photo in windows.

All windows of the latent share every step: their predictions are blended by a symmetric window in float32 before the
step is made, so neighbours never drift apart and no seam is left to hide. Noise belongs to places, as everywhere here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssr_cli.diffusion.sampler import place_noise
from ssr_cli.diffusion.schedule import Schedule
from ssr_cli.errors import WeightsError
from ssr_cli.models.adapter import SdAdapter, residual_channels
from ssr_cli.models.amf import Fused

#: Latent pixels per side of a window and of what two windows share.
WINDOW, SHARED = 64, 16
#: HR pixels per latent pixel.
CELL = 8
_COLOUR_LEVELS = 5


@dataclass(frozen=True)
class Window:
    """A rectangle of the latent, half-open."""

    top: int
    left: int
    bottom: int
    right: int

    def cut(self, plane: Tensor, scale: int = 1) -> Tensor:
        """This part of a plane with `scale` pixels per latent pixel."""
        return plane[..., self.top * scale : self.bottom * scale, self.left * scale : self.right * scale]


def plan_windows(height: int, width: int, side: int = WINDOW, shared: int = SHARED) -> list[Window]:
    """Windows that cover a latent, each of the same size where the latent is large enough.

    Args:
        height: of the latent.
        width: of the latent.
        side: of a window.
        shared: least overlap of neighbours.
    """

    def starts(length: int) -> list[int]:
        if length <= side:
            return [0]
        step = side - shared
        places = list(range(0, length - side, step))
        # even positions, so that an LR cell of 2 x 2 is never cut
        return [*places, length - side]

    return [
        Window(top, left, min(top + side, height), min(left + side, width))
        for top in starts(height)
        for left in starts(width)
    ]


def blend_window(height: int, width: int, window: Window, shared: int = SHARED) -> Tensor:
    """Weights (1, 1, h, w) float32 of a window: one inside, falling linearly where a neighbour is; never zero."""

    def ramp(length: int, before: bool, after: bool) -> Tensor:
        weights = torch.ones(length)
        slope = (torch.arange(min(shared, length), dtype=torch.float32) + 0.5) / shared
        if before:
            weights[: len(slope)] *= slope
        if after:
            weights[-len(slope) :] *= slope.flip(0)
        return weights

    rows = ramp(window.bottom - window.top, window.top > 0, window.bottom < height)
    columns = ramp(window.right - window.left, window.left > 0, window.right < width)
    return (rows[:, None] * columns[None])[None, None]


def blended(
    height: int, width: int, channels: int, scale: int, parts: Iterator[tuple[Window, Tensor]], shared: int = SHARED
) -> Tensor:
    """Overlapping parts put together, (1, channels, height * scale, width * scale) float32 on the CPU.

    Args:
        height: of the latent.
        width: of the latent.
        channels: of the parts.
        scale: their pixels per latent pixel.
        parts: windows and their values.
        shared: see `blend_window`.
    """
    total = torch.zeros(1, channels, height * scale, width * scale)
    weights = torch.zeros(1, 1, height * scale, width * scale)
    for window, values in parts:
        weight = blend_window(height, width, window, shared)
        if scale > 1:
            weight = F.interpolate(weight, scale_factor=float(scale), mode="bilinear", align_corners=False)
        window.cut(total, scale).add_(weight * values.float().cpu())
        window.cut(weights, scale).add_(weight)
    return total / weights


def low_frequencies(image: Tensor, levels: int = _COLOUR_LEVELS) -> Tensor:
    """What is left of (B, C, H, W) after removing `levels` scales of an undecimated B3-spline wavelet transform."""
    taps = image.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    channels = image.shape[1]
    for level in range(levels):
        gap = 2**level
        for axis in (2, 3):
            if image.shape[axis] < 2:
                continue
            shape = [1, 1, 1, 1]
            shape[axis] = 5
            pads = (0, 0, 2 * gap, 2 * gap) if axis == 2 else (2 * gap, 2 * gap, 0, 0)
            dilation = (gap, 1) if axis == 2 else (1, gap)
            padded = F.pad(image, pads, mode="replicate")
            image = F.conv2d(
                padded, taps.view(shape).expand(channels, 1, *shape[2:]), groups=channels, dilation=dilation
            )
    return image


def keep_colours(result: Tensor, reference: Tensor) -> Tensor:
    """The details of `result` on the colours of `reference`, both (B, 3, H, W), for a VAE shifts colours."""
    fixed = result - low_frequencies(result) + low_frequencies(reference)
    # beyond the border the transform sees repeated pixels, which moves the mean a little
    return fixed + (reference - fixed).mean((2, 3), keepdim=True)


@dataclass(frozen=True)
class Backbone:
    """A frozen Stable Diffusion model.

    Attributes:
        unet: called as diffusers' UNet2DConditionModel.
        encode: (B, 3, H, W) in -1..1 to the mean latent (B, 4, H / 8, W / 8), scaled.
        decode: the way back.
        schedule: of the noise.
        dtype: the UNet's.
    """

    unet: nn.Module
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    schedule: Schedule
    dtype: torch.dtype


def misfit(backbone: Backbone, adapter: SdAdapter) -> str | None:
    """What of an adapter does not fit a backbone, for a person, or None; a UNet without numbers is not looked at."""
    unet: Any = getattr(backbone.unet, "config", None)
    if unet is None:
        return None
    blocks, own = list(unet.block_out_channels), adapter.config
    for what, theirs, ours in (
        ("residuals", residual_channels(blocks, unet.layers_per_block), own.residuals),
        ("channels in the middle", blocks[-1], own.middle),
        ("channels of a latent", unet.in_channels, own.latents),
        ("numbers of a prompt", unet.cross_attention_dim, own.context),
    ):
        if theirs != ours:
            return f"{what}: {ours} and not {theirs}"
    return None


class StablePrior:
    """Backbone and adapter at work.

    Args:
        backbone: frozen.
        adapter: trained for it.

    Raises:
        WeightsError: if the adapter was trained for another backbone.
    """

    def __init__(self, backbone: Backbone, adapter: SdAdapter) -> None:
        if wrong := misfit(backbone, adapter):
            raise WeightsError(
                f"The adapter was trained for another backbone ({wrong}).",
                "Give weights.toml the backbone that it names, or use --model lite.",
            )
        self.backbone = backbone
        self.adapter = adapter

    def predict(self, z: Tensor, time: int | Tensor, y: Tensor, fused: Fused, mean_latent: Tensor) -> Tensor:
        """What the UNet predicts at (z, time) under the photo, (B, 4, h, w) float32.

        Args:
            z: (B, 4, h, w).
            time: of the schedule, or (B,).
            y: (B, 3, 2 h, 2 w), the photo there.
            fused: AMF's condition there.
            mean_latent: (B, 4, h, w).
        """
        dtype = self.backbone.dtype
        residuals = self.adapter(y, fused, mean_latent)
        answer: Tensor = self.backbone.unet(
            z.to(dtype),
            torch.as_tensor(time, device=z.device).expand(len(z)),
            encoder_hidden_states=self.adapter.prompt.to(dtype).expand(len(z), -1, -1),
            down_block_additional_residuals=tuple(r.to(dtype) for r in residuals.down),
            mid_block_additional_residual=residuals.middle.to(dtype),
            return_dict=False,
        )[0]
        return answer.float()

    def draw(
        self,
        photo: Tensor,
        mean: Tensor,
        condition: Callable[[Window], Fused],
        steps: int,
        seed: int,
        progress: Callable[[int, int], None],
    ) -> Tensor:
        """A sharp photo.

        Args:
            photo: (1, 3, h, w), encoded, on the CPU; h and w multiples of 8.
            mean: (1, 3, 4 h, 4 w), the posterior mean, on the CPU.
            condition: AMF's answer for the part of the photo under a window (2 LR pixels per latent pixel).
            steps: >= 1.
            seed: of the noise.
            progress: called with (UNet calls done, all of them).

        Returns:
            (1, 3, 4 h, 4 w), encoded, on the CPU, not clipped.
        """
        device = next(self.adapter.parameters()).device
        height, width = mean.shape[-2] // CELL, mean.shape[-1] // CELL
        windows = plan_windows(height, width)
        channels = self.adapter.config.latents
        schedule, times = self.backbone.schedule, self.backbone.schedule.times(steps, self.adapter.config.strength)

        def encoded() -> Iterator[tuple[Window, Tensor]]:
            for window in windows:
                yield window, self.backbone.encode(window.cut(mean, CELL).to(device).clamp(0, 1) * 2 - 1)

        latent = blended(height, width, channels, 1, encoded())
        noise = place_noise(seed, 0, 0, height, width, channels)
        z = schedule.noised(latent, noise, times[0])
        for i, time in enumerate(times):

            def predicted(z: Tensor = z, time: int = time, i: int = i) -> Iterator[tuple[Window, Tensor]]:
                for j, window in enumerate(windows):
                    progress(i * len(windows) + j, len(times) * len(windows))
                    there, begun = window.cut(z).to(device), window.cut(latent).to(device)
                    y = window.cut(photo, 2).to(device)
                    yield window, self.predict(there, time, y, condition(window), begun)

            clean = schedule.clean(z, blended(height, width, channels, 1, predicted()), time)
            z = schedule.step(z, clean, time, times[i + 1] if i + 1 < len(times) else None)

        def decoded() -> Iterator[tuple[Window, Tensor]]:
            for window in windows:
                yield window, (self.backbone.decode(window.cut(z).to(device)) + 1) / 2

        return keep_colours(blended(height, width, 3, CELL, decoded()), mean)
