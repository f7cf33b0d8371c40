"""The mean of a camera's photo is taken back a little towards its interpolation, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ssr_cli import pipeline
from ssr_cli.frames import Photo
from ssr_cli.models.amf import Fused
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import Models


def test_as_much_is_taken_back_as_a_camera_is_likely(tiny_models) -> None:
    restorer = _with(tiny_models, 0.4).suite.restorer
    y, guess = torch.rand(3, 3, 8, 8), torch.rand(3, 1, 32, 32)
    fused = Fused([torch.rand(3, 6, 8 // n, 8 // n) for n in (1, 2, 4)], torch.rand(3, 3, 8, 8))
    whole, features = restorer(y, fused, guess)
    result, same = restorer(y, fused, guess, torch.tensor([0.0, 0.5, 1.0]))
    plain = upscale_bicubic(y, 4)
    assert torch.equal(features, same)
    for i, share in enumerate((0.0, 0.2, 0.4)):
        assert torch.allclose(result[i], (1 - share) * whole[i] + share * plain[i], atol=1e-6)


def _with(models: Models, doubt: float) -> Models:
    config = replace(models.suite.config, restorer=replace(models.suite.config.restorer, doubt=doubt))
    models.suite.config, models.suite.restorer.config = config, config.restorer
    return models


@pytest.mark.parametrize("tile", [0, 40])
def test_only_photos_of_a_camera_are_hedged(tiny_models, tile: int) -> None:
    photo = Photo(torch.rand(3, 80, 72, generator=torch.Generator().manual_seed(0)))
    interpolated = upscale_bicubic(photo.rgb[None], 4)[0]

    def result(doubt: float, steps: int, processed: float) -> torch.Tensor:
        options = UpscaleOptions(steps=steps, source="camera" if processed else "reduced", consistency="off", tile=tile)
        return pipeline.upscale(photo, _with(tiny_models, doubt), options).photo.rgb

    for steps in (0, 1):
        assert torch.equal(result(0.0, steps, 0.0), result(0.5, steps, 0.0))
        assert not torch.equal(result(0.0, steps, 1.0), result(0.5, steps, 1.0))
    sure, unsure, wholly = (result(doubt, 0, 1.0) for doubt in (0.0, 0.5, 1.0))
    assert float((wholly - interpolated).abs().mean()) < 0.2 * float((sure - interpolated).abs().mean())
    assert float((unsure - sure).abs().mean()) > 0.2 * float((wholly - sure).abs().mean())
