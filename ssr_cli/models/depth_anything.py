"""Depth Anything V2 (arXiv 2406.09414) behind the contract of our own depth net, by transformers' implementation.

The preprocessing is ours (transformers' own wants torchvision): shorter side 518, both multiples of the ViT's patch,
bicubic, ImageNet's mean and deviation.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SHORT_SIDE = 518
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
#: Shares of the darkest and brightest answers that do not stretch the range.
_TAIL = 0.002


def working_size(height: int, width: int, patch: int, short_side: int = _SHORT_SIDE) -> tuple[int, int]:
    """Size of the copy the net is given: shorter side about `short_side`, both multiples of `patch`."""
    ratio = short_side / min(height, width)

    def fit(n: int) -> int:
        return max(patch, round(n * ratio / patch) * patch)

    return fit(height), fit(width)


class DepthAnything(nn.Module):
    """The net of a configuration and a state dict.

    Args:
        config: transformers' configuration, as its config.json holds it.
        state: tensors by name.

    Raises:
        RuntimeError: if the tensors do not fit.
        ImportError: if transformers is not installed.
    """

    def __init__(self, config: dict[str, Any], state: dict[str, Tensor]) -> None:
        super().__init__()
        from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

        net: Any = DepthAnythingForDepthEstimation(DepthAnythingConfig.from_dict(config))
        net.load_state_dict(state)
        self.net: nn.Module = net.float().eval().requires_grad_(False)
        self.patch: int = config.get("patch_size", 14)

    def forward(self, rgb: Tensor) -> Tensor:
        """Relative inverse depth (B, h, w) of (B, 3, h, w) copies in 0..1 whose sides are multiples of the patch."""
        mean, deviation = (rgb.new_tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _DEVIATION))
        answer: Tensor = self.net(pixel_values=(rgb - mean) / deviation).predicted_depth
        return answer

    @torch.inference_mode()
    def estimate(self, rgb: Tensor) -> Tensor:
        """Disparity of a photo of any size, once for all of it.

        Args:
            rgb: (1, 3, h, w), encoded, 0..1.

        Returns:
            (1, 1, h, w), 0 farthest .. 1 nearest.
        """
        size = working_size(rgb.shape[-2], rgb.shape[-1], self.patch)
        small = F.interpolate(rgb, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        depth = self.forward(small).float()[:, None]
        flat = depth.flatten().sort().values
        cut = int(_TAIL * flat.numel())
        low, high = flat[cut], flat[-1 - cut]
        scaled = ((depth - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
        return F.interpolate(scaled, size=rgb.shape[-2:], mode="bilinear", align_corners=False)
