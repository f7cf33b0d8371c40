"""Networks in bfloat16: where it is taken, how little it changes, what is made again in float32."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ssr_cli import pipeline, tile_end
from ssr_cli.errors import UsageError
from ssr_cli.frames import Photo
from ssr_cli.recovery import on_cpu
from ssr_cli.settings import UpscaleOptions
from ssr_cli.suite import load_models
from ssr_cli.weights import load_checkpoint
from tests.golden.lite import picture

CPU = torch.device("cpu")
EXACT, LOWER = UpscaleOptions(precision="float32"), UpscaleOptions(precision="bfloat16")


def test_only_known_precisions_are_taken() -> None:
    assert UpscaleOptions().precision == "float32"
    with pytest.raises(UsageError, match="precision"):
        UpscaleOptions(precision="float8")


@pytest.mark.parametrize("steps", [0, 1])
def test_the_bundled_weights_hardly_notice(steps: int) -> None:
    models = load_models(load_checkpoint("lite"), CPU)
    photo = Photo(picture())
    exact, lower = (
        pipeline.upscale(photo, models, replace(options, steps=steps)).photo.rgb for options in (EXACT, LOWER)
    )
    apart = 255 * (exact - lower).abs()
    assert 0 < float(apart.max()) < 8  # where stripes are finer than the kernels
    assert float(apart.mean()) < 0.25


@pytest.mark.parametrize("tile", [40, 72])
def test_tiles_do_not_show(tile: int) -> None:
    """The last digit of any input decides how numbers of eight bits are rounded, but no seam comes of it."""
    models = load_models(load_checkpoint("lite"), CPU)
    coarse = torch.rand(1, 3, 25, 28, generator=torch.Generator().manual_seed(0))
    photo = Photo(torch.nn.functional.interpolate(coarse, size=(90, 101), mode="bicubic")[0].clamp(0, 1))
    whole, tiled = (pipeline.upscale(photo, models, replace(LOWER, tile=n)).photo.rgb for n in (0, tile))
    apart = 255 * (whole - tiled).abs()
    assert float(apart.max()) <= 5  # single pixels
    assert float(apart.flatten().quantile(0.999)) <= 1.2
    assert float(apart.mean()) <= 0.2


def test_physics_stays_in_float32(tiny_models, monkeypatch) -> None:
    real, seen = tile_end.project, []

    def watched(image, y, operator, noise, **rest):
        seen.extend(tensor.dtype for tensor in (image, y, operator.weights, noise, operator.forward(image)))
        return real(image, y, operator, noise, **rest)

    monkeypatch.setattr(tile_end, "project", watched)
    pipeline.upscale(Photo(torch.rand(3, 24, 32)), tiny_models, LOWER)
    assert seen
    assert set(seen) == {torch.float32}


def test_a_bad_tile_is_made_again_in_float32_first(tiny_models, monkeypatch) -> None:
    photo = Photo(torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1)))
    expected = pipeline.upscale(photo, tiny_models, EXACT).photo.rgb
    real, tried = pipeline.restore_tile, []

    def overflowing(work, tile, models, *rest):
        tried.append((tile.core.height, models.precision))
        made = real(work, tile, models, *rest)
        return replace(made, core=made.core * float("nan")) if models.precision == torch.bfloat16 else made

    monkeypatch.setattr(pipeline, "restore_tile", overflowing)
    result = pipeline.upscale(photo, tiny_models, LOWER)
    assert tried == [(96, torch.bfloat16), (96, torch.float32)]
    assert len(result.incidents) == 1
    # only what came before the tile was of lower precision
    assert float((result.photo.rgb - expected).abs().mean()) < 1 / 255


def test_the_spare_models_are_float32(tiny_models) -> None:
    spare = on_cpu(replace(tiny_models, precision=torch.bfloat16))
    assert spare.precision == torch.float32
