"""The story of one photo: exact sizes, tiles that agree, determinism, odd shapes, faithfulness."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import pytest
import torch

from ssr_cli import maps, pipeline
from ssr_cli.diffusion.consistency import (
    ConsistencyConfig,
    excess,
    field_operator,
    guess_level,
    left_alone,
    project,
    residual,
)
from ssr_cli.errors import DeviceError, WeightsError
from ssr_cli.frames import DepthMap, Photo
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.physics import shapes
from ssr_cli.physics.kernels import default_dictionary, with_sensor_box
from ssr_cli.physics.operators import SpatiallyVariantBlur
from ssr_cli.physics.sharpening import desharpen, log_gain, sharpen
from ssr_cli.settings import Ablation, Delivery, UpscaleOptions
from ssr_cli.suite import load_models
from ssr_cli.weights import Checkpoint
from tests.conftest import TINY, tiny_suite


def _photo(height: int, width: int, seed: int = 0) -> Photo:
    coarse = torch.rand(1, 3, height // 4 + 2, width // 4 + 2, generator=torch.Generator().manual_seed(seed))
    rgb = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")[0].clamp(0, 1)
    return Photo(rgb)


@pytest.mark.parametrize("scale", [4.0, 2.0, 2.5, 1.01, 3.33, 8.0])
def test_the_output_has_exactly_the_asked_size(tiny_models, scale: float) -> None:
    result = pipeline.upscale(_photo(21, 34), tiny_models, UpscaleOptions(scale=scale))
    assert result.photo.rgb.shape == (3, round(21 * scale), round(34 * scale))
    assert bool(result.photo.rgb.isfinite().all())


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 200), (2, 2)])
def test_tiny_and_thin_photos(tiny_models, shape: tuple[int, int]) -> None:
    photo = Photo(torch.rand(3, *shape))
    assert pipeline.upscale(photo, tiny_models, UpscaleOptions()).photo.rgb.shape == (3, 4 * shape[0], 4 * shape[1])
    assert pipeline.analyse(photo, tiny_models, UpscaleOptions()).depth.disparity.shape == shape


@pytest.mark.parametrize("tile", [32, 40, 72, 100])
def test_tiled_equals_untiled(tiny_models, tile: int) -> None:
    photo = _photo(150, 181)
    whole = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=0))
    tiled = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=tile))
    assert float((whole.photo.rgb - tiled.photo.rgb).abs().max()) <= 1 / 255
    assert tiled.analysis.lens.alpha == pytest.approx(whole.analysis.lens.alpha, abs=1e-2)
    assert torch.allclose(tiled.analysis.field.weights, whole.analysis.field.weights, atol=1e-3)
    assert tiled.lr_psnr_after == pytest.approx(whole.lr_psnr_after, abs=0.01)


def test_the_seed_decides(tiny_models) -> None:
    photo = _photo(32, 32)
    first, again, other = (pipeline.upscale(photo, tiny_models, UpscaleOptions(seed=s)).photo.rgb for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_maps_of_large_photos_are_thinned(tiny_models, monkeypatch) -> None:
    photo = _photo(70, 90)
    whole = pipeline.analyse(photo, tiny_models, UpscaleOptions(tile=0)).field.radius_px
    monkeypatch.setattr(maps, "MAP_PIXELS", 1000)
    for tile in (0, 32):
        thin = pipeline.analyse(photo, tiny_models, UpscaleOptions(tile=tile)).field.radius_px
        assert torch.allclose(thin, whole[::3, ::3], atol=1e-3)


def test_out_of_memory_halves_the_tile(tiny_models, monkeypatch) -> None:
    photo = _photo(96, 96)
    expected = pipeline.upscale(photo, tiny_models, UpscaleOptions()).photo.rgb
    real, sizes = pipeline.restore_tile, []

    def short_of_memory(work, tile, *rest):
        sizes.append(tile.core.height)
        if tile.core.height > 50:
            raise torch.OutOfMemoryError("out of memory")
        return real(work, tile, *rest)

    monkeypatch.setattr(pipeline, "restore_tile", short_of_memory)
    result = pipeline.upscale(photo, tiny_models, UpscaleOptions())
    assert sizes[0] == 96
    assert max(sizes[-4:]) <= 48
    assert float((result.photo.rgb - expected).abs().max()) <= 1 / 255

    def never(*rest):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(pipeline, "restore_tile", never)
    with pytest.raises(DeviceError, match="smallest tile"):
        pipeline.upscale(photo, tiny_models, UpscaleOptions())


@pytest.mark.parametrize("fault", ["nan", "infinite", "black"])
def test_a_bad_tile_is_made_again_smaller_and_never_written(fault: str, tiny_models, monkeypatch) -> None:
    photo = Photo(_photo(96, 96).rgb * 0.5 + 0.3)
    expected = pipeline.upscale(photo, tiny_models, UpscaleOptions()).photo.rgb
    real = pipeline.restore_tile

    def spoiled(core):
        return {"nan": core * float("nan"), "infinite": core + float("inf"), "black": core * 0}[fault]

    def sometimes(work, tile, *rest):
        made = real(work, tile, *rest)
        return replace(made, core=spoiled(made.core)) if tile.core.height > 50 else made

    def never_good(*rest):
        made = real(*rest)
        return replace(made, core=spoiled(made.core))

    monkeypatch.setattr(pipeline, "restore_tile", sometimes)
    result = pipeline.upscale(photo, tiny_models, UpscaleOptions())
    assert float((result.photo.rgb - expected).abs().max()) <= 1 / 255
    assert len(result.incidents) == 1
    assert "a tile came out" in result.incidents[0]
    monkeypatch.setattr(pipeline, "restore_tile", never_good)
    with pytest.raises(DeviceError, match="Whatever was tried, a tile came out"):
        pipeline.upscale(photo, tiny_models, UpscaleOptions())


def test_a_dark_photo_is_no_bad_tile(tiny_models, monkeypatch) -> None:
    real = pipeline.restore_tile

    def black(*rest):
        made = real(*rest)
        return replace(made, core=made.core * 0)

    monkeypatch.setattr(pipeline, "restore_tile", black)
    result = pipeline.upscale(Photo(torch.full((3, 16, 16), 2 / 255)), tiny_models, UpscaleOptions())
    assert result.incidents == ()


def test_what_fails_on_a_device_is_done_on_the_cpu(tiny_models, monkeypatch) -> None:
    """A stand-in says it is a GPU, and has no memory at all."""
    elsewhere = replace(tiny_models, device=torch.device("meta"))
    real = pipeline.prepare

    def short_of_memory(photo, models, *rest):
        if models.device.type != "cpu":
            raise torch.OutOfMemoryError("out of memory")
        return real(photo, models, *rest)

    monkeypatch.setattr(pipeline, "prepare", short_of_memory)
    photo = _photo(32, 32)
    result = pipeline.upscale(photo, elsewhere, UpscaleOptions())
    assert torch.equal(result.photo.rgb, pipeline.upscale(photo, tiny_models, UpscaleOptions()).photo.rgb)
    assert any("memory ran out on meta" in incident for incident in result.incidents)


@pytest.mark.parametrize(("bits", "largest"), [(8, 255), (16, 65_535)])
@pytest.mark.parametrize("tile", [0, 32])
def test_whole_numbers_are_the_rounded_result(bits: int, largest: int, tile: int, tiny_models) -> None:
    photo = _photo(41, 50)
    exact = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=tile)).photo.rgb
    whole = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=tile), delivery=Delivery(bits)).photo.rgb
    assert whole.dtype == {8: torch.uint8, 16: torch.uint16}[bits]
    assert torch.equal(whole.float(), (exact.clamp(0, 1) * largest).round())
    # what is resized afterwards stays exact until then
    other = pipeline.upscale(
        photo, tiny_models, UpscaleOptions(tile=tile, scale=2.5), delivery=Delivery(bits)
    ).photo.rgb
    assert other.dtype == torch.float32


def test_maps_nobody_asked_for_are_small(tiny_models) -> None:
    photo = _photo(64, 80)
    whole, few = (
        pipeline.upscale(photo, tiny_models, UpscaleOptions(), delivery=Delivery(map_pixels=n)) for n in (None, 500)
    )
    assert torch.equal(whole.photo.rgb, few.photo.rgb)
    assert few.analysis.field.weights[0].numel() <= 500
    assert torch.allclose(few.analysis.field.radius_px, whole.analysis.field.radius_px[::4, ::4], atol=1e-5)


def test_progress_is_told_to_its_end(tiny_models) -> None:
    told: list[tuple[str, int, int]] = []
    pipeline.upscale(_photo(64, 64), tiny_models, UpscaleOptions(tile=32), lambda *a: told.append(a))
    assert told[-1] == ("restoring", 4, 4)
    assert all(0 <= done <= total for _, done, total in told)


def test_a_checkpoint_that_does_not_fit_is_refused() -> None:
    state = tiny_suite().state_dict()
    state.pop("depth.stem.weight")
    with pytest.raises(WeightsError, match="does not fit"):
        load_models(Checkpoint(TINY.to_dict(), state, {}), torch.device("cpu"))
    with pytest.raises(WeightsError, match="does not fit"):
        load_models(Checkpoint({"depth": {}}, state, {}), torch.device("cpu"))


def _blurred_pair() -> tuple[torch.Tensor, torch.Tensor, SpatiallyVariantBlur]:
    from ssr_cli.image.color import linear_to_srgb, srgb_to_linear

    x = 0.1 + 0.8 * _photo(96, 96, 5).rgb[None]
    atom = with_sensor_box(shapes.gaussian(1.5, 1.5)[None], 4)
    operator = SpatiallyVariantBlur(atom, torch.ones(1, 1, 24, 24), 4)
    return x, linear_to_srgb(operator.forward(srgb_to_linear(x))), operator


def test_projection_removes_a_colour_cast() -> None:
    x, y, operator = _blurred_pair()
    cast = (x + torch.tensor([5.0, -5.0, 5.0]).view(1, 3, 1, 1) / 255).clamp(0, 1)
    projected = project(cast, y, operator, torch.full((1, 1, 24, 24), 0.2 / 255), steps=8)
    left = (projected.image - x).mean((2, 3)).abs() * 255
    assert float(left.max()) < 0.5
    assert float(residual(projected.image, y, operator).square().mean()) < 0.02 * float(
        projected.before.square().mean()
    )


def test_projection_leaves_what_noise_explains() -> None:
    x, y, operator = _blurred_pair()
    noisy = y + 2 / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    projected = project(x, noisy, operator, torch.full((1, 1, 24, 24), 3 / 255))
    assert float((projected.image - x).abs().mean()) < 0.1 / 255


def test_projection_never_lowers_truth_when_the_kernel_is_true() -> None:
    x, y, operator = _blurred_pair()
    soft = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(x, (2,) * 4, mode="replicate"), 5, 1)
    noisy = y + 3 / 255 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    projected = project(soft, noisy, operator, torch.full((1, 1, 24, 24), 3 / 255))
    assert float((projected.image - x).square().mean()) < float((soft - x).square().mean())


def test_a_sharpened_photo_is_judged_as_it_was_before() -> None:
    """Kernels explain the optics: with the sharpening known the truth is left alone, without it it is bent to halos."""
    x, y, operator = _blurred_pair()
    sigmas, amounts = torch.tensor([1.0]), torch.tensor([1.2])
    crisp = (sharpen(y, sigmas, amounts).clamp(0, 1) * 255).round() / 255
    noise = torch.full((1, 1, 24, 24), 0.5 / 255)
    told = project(x, desharpen(crisp, log_gain(sigmas, amounts)), operator, noise)
    untold = project(x, crisp, operator, noise)
    moved, wrong = (float((p.image - x).square().mean().sqrt()) for p in (told, untold))
    assert moved < 0.1 * wrong


def test_less_is_corrected_where_the_camera_sharpened_or_the_photo_is_grainy() -> None:
    config = ConsistencyConfig(level=0.25, sharpened=(0.2, 0.4), grainy=(0.01, 0.02), grain=0.7)
    unexplained = torch.full((4, 1, 2, 2), 0.02)
    gain = torch.tensor([[0.0, 0.0], [0.1, 0.3], [0.2, 0.9], [0.0, 0.0]])
    grain = torch.tensor([0.0, 0.0, 0.0, 0.05])
    unsure = torch.full((4,), 0.5)
    level = left_alone(unexplained, gain, unsure, grain, config)[:, 0, 0, 0]
    assert torch.allclose(level, torch.tensor([0.005, 0.0125, 0.02, 0.035]))
    processed = torch.tensor([1.0, 0.0, 0.0, 0.0])
    level = left_alone(unexplained, gain, processed, grain, config)[:, 0, 0, 0]
    assert torch.allclose(level, torch.tensor([0.02, 0.0125, 0.02, 0.035]))
    assert torch.allclose(guess_level(unexplained, processed, config)[:, 0, 0, 0], torch.tensor([0.02, *[0.005] * 3]))


def test_excess_is_a_share() -> None:
    residual = torch.randn(1, 3, 20, 20)
    for noise, low, high in ((5.0, 0.0, 0.0), (1e-6, 0.999, 1.0), (0.5, 0.3, 0.7)):
        share = excess(residual, torch.full((1, 1, 20, 20), noise))
        assert low - 1e-6 <= float(share.mean()) <= high + 1e-6


def test_reduced_field_operator_is_close_to_the_full_one() -> None:
    dictionary = default_dictionary()
    weights = torch.softmax(3 * torch.randn(1, 63, 12, 12, generator=torch.Generator().manual_seed(2)), 1)
    x = _photo(48, 48, 9).rgb[None]
    full = SpatiallyVariantBlur(dictionary.atoms, weights, 4).forward(x)
    reduced = field_operator(weights, dictionary).forward(x)
    assert float((full - reduced).square().mean().sqrt()) < 1 / 255


def test_frames_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _photo(4, 4).rgb = torch.zeros(1)  # type: ignore[misc]


def test_a_given_depth_is_where_refinement_begins(tiny_models) -> None:
    photo, ramp = _photo(24, 32), torch.linspace(0, 1, 24)[:, None].expand(24, 32)
    given = pipeline.upscale(photo, tiny_models, UpscaleOptions(), depth=DepthMap(ramp))
    assert torch.equal(given.analysis.depth_before.disparity, ramp)
    own = pipeline.upscale(photo, tiny_models, UpscaleOptions())
    assert not torch.equal(given.analysis.depth.disparity, own.analysis.depth.disparity)
    assert not torch.equal(given.photo.rgb, own.photo.rgb)


def test_what_is_left_out_is_left_out(tiny_models) -> None:
    photo = _photo(24, 32)
    whole = pipeline.upscale(photo, tiny_models, UpscaleOptions())
    one = pipeline.upscale(photo, tiny_models, UpscaleOptions(ablation=Ablation(rounds=1)))
    assert (len(whole.analysis.rounds), len(one.analysis.rounds)) == (2, 1)
    assert torch.equal(whole.analysis.rounds[0].field.weights, one.analysis.rounds[0].field.weights)
    results = [whole.photo.rgb]
    for left_out in (Ablation(without_depth=True), Ablation(without_kernel=True), Ablation(True, True)):
        result = pipeline.upscale(photo, tiny_models, UpscaleOptions(ablation=left_out))
        assert torch.equal(result.analysis.depth.disparity, whole.analysis.depth.disparity)
        assert all(not torch.equal(result.photo.rgb, other) for other in results)
        results.append(result.photo.rgb)


def test_consistency_can_be_told_without_being_forced(tiny_models) -> None:
    photo = _photo(24, 32)
    off, report, project_ = (
        pipeline.upscale(photo, tiny_models, UpscaleOptions(consistency=mode)) for mode in ("off", "report", "project")
    )
    assert torch.equal(off.photo.rgb, report.photo.rgb)
    assert not torch.equal(report.photo.rgb, project_.photo.rgb)
    assert off.lr_psnr_before is None
    assert report.lr_psnr_before == project_.lr_psnr_before
    assert report.lr_psnr_after is not None
    assert project_.lr_psnr_after is not None
    # what is told is of the picture that is handed over, its colours kept
    assert project_.lr_psnr_after > report.lr_psnr_after


def test_meant_blur_stays_by_as_much_as_asked(tiny_models, monkeypatch) -> None:
    """Everything is taken for meant here: kept, the result is the photo enlarged, reduced it is softer than sharp."""
    photo = _photo(24, 32)
    monkeypatch.setattr("ssr_cli.diffusion.focus.meant", lambda radius_px, sharpest_px: torch.ones_like(radius_px))
    sharp, kept, half = (
        pipeline.upscale(photo, tiny_models, UpscaleOptions(focus=focus)).photo.rgb
        for focus in ("all", "keep", "reduce")
    )
    assert torch.allclose(kept, upscale_bicubic(photo.rgb[None], 4)[0].clamp(0, 1), atol=1e-6)
    little = pipeline.upscale(photo, tiny_models, UpscaleOptions(focus="keep", focus_strength=0.1)).photo.rgb
    contrast = [float(x.diff(dim=-1).abs().mean()) for x in (half, little, sharp)]
    assert contrast[0] < contrast[1] <= contrast[2]
    for focus, whole in (("keep", kept), ("reduce", half)):
        tiled = pipeline.upscale(photo, tiny_models, UpscaleOptions(focus=focus, tile=32)).photo.rgb
        assert float((tiled - whole).abs().max()) <= 1 / 255


@pytest.mark.parametrize("tile", [0, 32])
def test_what_was_invented_and_how_sure_it_is(tiny_models, tile: int) -> None:
    photo = _photo(40, 48)
    work = pipeline.Enlarging(
        photo, tiny_models, UpscaleOptions(tile=tile), delivery=Delivery(invented=True, confidence=True)
    )
    result = pipeline.gathered(work.bands(), work.height, work.width)
    found = work.findings()
    plain = pipeline.upscale(photo, tiny_models, UpscaleOptions(tile=tile)).photo.rgb
    assert torch.equal(result, plain)
    invented, sure = found.views["invented"], found.views["confidence"]
    assert invented.shape == (3, 160, 192)
    assert sure.shape == (1, 160, 192)
    assert found.invented_share is not None and 0 < found.invented_share < 1
    # the photo cannot see what was invented: averaged over its pixels it is next to nothing
    seen = torch.nn.functional.avg_pool2d(invented.float()[None] / 255 - 0.5, 4).abs().mean()
    assert float(seen) < 0.5 * float((invented.float() / 255 - 0.5).abs().mean())
    assert 0 < float(sure.float().mean()) < 255
