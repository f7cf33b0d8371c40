"""Photos that are soft themselves are told from crisp ones, and left out of what scenes are made of."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ssr_cli.training.crispness import crispest, crispness


def _photo(seed: int) -> Tensor:
    """(3, 256, 256) uint8 with detail whose power falls like a photo's."""
    f = torch.hypot(torch.fft.fftfreq(256)[:, None], torch.fft.rfftfreq(256)[None]).clamp_min(1 / 256)
    noise = torch.randn(256, 129, generator=torch.Generator().manual_seed(seed), dtype=torch.complex64)
    plane = torch.fft.irfft2(noise / f**1.35)
    scaled = (128 + 30 * plane / plane.std()).clamp(0, 255)
    return scaled.round().byte().expand(3, -1, -1)


def _softened(photo: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(photo.float()[None], (1,) * 4, mode="replicate"), 3, 1)[0].round().byte()


def test_softness_costs_decibels_whatever_the_light() -> None:
    photo = _photo(0)
    crisp = crispness(photo)
    assert -22 < crisp < -14
    assert crispness(_softened(photo)) < crisp - 2
    assert abs(crispness((photo.float() * 0.6).round().byte()) - crisp) < 0.3


def test_flat_patches_do_not_count() -> None:
    photo = _photo(1).clone()
    crisp = crispness(photo)
    photo[:, :, 192:] = 128
    assert abs(crispness(photo) - crisp) < 1.5
    assert crispness(torch.zeros(3, 128, 128, dtype=torch.uint8)) > -100


def test_the_softest_are_left_out_and_the_others_keep_their_order() -> None:
    photos = {Path(f"{i}.png"): _photo(i) if i % 5 else _softened(_photo(i)) for i in range(10)}
    assert crispest(list(photos), photos.__getitem__) == [p for i, p in enumerate(photos) if i % 5]
    assert crispest(list(photos)[:1], photos.__getitem__) == [Path("0.png")]
