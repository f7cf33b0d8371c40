"""What the bundled checkpoint answers to a fixed input. `python -m tests.golden.lite` writes it anew after training."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

FILE = Path(__file__).with_name("lite.safetensors")
#: Differences between CPUs and versions of the library stay far below; a changed model does not.
_EACH = {"mean": 4e-3, "result": 1e-2, "radius_px": 0.1, "disparity": 2e-2}
TOLERANCE = {f"{source}.{name}": most for source in ("camera", "reduced") for name, most in _EACH.items()}


def picture() -> Tensor:
    """(3, 40, 48): edges, a slope, a blurred disk and fine stripes, from formulas alone."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(48.0), indexing="ij")
    disk = torch.sigmoid(9 - torch.hypot(y - 20, x - 15))
    stripes = 0.5 + 0.4 * torch.sin(x * 1.9 + y * 0.3)
    edge = (x > 34).float()
    red = 0.2 + 0.6 * disk
    return torch.stack([red, 0.7 * stripes * (1 - edge) + 0.15, 0.1 + 0.01 * y + 0.4 * edge]).clamp(0, 1)


def answers() -> dict[str, Tensor]:
    """Mean, result at the default steps, radius and refined depth, thinned out; of both suites."""
    from ssr_cli.frames import Photo
    from ssr_cli.pipeline import upscale
    from ssr_cli.settings import UpscaleOptions
    from ssr_cli.suite import load_models
    from ssr_cli.weights import load_checkpoint

    models = load_models(load_checkpoint("lite"), torch.device("cpu"))
    photo = Photo(picture())
    found: dict[str, Tensor] = {}
    for source in ("camera", "reduced"):
        mean = upscale(photo, models, UpscaleOptions(steps=0, consistency="off", source=source))
        result = upscale(photo, models, UpscaleOptions(source=source))
        said = {
            "mean": mean.photo.rgb[:, ::5, ::5],
            "result": result.photo.rgb[:, ::5, ::5],
            "radius_px": result.analysis.field.radius_px[::4, ::4],
            "disparity": result.analysis.depth.disparity[::4, ::4],
        }
        found |= {f"{source}.{name}": plane.contiguous() for name, plane in said.items()}
    return found


if __name__ == "__main__":
    from safetensors.torch import save_file

    save_file(answers(), FILE)
