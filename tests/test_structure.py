"""Structure of photos: lines and edges have it, grain and leaves do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ssr_cli.training.structure import most_structured_first, structure


def _stripes(angle: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="ij")
    wave = (torch.cos(torch.tensor(angle)) * x + torch.sin(torch.tensor(angle)) * y) / 3
    return (127 + 90 * torch.sin(wave)).byte().expand(3, -1, -1)


def _grain() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 128, 128))).byte()


def test_stripes_have_structure_in_any_direction_and_grain_has_none() -> None:
    for angle in (0.0, 0.4, 1.2):
        assert structure(_stripes(angle)) > 0.9
    assert structure(_grain()) < 0.35


def test_contrast_does_not_count_and_flat_ground_has_nothing() -> None:
    strong, weak = _stripes(0.7), (_stripes(0.7).float() / 3 + 85).byte()
    assert abs(structure(strong) - structure(weak)) < 0.02
    assert structure(torch.full((3, 64, 64), 80, dtype=torch.uint8)) == 0.0


def test_photos_come_in_the_order_of_their_structure() -> None:
    pictures = {Path("grain"): _grain(), Path("lines"): _stripes(0.3), Path("half"): _stripes(0.3) // 2 + _grain() // 2}
    assert most_structured_first(list(pictures), pictures.__getitem__) == [Path("lines"), Path("half"), Path("grain")]
