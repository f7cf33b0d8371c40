"""The Stable Diffusion prior on real diffusers classes: schedule, windows, colours, adapter, pipeline, training."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ssr_cli import catalogue
from ssr_cli.assembly import assemble
from ssr_cli.backbone import backbone_entry, load_backbone, precision
from ssr_cli.diffusion import stable
from ssr_cli.diffusion.schedule import Schedule
from ssr_cli.diffusion.stable import (
    StablePrior,
    Window,
    blend_window,
    blended,
    keep_colours,
    low_frequencies,
    plan_windows,
)
from ssr_cli.errors import UsageError, WeightsError
from ssr_cli.frames import Photo
from ssr_cli.models.adapter import AdapterConfig, SdAdapter, config_of, residual_channels
from ssr_cli.models.amf import Fused
from ssr_cli.pipeline import upscale
from ssr_cli.settings import UpscaleOptions
from ssr_cli.training import run
from ssr_cli.training.loop import load_average, state_file
from ssr_cli.weights import load_checkpoint, save_checkpoint
from tests.conftest import TINY
from tests.test_training import _options, _train, photos, small  # noqa: F401
from tests.tiny_sd import SCHEDULER, UNET, write_backbone, write_table

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The files of a tiny backbone."""
    made = tmp_path_factory.mktemp("backbone")
    write_backbone(made)
    return made


@pytest.fixture
def table(folder: Path, tmp_path: Path, monkeypatch) -> Path:
    """A table that knows the tiny backbone; the network is off."""
    path = tmp_path / "weights.toml"
    write_table(path, folder)
    monkeypatch.setenv(catalogue.TABLE_VARIABLE, str(path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return path


def _tiny_adapter(seed: int | None = None) -> SdAdapter:
    """An adapter for the tiny backbone and the tiny suite; with a seed its exits are not zero."""
    config = AdapterConfig(
        width=(8, 12),
        residuals=residual_channels(UNET["block_out_channels"], UNET["layers_per_block"]),
        middle=32,
        conditions=TINY.amf.pyramid,
        context=16,
    )
    torch.manual_seed(seed or 0)
    adapter = SdAdapter(config)
    adapter.prompt = torch.rand(1, 77, 16)
    if seed is not None:
        for value in adapter.parameters():
            if value.ndim == 4 and not value.any():
                torch.nn.init.normal_(value, 0.0, 0.2)
    return adapter.eval().requires_grad_(False)


# ---------------------------------------------------------------- the schedule


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("steps", [1, 2, 4, 8])  # theirs steps unevenly where the count does not divide 1000
def test_the_schedule_is_diffusers_own(prediction: str, steps: int) -> None:
    from diffusers import DDIMScheduler

    config = {**SCHEDULER, "prediction_type": prediction}
    theirs = DDIMScheduler(**config, clip_sample=False, timestep_spacing="trailing", set_alpha_to_one=True)
    theirs.set_timesteps(steps)
    ours = Schedule.from_config(config)
    assert torch.allclose(ours.alphas, theirs.alphas_cumprod, atol=1e-6)
    times = ours.times(steps)
    assert times == theirs.timesteps.tolist()
    z = mine = torch.randn(1, 4, 8, 8)
    for i, time in enumerate(times):
        predicted = torch.randn(1, 4, 8, 8)
        answer = theirs.step(predicted, time, z)
        clean = ours.clean(mine, predicted, time)
        assert torch.allclose(clean, answer.pred_original_sample, atol=2e-4, rtol=1e-3)
        last = i + 1 == steps
        mine = ours.step(mine, clean, time, None if last else times[i + 1])
        if not last:  # their last step goes to a time below the first, ours to the clean latent
            assert torch.allclose(mine, answer.prev_sample, atol=2e-4, rtol=1e-3)
        z = answer.prev_sample


def test_one_step_is_that_of_the_turbo_models_scheduler() -> None:
    from diffusers import EulerDiscreteScheduler

    theirs = EulerDiscreteScheduler(**SCHEDULER, timestep_spacing="trailing")
    theirs.set_timesteps(1)
    ours = Schedule.from_config(SCHEDULER)
    (time,) = ours.times(1)
    assert time == int(theirs.timesteps[0])
    z, predicted = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    # theirs keeps a latent of unit signal, ours one of unit variance
    grown = z / ours.alphas[time].sqrt()
    answer = theirs.step(predicted, theirs.timesteps[0], grown).prev_sample
    assert torch.allclose(ours.clean(z, predicted, time), answer, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_prediction_gives_back_the_clean_latent(prediction: str) -> None:
    schedule = Schedule(Schedule.from_config(SCHEDULER).alphas, prediction)
    clean, noise = torch.randn(3, 4, 6, 6), torch.randn(3, 4, 6, 6)
    time = torch.tensor([3, 400, 900])
    z = schedule.noised(clean, noise, time)
    assert torch.allclose(schedule.clean(z, schedule.target(clean, noise, time), time), clean, atol=1e-4)
    assert schedule.times(4, 0.5) == [499, 374, 249, 124]
    assert schedule.times(1, 1e-9) == [0]


def test_unknown_schedules_are_refused() -> None:
    for wrong in ({"beta_schedule": "odd"}, {"prediction_type": "odd"}):
        with pytest.raises(ValueError, match="'odd' is not known"):
            Schedule.from_config(wrong)
    for wrong in ({"rescale_betas_zero_snr": True}, {"trained_betas": [0.1]}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))!r} is not known"):
            Schedule.from_config(wrong)
    assert Schedule.from_config({"rescale_betas_zero_snr": False, "trained_betas": None}).prediction == "epsilon"


# ---------------------------------------------------------------- windows and colours


@pytest.mark.parametrize(("height", "width"), [(64, 64), (20, 12), (68, 64), (200, 148), (116, 500)])
def test_windows_cover_the_latent_and_blending_gives_it_back(height: int, width: int) -> None:
    windows = plan_windows(height, width)
    assert all(w.top % 4 == 0 and w.left % 4 == 0 for w in windows)  # whole cells of 8 LR pixels
    assert all(w.bottom - w.top == min(64, height) and w.right - w.left == min(64, width) for w in windows)
    plane = torch.rand(1, 2, height, width)
    assert torch.allclose(blended(height, width, 2, 1, iter([(w, w.cut(plane)) for w in windows])), plane, atol=1e-6)
    large = torch.rand(1, 1, 8 * height, 8 * width)
    assert torch.allclose(blended(height, width, 1, 8, iter([(w, w.cut(large, 8)) for w in windows])), large, atol=1e-6)


def test_the_window_is_symmetric_and_never_zero() -> None:
    weight = blend_window(200, 200, Window(48, 48, 112, 112))
    assert torch.equal(weight, weight.flip(-1))
    assert torch.equal(weight, weight.flip(-2))
    assert torch.equal(weight, weight.mT)
    assert float(weight.min()) > 0
    assert weight.dtype == torch.float32
    assert torch.equal(blend_window(64, 64, Window(0, 0, 64, 64)), torch.ones(1, 1, 64, 64))


def test_colours_come_from_the_photo_and_details_from_the_result() -> None:
    detail = 0.1 * torch.randn(1, 3, 128, 128)
    photo = torch.rand(1, 3, 1, 1).expand(1, 3, 128, 128) * 0.5
    cast = torch.tensor([0.1, -0.05, 0.02]).view(1, 3, 1, 1)
    fixed = keep_colours(photo + detail + cast, photo)
    assert torch.allclose(fixed.mean((2, 3)), photo.mean((2, 3)), atol=2e-3)
    assert float(torch.corrcoef(torch.stack([(fixed - photo).flatten(), detail.flatten()]))[0, 1]) > 0.99
    assert torch.allclose(low_frequencies(photo), photo, atol=1e-6)
    assert torch.allclose(keep_colours(detail, detail), detail, atol=1e-6)


# ---------------------------------------------------------------- the adapter


def _inputs(h: int = 16, w: int = 24) -> tuple[Tensor, Fused, Tensor, Tensor]:
    pyramid = [torch.rand(1, c, h // 2**i, w // 2**i) for i, c in enumerate(TINY.amf.pyramid)]
    return torch.rand(1, 3, h, w), Fused(pyramid, torch.rand(1, 3, h, w)), *torch.randn(2, 1, 4, h // 2, w // 2)


def test_an_untrained_adapter_changes_nothing_and_a_trained_one_does(table: Path) -> None:
    backbone = load_backbone(backbone_entry("tiny-sd"), CPU)
    y, fused, z, begun = _inputs()
    plain, other = _tiny_adapter(), _tiny_adapter(seed=3)
    other.prompt = plain.prompt
    bare = backbone.unet(z, torch.tensor([7]), encoder_hidden_states=plain.prompt, return_dict=False)[0]
    assert torch.allclose(StablePrior(backbone, plain).predict(z, 7, y, fused, begun), bare, atol=1e-5)
    assert not torch.allclose(StablePrior(backbone, other).predict(z, 7, y, fused, begun), bare, atol=1e-3)


def test_every_input_reaches_the_residuals() -> None:
    adapter = _tiny_adapter(seed=1)
    y, fused, _, begun = _inputs()
    first = adapter(y, fused, begun)
    changed = [(y + 0.1, fused, begun), (y, fused, begun + 0.1)]
    for i in range(3):
        pyramid = [p + 0.1 * (i == j) for j, p in enumerate(fused.pyramid)]
        changed.append((y, Fused(pyramid, fused.gates), begun))
    for given in changed:
        assert not torch.allclose(adapter(*given).middle, first.middle, atol=1e-6)


def test_it_fits_the_real_unet() -> None:
    """Stable Diffusion 2.1's own numbers, without memory: shapes alone."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280, 1280),
            cross_attention_dim=1024,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        )
        adapter = SdAdapter(AdapterConfig())
        pyramid = [torch.rand(1, c, 128 // 2**i, 128 // 2**i) for i, c in enumerate((32, 48, 64))]
        backbone = stable.Backbone(unet, lambda x: x, lambda z: z, Schedule.from_config(SCHEDULER), torch.float32)
        z = torch.rand(1, 4, 64, 64)
        fused = Fused(pyramid, torch.rand(1, 3, 128, 128))
        out = StablePrior(backbone, adapter).predict(
            z, torch.zeros(1, dtype=torch.long), torch.rand(1, 3, 128, 128), fused, z
        )
    assert out.shape == (1, 4, 64, 64)
    assert residual_channels([320, 640, 1280, 1280], 2) == AdapterConfig().residuals
    assert sum(p.numel() for p in adapter.parameters()) < 10e6


def test_the_numbers_are_read_off_the_tensors() -> None:
    for config in (AdapterConfig(), AdapterConfig(width=(8, 12), residuals=((4, 4), (4, 6)), middle=6, context=16)):
        assert config_of(SdAdapter(config).state_dict()) == config


# ---------------------------------------------------------------- the whole way


@pytest.fixture
def checkpoint(tmp_path: Path, table: Path, tiny_checkpoint: Path) -> Path:
    """An adapter whose suite is the tiny one."""
    adapter = _tiny_adapter(seed=5)
    path = tmp_path / "adapter.safetensors"
    config = {
        "kind": "sd-adapter",
        "backbone": "tiny-sd",
        "suite": str(tiny_checkpoint),
        "adapter": asdict(adapter.config),
    }
    save_checkpoint(path, config, adapter.state_dict(), {"licence": "none"})
    return path


def test_a_photo_goes_the_whole_way(checkpoint: Path) -> None:
    models = assemble(str(checkpoint), CPU)
    coarse = torch.rand(1, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    photo = Photo(torch.nn.functional.interpolate(coarse, size=(21, 30), mode="bicubic")[0].clamp(0, 1))
    said: list[str] = []
    results = {
        steps: upscale(photo, models, UpscaleOptions(device="cpu", steps=steps), lambda what, *_: said.append(what))
        for steps in (0, 1, 3)
    }
    for result in results.values():
        assert result.photo.rgb.shape == (3, 84, 120)
        assert bool(result.photo.rgb.isfinite().all())
        assert result.lr_psnr_after is not None
        assert result.lr_psnr_after >= (result.lr_psnr_before or 0)
    assert "diffusing" in said
    assert not torch.allclose(results[0].photo.rgb, results[1].photo.rgb, atol=1e-3)
    again = upscale(photo, models, UpscaleOptions(device="cpu", steps=3))
    assert torch.equal(again.photo.rgb, results[3].photo.rgb)
    other = upscale(photo, models, UpscaleOptions(device="cpu", steps=3, seed=1))
    assert not torch.allclose(other.photo.rgb, results[3].photo.rgb, atol=1e-3)


def test_colours_are_the_photos_whatever_the_vae_did(checkpoint: Path) -> None:
    models = assemble(str(checkpoint), CPU)
    assert models.stable is not None
    cast = torch.tensor([0.9, -0.4, 0.1]).view(1, 3, 1, 1)
    decode = lambda latent: cast.expand(1, 3, 8 * latent.shape[-2], 8 * latent.shape[-1])  # noqa: E731
    models.stable.backbone = replace(models.stable.backbone, decode=decode)
    photo = Photo(0.3 + 0.3 * torch.rand(3, 1, 1) + 0.05 * torch.rand(3, 24, 24))
    mean, drawn = (
        upscale(photo, models, UpscaleOptions(device="cpu", steps=steps, consistency="off")).photo.rgb
        for steps in (0, 1)
    )
    assert float((mean.mean((1, 2)) - drawn.mean((1, 2))).abs().max()) < 0.5 / 255


def test_tiles_do_not_show(checkpoint: Path) -> None:
    """The latent is one whatever the tiles are: only the conditions are made in pieces, with their surroundings."""
    models = assemble(str(checkpoint), CPU)
    photo = Photo(torch.rand(3, 160, 150, generator=torch.Generator().manual_seed(0)))
    whole, tiled = (
        upscale(photo, models, UpscaleOptions(device="cpu", steps=2, tile=tile)).photo.rgb for tile in (0, 64)
    )
    assert float((whole - tiled).abs().max()) < 1 / 255


def test_what_is_missing_or_foreign_is_named(checkpoint: Path, table: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no backbone 'none'"):
        backbone_entry("none")
    table.write_text(table.read_text().replace("unet/model.safetensors", "unet/other.safetensors"))
    with pytest.raises(WeightsError, match=r"unet/other\.safetensors of tiny-sd cannot be had"):
        assemble(str(checkpoint), CPU)
    table.write_text(table.read_text().replace('{ name = "unet/other.safetensors" }, ', ""))
    with pytest.raises(WeightsError, match="tensors of its unet"):
        assemble(str(checkpoint), CPU)
    write_table(table, folder)
    broken = load_checkpoint(str(checkpoint))
    save_checkpoint(tmp_path / "b.safetensors", {**broken.config, "adapter": {"colour": 1}}, broken.state, {})
    with pytest.raises(WeightsError, match=r"adapter\.colour"):
        assemble(str(tmp_path / "b.safetensors"), CPU)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"residuals": residual_channels([24, 32], 2)}, "residuals"),
        ({"middle": 24}, "channels in the middle: 24 and not 32"),
        ({"context": 24}, "numbers of a prompt: 24 and not 16"),
    ],
)
def test_an_adapter_for_another_backbone_is_named(change: dict[str, object], names: str) -> None:
    other = SdAdapter(replace(_tiny_adapter().config, **change))
    with pytest.raises(WeightsError, match=f"trained for another backbone .{names}"):
        StablePrior(load_backbone(backbone_entry("tiny-sd"), CPU), other)


def test_number_formats_by_device(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert precision(torch.device("cuda")) == (torch.bfloat16, torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert precision(torch.device("cuda")) == (torch.float16, torch.float32)
    assert precision(torch.device("mps")) == (torch.float16, torch.float32)
    assert precision(CPU) == (torch.float32, torch.float32)


# ---------------------------------------------------------------- training


@pytest.mark.usefixtures("small", "table")
def test_an_adapter_is_trained_packed_and_used(
    photos: Path,  # noqa: F811
    tmp_path: Path,
    tiny_checkpoint: Path,
    monkeypatch,
) -> None:
    from ssr_cli.training import stage_adapter

    default = stage_adapter.AdapterConfig
    monkeypatch.setattr(
        stage_adapter,
        "AdapterConfig",
        lambda **given: default(**{"width": (8, 12), **given, "conditions": TINY.amf.pyramid}),
    )
    monkeypatch.setattr("ssr_cli.models.adapter.AdapterConfig.conditions", TINY.amf.pyramid)
    given = {"backbone": "tiny-sd", "suite": str(tiny_checkpoint)}
    with pytest.raises(UsageError, match="needs a backbone"):
        _train(_options("sd-adapter", photos, tmp_path))
    said = _train(_options("sd-adapter", photos, tmp_path, **given))
    assert any("sd-adapter validation step 3" in line for line in said)
    state = load_average(state_file(_options("sd-adapter", photos, tmp_path), "sd-adapter"))
    assert float(state["middle.weight"].abs().max()) > 0  # it has begun to speak
    assert state["prompt"].shape == (1, 77, 16)
    target = tmp_path / "out" / "mine.safetensors"
    _train(_options("pack", photos, tmp_path, pack_to=target, **given))
    packed = load_checkpoint(str(target))
    assert packed.config["backbone"] == "tiny-sd"
    assert json.loads(json.dumps(packed.provenance))["stages"]["sd-adapter"]["steps"] == 4
    models = assemble(str(target), CPU)
    result = upscale(Photo(torch.rand(3, 16, 16)), models, UpscaleOptions(device="cpu"))
    assert result.photo.rgb.shape == (3, 64, 64)
    with pytest.raises(WeightsError, match="no state"):
        _train(_options("pack", photos, tmp_path / "empty", pack_to=target, **given))


def test_stages_are_listed() -> None:
    assert "sd-adapter" in run.STAGES
