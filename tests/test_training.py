"""Training: every stage learns, resumes exactly, survives a failed save, and packs into a checkpoint that loads."""

from __future__ import annotations

import contextlib
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from ssr_cli.errors import InputError, UsageError, WeightsError
from ssr_cli.evaluation.metrics import depth_edges
from ssr_cli.models.amf import Fused
from ssr_cli.models.opinion import in_units_of
from ssr_cli.suite import load_models
from ssr_cli.synthesis.spoil import spoil_batch
from ssr_cli.training import loop, pool, run, shards, stage_depth, stage_joint, stage_restorer, worlds
from ssr_cli.training.given_depth import given_depth
from ssr_cli.training.loop import load_average, state_file
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.stage_distil import DistilStage
from ssr_cli.training.stage_flow import FlowStage
from ssr_cli.training.stage_refiner import RefinerStage, refined_errors
from ssr_cli.training.stage_restorer import RestorerStage
from ssr_cli.training.stage_svkr import SvkrStage
from ssr_cli.weights import load_checkpoint
from tests.conftest import TINY, NoisePool, tiny_suite


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Three textured photos with a manifest."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    with (folder / "MANIFEST.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "source_repo", "source_path", "licence_as_stated"))
        for i in range(3):
            coarse = Image.fromarray(rng.integers(0, 256, (40 + 30 * i, 50, 3), dtype=np.uint8))
            coarse.resize((520, 512), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
            writer.writerow((f"{i}.png", "made/here", f"{i}.png", "CC0"))
    return folder


@pytest.fixture
def small(monkeypatch) -> None:
    """Tiny networks, small photos, two scenes a shard and no second process."""
    monkeypatch.setattr(run, "SuiteConfig", lambda: TINY)
    monkeypatch.setattr(pool, "_SIZE", 128)
    monkeypatch.setattr(run, "SHARD", 3)
    monkeypatch.setattr(worlds, "SIDE", 32)
    monkeypatch.setattr(stage_depth, "SHARD", 6)
    monkeypatch.setattr(stage_depth, "_HELD_OUT", 2)
    pool.load_photo.cache_clear()

    class Here:
        def __init__(self, count: int) -> None: ...
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        imap_unordered = staticmethod(map)

    monkeypatch.setattr(shards.mp, "get_context", lambda kind: type("Context", (), {"Pool": Here}))
    yield
    pool.load_photo.cache_clear()


def _options(stage: str, photos: Path, out: Path, **more: object) -> TrainOptions:
    given = {"steps": 4, "batch": 2, "crop": 16, "scenes": 6, "device": "cpu", "validate_every": 3}
    return TrainOptions(stage=stage, photos=(photos,), out=out, **{**given, **more})


def _train(options: TrainOptions) -> list[str]:
    said: list[str] = []
    run.train_stage(options, said.append)
    return said


STAGES = ("depth", "svkr", "refiner", "restorer", "flow")


@pytest.mark.usefixtures("small")
def test_all_stages_then_pack_then_load(photos: Path, tmp_path: Path) -> None:
    for stage in STAGES:
        said = _train(_options(stage, photos, tmp_path))
        assert any("validation step 3" in line for line in said)
        assert any(f"{stage} final step 4" in line for line in said)
    target = tmp_path / "out" / "mine.safetensors"
    _train(_options("pack", photos, tmp_path, pack_to=target))
    checkpoint = load_checkpoint(str(target))
    models = load_models(checkpoint, torch.device("cpu"))
    trained = load_average(state_file(_options("svkr", photos, tmp_path), "svkr"))
    packed = models.suite.svkr.state_dict()
    assert all(torch.allclose(packed[k], trained[k], atol=1e-3) for k in trained)
    assert checkpoint.provenance["licence"] == "CC-BY-SA-4.0"
    assert checkpoint.provenance["stages"]["flow"]["steps"] == 4
    listed = (tmp_path / "out" / "mine.ATTRIBUTION.csv").read_text().splitlines()
    assert len(listed) == 4
    assert listed[1] == "made/here,0.png,CC0"


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("stage", [*STAGES, "flow with critic", "joint", "distil"])
def test_resuming_gives_what_never_stopping_gives(stage: str, photos: Path, tmp_path: Path, monkeypatch) -> None:
    more = {"adversarial": 0.1} if "critic" in stage else {}
    stage = stage.split()[0]
    order = (*STAGES, "joint" if stage == "joint" else "distil")
    for needed in order[: order.index(stage)]:
        for folder in ("whole", "parts"):
            _train(_options(needed, photos, tmp_path / folder, steps=1))
    _train(_options(stage, photos, tmp_path / "whole", **more))

    class Stopped(Exception):
        pass

    real = loop.update_average

    def stop_at_two(average, model, step):
        if step == 2:
            raise Stopped
        real(average, model, step)

    monkeypatch.setattr(loop, "_SAVE_EVERY_S", -1.0)
    monkeypatch.setattr(loop, "update_average", stop_at_two)
    with pytest.raises(Stopped):
        _train(_options(stage, photos, tmp_path / "parts", **more))
    monkeypatch.setattr(loop, "update_average", real)
    said = _train(_options(stage, photos, tmp_path / "parts", **more))
    assert any("resumed at step 2" in line for line in said)
    whole, parts = (load_average(tmp_path / f / f"{stage}.pt") for f in ("whole", "parts"))
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


@pytest.mark.usefixtures("small")
def test_a_failed_save_keeps_the_old_state(photos: Path, tmp_path: Path, monkeypatch) -> None:
    _train(_options("svkr", photos, tmp_path, steps=1))
    before = (tmp_path / "svkr.pt").read_bytes()

    def half(state, path):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.torch, "save", half)
    with pytest.raises(OSError, match="No space"):
        _train(_options("svkr", photos, tmp_path, steps=2))
    assert (tmp_path / "svkr.pt").read_bytes() == before


@pytest.mark.usefixtures("small")
def test_training_lowers_the_loss(photos: Path, tmp_path: Path) -> None:
    """On the three scenes it sees, a hundred steps must beat the untrained net clearly."""
    options = _options("svkr", photos, tmp_path, steps=120, batch=4, learning_rate=2e-3)
    device = torch.device("cpu")
    untrained = run.build_stage(options, device, print)
    run.train_stage(options, lambda line: None)
    trained = run.build_stage(options, device, print)
    trained.trained.load_state_dict(load_average(tmp_path / "svkr.pt"))
    with torch.no_grad():
        before, after = (sum(float(s.loss(i)[0]) for i in range(900, 908)) for s in (untrained, trained))
    assert after < 0.6 * before


@pytest.mark.usefixtures("small")
def test_a_stage_can_begin_from_a_checkpoint(photos: Path, tmp_path: Path, tiny_checkpoint: Path) -> None:
    """The restorer without any earlier stage of its own run: all of them come from the checkpoint."""
    options = _options("restorer", photos, tmp_path, init=str(tiny_checkpoint))
    stage = run.build_stage(options, torch.device("cpu"), print)
    given = load_checkpoint(str(tiny_checkpoint)).state
    begun = stage.trained.state_dict()
    assert all(torch.equal(begun[k], given[k]) for k in begun)
    run.train_stage(replace(options, steps=1), lambda line: None)
    moved = load_average(tmp_path / "restorer.pt")
    assert any(not torch.equal(moved[k], given[k]) for k in moved)
    again = run.load_suite(options, torch.device("cpu"), ("restorer",))
    assert all(torch.equal(v, moved[k]) for k, v in again.restoration.state_dict().items())


@pytest.mark.usefixtures("small")
def test_a_non_finite_batch_is_skipped(photos: Path, tmp_path: Path, monkeypatch) -> None:
    options = _options("svkr", photos, tmp_path, steps=3)
    stage = run.build_stage(options, torch.device("cpu"), print)
    real = stage.loss

    def poisoned(step):
        loss, figures = real(step)
        return (loss * float("nan") if step == 1 else loss), figures

    monkeypatch.setattr(stage, "loss", poisoned)
    loop.train(stage, options, torch.device("cpu"), lambda line: None)
    assert all(bool(v.isfinite().all()) for v in load_average(tmp_path / "svkr.pt").values())


@pytest.mark.usefixtures("small")
def test_what_is_missing_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no stage 'sweep'"):
        _train(_options("sweep", photos, tmp_path))
    with pytest.raises(WeightsError, match="svkr stage has no state"):
        _train(_options("restorer", photos, tmp_path))
    with pytest.raises(InputError, match="No training photos"):
        _train(_options("svkr", tmp_path / "nowhere", tmp_path))
    with pytest.raises(UsageError, match="needs a target"):
        _train(_options("pack", photos, tmp_path))


@pytest.mark.usefixtures("small")
def test_packing_without_a_manifest_is_refused(photos: Path, tmp_path: Path) -> None:
    for stage in STAGES:
        _train(_options(stage, photos, tmp_path, steps=1))
    bare = tmp_path / "bare"
    bare.mkdir()
    Image.new("RGB", (512, 512)).save(bare / "a.png")
    options = replace(_options("pack", photos, tmp_path, pack_to=tmp_path / "a.safetensors"), photos=(bare,))
    with pytest.raises(UsageError, match=r"MANIFEST\.csv"):
        run.train_stage(options, print)


@pytest.mark.usefixtures("small")
def test_packing_keeps_the_asked_share_of_what_was_begun_from(photos: Path, tmp_path: Path) -> None:
    for stage in STAGES:
        _train(_options(stage, photos, tmp_path, steps=1))
    first = tmp_path / "first.safetensors"
    _train(_options("pack", photos, tmp_path, pack_to=first))
    on, target = tmp_path / "on", tmp_path / "mixed.safetensors"
    _train(_options("flow", photos, on, init=str(first), learning_rate=3.0))
    _train(_options("pack", photos, on, init=str(first), pack_to=target, keep=("flow=0.25",)))
    old, learnt = load_checkpoint(str(first)).state, load_average(on / "flow.pt")
    mixed = load_checkpoint(str(target))
    for name, new in learnt.items():
        assert torch.allclose(mixed.state[f"flow.{name}"], 0.25 * old[f"flow.{name}"] + 0.75 * new, atol=1e-3)
    assert any((old[f"flow.{name}"] - new).abs().max() > 0.01 for name, new in learnt.items())
    assert all(torch.equal(mixed.state[name], old[name]) for name in old if not name.startswith("flow."))
    assert mixed.provenance["stages"]["flow"]["share_of_begun_from"] == 0.25


@pytest.mark.usefixtures("small")
def test_what_is_trained_together_is_packed_as_the_parts_it_is_of(photos: Path, tmp_path: Path) -> None:
    for stage in STAGES:
        _train(_options(stage, photos, tmp_path, steps=1))
    first, target = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    _train(_options("pack", photos, tmp_path, pack_to=first))
    on = tmp_path / "on"
    _train(_options("joint", photos, on, init=str(first), learning_rate=1.0))
    _train(_options("pack", photos, on, init=str(first), pack_to=target, keep=("joint=0.25",)))
    old, learnt, mixed = load_checkpoint(str(first)).state, load_average(on / "joint.pt"), load_checkpoint(str(target))
    assert {name.split(".")[0] for name in learnt} == {"amf", "restorer", "flow"}
    for name, new in learnt.items():
        assert torch.allclose(mixed.state[name], 0.25 * old[name] + 0.75 * new, atol=1e-3), name
    for part in ("amf", "restorer", "flow"):
        assert any((old[k] - v).abs().max() > 0.01 for k, v in learnt.items() if k.startswith(part)), part
    assert all(torch.equal(mixed.state[name], old[name]) for name in old if name not in learnt)
    said = mixed.provenance["stages"]["joint"]
    assert (said["steps"], said["share_of_begun_from"]) == (4, {"joint": 0.25})


@pytest.mark.usefixtures("small")
def test_together_the_flow_reaches_what_the_restorer_sees_and_not_the_mean(
    photos: Path, tmp_path: Path, tiny_checkpoint: Path, monkeypatch
) -> None:
    monkeypatch.setattr(stage_joint, "_MEAN", 0.0)
    options = _options("joint", photos, tmp_path, init=str(tiny_checkpoint))
    stage = run.build_stage(options, torch.device("cpu"), print)
    stage.loss(0)[0].backward()
    learnt = {name: p.grad for name, p in stage.trained.named_parameters() if p.grad is not None}
    largest = {name: float(grad.abs().max()) for name, grad in learnt.items()}
    assert largest["restorer.head.weight"] == 0
    assert all(largest[name] > 1e-6 for name in ("amf.photo.0.weight", "restorer.net.stem.weight", "flow.head.weight"))


def test_what_is_hedged_afterwards_is_what_the_restorer_hedges() -> None:
    suite = tiny_suite()
    fused = Fused([torch.rand(2, 6, 16 >> i, 16 >> i) for i in range(3)], torch.rand(2, 3, 16, 16))
    y, guess, processed = torch.rand(2, 3, 16, 16), torch.rand(2, 1, 64, 64), torch.tensor([0.2, 1.0])
    told, untold = (suite.restorer(y, fused, guess, p)[0] for p in (processed, None))
    assert torch.allclose(suite.restorer.hedged(y, untold, processed), told, atol=1e-6)
    assert float((told - untold).detach().abs().max()) > 1e-3


@pytest.mark.parametrize("said", ["flow", "flow=x", "flow=2", "niqe=0.5"])
def test_a_share_that_says_nothing_is_refused(said: str, tmp_path: Path) -> None:
    options = TrainOptions("pack", out=tmp_path, init="lite", pack_to=tmp_path / "a.safetensors", keep=(said,))
    with pytest.raises(UsageError, match="nothing to keep"):
        run.train_stage(options, print)
    with pytest.raises(UsageError, match="no weights to keep"):
        run.train_stage(replace(options, init=None), print)


def test_an_adapter_keeps_no_share(tmp_path: Path) -> None:
    options = TrainOptions("pack", out=tmp_path, pack_to=tmp_path / "a.safetensors", backbone="sd", keep=("flow=0.5",))
    with pytest.raises(UsageError, match="adapter"):
        run.train_stage(options, print)


@pytest.mark.usefixtures("small")
def test_the_pool_is_rendered_once_and_cropped_by_the_seed(photos: Path, tmp_path: Path) -> None:
    options = _options("scenes", photos, tmp_path)
    device = torch.device("cpu")
    first = run.load_pool(options, device, lambda line: None)
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "scenes").iterdir()}
    assert len(stamps) == 2
    again = run.load_pool(options, device, lambda line: None)
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "scenes").iterdir()}
    assert {int(i) for kind in first.scenes for i in kind} == {0, 1, 2}
    assert {int(i) for kind in first.kept for i in kind} == {3, 4, 5}
    a, b, c = first.crops(4, 8, (1, 2)), again.crops(4, 8, (1, 2)), first.crops(4, 8, (1, 3))
    assert torch.equal(a.hr, b.hr)
    assert not torch.equal(a.hr, c.hr)
    assert a.hr.shape == (4, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        exact = first.crops(4, 8, (1, 2))
    assert torch.equal(exact.hr, a.hr)
    assert torch.equal(exact.lr, a.lr)
    assert a.code.shape == (4, 24, 8, 8)
    assert a.gain.shape == (4, 2)
    assert a.processed.shape == (4,)
    assert torch.equal(a.lr, b.lr)
    assert torch.equal(first.crops(4, 8, (1, 2)).clean, a.clean)
    assert not torch.equal(a.lr, a.clean)


@pytest.mark.usefixtures("small")
def test_the_share_of_processed_photos_is_as_asked_and_validation_keeps_its_own(photos: Path, tmp_path: Path) -> None:
    pools = [
        run.load_pool(_options("scenes", photos, tmp_path, processed=p), torch.device("cpu"), print) for p in (0.0, 1.0)
    ]
    none, all_ = (torch.cat([pool.crops(8, 16, (1, i)).processed for i in range(6)]) for pool in pools)
    assert float(none.max()) <= 0.8  # 0 of raw ones, 0.7 of edited ones, or something less sure of either
    assert float(all_.min()) >= 0.5
    assert 0.4 < float((all_ == 1).float().mean()) < 0.8
    assert 0.2 < float((none == 0).float().mean()) < 0.6
    assert 0.1 < float((none == 0.7).float().mean()) < 0.5
    first, second = (pool.crops(8, 16, (1, 0), validation=True) for pool in pools)
    optical = run.load_pool(_options("scenes", photos, tmp_path, optical=True), torch.device("cpu"), print)
    assert float(torch.cat([optical.crops(8, 16, (1, i)).processed for i in range(6)]).max()) <= 0.5
    assert {folder.name for folder in tmp_path.glob("scenes*")} == {"scenes", "scenes-optical"}
    assert torch.equal(first.lr, second.lr)
    assert {round(p, 3) for p in first.processed.tolist()} <= {0.0, 0.7, 1.0}


@pytest.mark.usefixtures("small")
def test_of_two_places_a_camera_is_often_focused_on_the_first(photos: Path, tmp_path: Path) -> None:
    """Crops of cameras' scenes are sharper than places drawn without looking; those of others are not."""
    pool_ = run.load_pool(_options("scenes", photos, tmp_path), torch.device("cpu"), print)
    pool_.variance[:] = np.linspace(1, 9, pool_.variance.shape[-1])  # sharp on the left

    def median(camera: bool) -> float:
        rng = np.random.default_rng(4)
        return float(np.median([pool_._place(4, camera, False, rng)[2] for _ in range(400)]))

    assert median(True) < 0.8 * median(False)


@pytest.mark.usefixtures("small")
def test_a_steady_pool_takes_of_cameras_what_one_kernel_blurred(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    run.load_pool(_options("scenes", photos, tmp_path), torch.device("cpu"), print)
    files = sorted(folder.iterdir())
    parts = [load_file(file) for file in files]
    for part in parts:
        part["camera"][:] = torch.tensor([False, True, True])
        part["covariance"][:2] = 4.0
        part["covariance"][2] = torch.linspace(1, 9, part["covariance"].shape[-1], dtype=torch.half)
    for file, part in zip(files, parts, strict=True):
        save_file(part, file)
    anywhere, steady = (pool.ScenePool(files, 3, torch.device("cpu"), steady=steady) for steady in (False, True))
    assert [kind.tolist() for kind in anywhere.scenes] == [[0], [1, 2]]
    assert [kind.tolist() for kind in steady.scenes] == [[0], [1]]
    assert [kind.tolist() for kind in steady.kept] == [[3], [4]]


class _LowerIsNearer(torch.nn.Module):
    """A depth net that does not look."""

    def estimate(self, rgb: torch.Tensor) -> torch.Tensor:
        return torch.linspace(0.2, 0.6, rgb.shape[-2]).view(1, 1, -1, 1).expand(1, 1, *rgb.shape[-2:])


@pytest.mark.usefixtures("small")
def test_svkr_is_given_the_lite_nets_depth_half_of_the_time(photos: Path, tmp_path: Path) -> None:
    pool_ = run.load_pool(_options("scenes", photos, tmp_path), torch.device("cpu"), print)
    pool_.estimate_depth(_LowerIsNearer())  # type: ignore[arg-type]
    from_net = 0
    for i in range(8):
        crops = pool_.crops(8, 16, (1, i))
        assert float((crops.estimated - crops.estimated[..., :1]).abs().max()) < 1e-3
        given, truth = given_depth(crops, (3, i))
        own = (given == crops.estimated).flatten(1).all(1)
        assert torch.equal(truth[own], crops.fitted[own])
        from_net += int(own.sum())
    assert 20 < from_net < 44


def test_true_depth_in_an_estimates_units_keeps_its_order_and_has_its_mean_and_spread() -> None:
    torch.manual_seed(0)
    truth, estimate = torch.rand(3, 1, 20, 20), 0.4 + 0.1 * torch.rand(3, 1, 20, 20)
    fitted = in_units_of(estimate, truth)
    assert torch.allclose(fitted.mean((1, 2, 3)), estimate.mean((1, 2, 3)), atol=1e-5)
    assert torch.allclose(fitted.std((1, 2, 3)), estimate.std((1, 2, 3)), atol=1e-5)
    assert torch.equal(fitted.flatten(1).argsort(1), truth.flatten(1).argsort(1))
    flat = in_units_of(estimate[:1, :, :8, :8], torch.full((1, 1, 8, 8), 0.9))
    assert torch.allclose(flat, estimate[:1, :, :8, :8].mean().expand_as(flat), atol=1e-5)


@pytest.mark.usefixtures("small")
def test_the_kernels_gate_is_taught_to_follow_the_blur(photos: Path, tmp_path: Path, monkeypatch) -> None:
    """With nothing else in the loss, the gate ends nearer to the blur's share than it began."""
    monkeypatch.setattr(stage_restorer, "_GATES", 1000.0)
    monkeypatch.setattr(loop, "_LOG_EVERY", 1)
    _train(_options("svkr", photos, tmp_path, steps=1))
    lines = _train(_options("restorer", photos, tmp_path, steps=60, learning_rate=2e-3))
    gates = [float(line.split("gates ")[1].split()[0]) for line in lines if " gates " in line]
    assert sum(gates[-5:]) < 0.5 * sum(gates[:5])


def test_spoiled_depth_is_wrong_but_in_the_same_units() -> None:
    depth = torch.rand(40, 1, 4, 4)
    depth = torch.nn.functional.interpolate(depth, size=(24, 24), mode="bilinear").clamp(0, 1)
    given, truth = spoil_batch(depth, (1, 2))
    again, _ = spoil_batch(depth, (1, 2))
    assert torch.equal(given, again)
    assert given.shape == truth.shape == depth.shape
    assert 0 <= float(given.min()) <= float(given.max()) <= 1
    for i in range(40):  # the truth is an affine change of the depth
        pair = torch.stack([truth[i].flatten(), depth[i].flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) > 0.999
    assert 0.02 < float((given - truth).abs().mean()) < 0.3


def test_the_schedule_warms_up_and_ends_low() -> None:
    rates = [loop.learning_rate(1.0, step / 1000, step) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01, rel=0.01)
    assert max(rates) == pytest.approx(0.98, abs=0.02)
    assert rates[-1] == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("stage", ["svkr", "refiner", "restorer", "flow", "distil"])
def test_a_step_stays_on_its_device(stage: str, monkeypatch) -> None:
    """What runs on "meta" without mixing devices runs on CUDA; autocast does not know that device."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    suite = tiny_suite().to("meta")
    options = TrainOptions(stage=stage, batch=2, crop=16)
    made = {
        "svkr": lambda: SvkrStage(suite.svkr, NoisePool("meta"), options),
        "refiner": lambda: RefinerStage(suite.svkr, NoisePool("meta"), options),
        "restorer": lambda: RestorerStage(suite, NoisePool("meta"), options),
        "flow": lambda: FlowStage(suite, NoisePool("meta"), options),
        "distil": lambda: DistilStage(suite, tiny_suite().to("meta"), NoisePool("meta"), options),
    }[stage]()
    loss, _ = made.loss(0)
    loss.backward()
    assert loss.device.type == "meta"
    assert all(p.grad is None or p.grad.device.type == "meta" for p in made.trained.parameters())


@pytest.mark.usefixtures("small")
def test_compiling_reaches_every_network(photos: Path, tmp_path: Path, monkeypatch) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: compiled.append(type(self).__name__))
    for stage in STAGES:
        _train(_options(stage, photos, tmp_path, steps=1, compile=True))
    assert {"DepthNet", "UNet", "Refinement", "Amf", "Restorer", "Flow"} <= set(compiled)


def test_the_module_takes_every_option_of_the_command() -> None:
    from dataclasses import fields

    from ssr_cli.training.__main__ import _parser

    given = vars(_parser().parse_args(["--stage", "depth"]))
    defaults = TrainOptions("depth")
    for field in fields(TrainOptions):
        value = given[field.name]
        assert (tuple(value) if field.name == "photos" else value) == getattr(defaults, field.name), field.name


def test_svkr_and_its_refiner_learn_apart() -> None:
    suite = tiny_suite()
    refiner, every = set(suite.svkr.refiner.parameters()), set(suite.svkr.parameters())
    SvkrStage(suite.svkr, NoisePool("meta"), TrainOptions(stage="svkr"))
    assert {p for p in every if p.requires_grad} == every - refiner
    RefinerStage(suite.svkr, NoisePool("meta"), TrainOptions(stage="refiner"))
    assert {p for p in every if p.requires_grad} == refiner


def _means(depth: torch.Tensor, truth: torch.Tensor) -> list[float]:
    return [float(error.mean()) for error in refined_errors(depth, truth).values()]


def test_errors_of_depth_do_not_know_its_units() -> None:
    torch.manual_seed(0)
    truth = F.interpolate(torch.rand(4, 1, 6, 6), size=(96, 96), mode="nearest")
    given = truth + 0.1 * F.interpolate(torch.rand(4, 1, 4, 4), size=(96, 96), mode="bilinear")
    errors = _means(given, truth)
    scale, shift = (torch.tensor(v).view(-1, 1, 1, 1) for v in ([0.7, 0.8, 1.0, 2.0], [0.3, 0.0, -0.4, 0.1]))
    assert _means(scale * given + shift, truth) == pytest.approx(errors, rel=0.02)
    assert all(error < 0.02 for error in _means(0.7 * truth + 0.1, truth))
    soft = F.avg_pool2d(F.pad(truth, (2, 2, 2, 2), mode="replicate"), 5, 1)
    error, beside, _ = _means(soft, truth)
    assert beside > 1.2 * error  # it is wrong at outlines, and only there
    flat = _means(torch.full_like(truth, 0.5), truth)
    assert flat[2] == pytest.approx(1, abs=0.02)  # all of its variance
    assert flat[0] == pytest.approx(0.86, abs=0.1)  # of uniform values: the mean distance over the spread


def test_outlines_are_where_the_bench_looks_for_them() -> None:
    torch.manual_seed(0)
    truth = F.interpolate(torch.rand(3, 1, 3, 3), size=(48, 48), mode="nearest")
    truth[2] = 0.4
    beside = depth_edges(truth)
    for found, depth in zip(beside, truth, strict=True):
        judged = depth_edges(depth[0])
        assert torch.equal(found[0], judged)
        assert not bool((found[0].bool() & ~judged).any())
        assert float((found[0].bool() ^ judged).float().mean()) < 0.1
    assert not bool(beside[2].any())
