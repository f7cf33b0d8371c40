"""Pairs, rows, tables and rendered defocus, on tiny photos and with a stand-in for the models."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ssr_cli import cli
from ssr_cli.commands import bench
from ssr_cli.errors import InputError, OutputError, SsrError, UsageError
from ssr_cli.evaluation import benchmark, given_depths, kernel_errors, scenes, selfcheck, synthetic
from ssr_cli.evaluation.measuring import Measured, measure
from ssr_cli.evaluation.metrics import psnr_y
from ssr_cli.evaluation.pairs import Pair, find_pairs, result_for
from ssr_cli.evaluation.rows import markdown, means, row_writer
from ssr_cli.evaluation.variants import our_options
from ssr_cli.frames import Analysis, DepthMap, KernelField, Photo, Round, ThinLens, Upscaled
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.settings import UpscaleOptions
from ssr_cli.synthesis.render import render
from ssr_cli.synthesis.scene import Layer, LocalKernels


class Recorder:
    """A console that keeps what it is given."""

    def __init__(self) -> None:
        self.tables: list[tuple[str, list[str], list[list[str]]]] = []
        self.advanced = 0

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self.tables.append((title, list(columns), [list(row) for row in rows]))

    @contextmanager
    def progress(self, title: str) -> Iterator[Callable[[str, int, int], None]]:
        def tell(what: str, done: int, total: int) -> None:
            assert 0 <= done < total
            self.advanced += 1

        yield tell


def _console() -> Any:
    return Recorder()


OPTIONS = UpscaleOptions(device="cpu")
MODELS: Any = object()  # the stand-in below does not look at them


def _save(path: Path, rgb: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((rgb * 255).round().byte().permute(1, 2, 0).numpy()).save(path)


def _noise(size: int, seed: int) -> Tensor:
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "views"
    for i, name in enumerate(("b", "a")):
        _save(folder / "LR" / f"{name}.png", _noise(8, i))
        _save(folder / "HR" / f"{name}.png", _noise(32, 10 + i))
    return folder


def _analysis(h: int, w: int, sigmas: Sequence[float], depth: Tensor) -> Analysis:
    def turn(sigma: float) -> Round:
        covariance = torch.tensor([sigma**2, sigma**2, 0.0])[:, None, None].expand(3, h, w)
        field = KernelField(torch.full((63, h, w), 1 / 63), covariance, torch.zeros(h, w), torch.zeros(h, w), 4)
        return Round(field, DepthMap(depth), ThinLens(0.0, 0.0, 0.0))

    return Analysis(DepthMap(-depth), tuple(turn(sigma) for sigma in sigmas))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replace the models by repetition of pixels; gives the steps of every call."""
    steps: list[int] = []

    def fake(rgb: Tensor, models: Any, options: UpscaleOptions, depth: DepthMap | None = None) -> Measured:
        steps.append(options.steps)
        large = rgb.repeat_interleave(4, -1).repeat_interleave(4, -2)
        h, w = rgb.shape[-2:]
        ramp = torch.linspace(0, 1, h)[:, None].expand(h, w)
        upscaled = Upscaled(Photo(large), _analysis(h, w, [2.0, 1.0], ramp), None, None)
        return Measured(large, 0.25, 100.0, 40.0, upscaled)

    monkeypatch.setattr(benchmark, "measure", fake)
    monkeypatch.setattr(benchmark, "_timed", lambda models: {})
    monkeypatch.setattr(synthetic, "measure", fake)
    monkeypatch.setattr(synthetic, "held_out_rounds", lambda *_: [{"held_out_db": 30.0 + t} for t in range(2)])
    return steps


# ---------------------------------------------------------------- pairs


def test_pairs_are_found_in_order(pairs_folder: Path) -> None:
    assert [(p.folder, p.name) for p in find_pairs(pairs_folder)] == [("views", "a"), ("views", "b")]


def test_a_photo_without_partner_is_named(pairs_folder: Path) -> None:
    (pairs_folder / "HR" / "a.png").unlink()
    with pytest.raises(InputError, match="a has no partner in .*HR"):
        find_pairs(pairs_folder)


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="LR cannot be read"):
        find_pairs(tmp_path)
    (tmp_path / "LR").mkdir()
    (tmp_path / "HR").mkdir()
    with pytest.raises(InputError, match="no photos"):
        find_pairs(tmp_path)


def test_photos_that_differ_only_in_suffix_are_refused(pairs_folder: Path) -> None:
    _save(pairs_folder / "LR" / "a.jpg", _noise(8, 0))
    with pytest.raises(InputError, match="differ only in suffix"):
        find_pairs(pairs_folder)


@pytest.mark.parametrize("name", ["a.png", "a_x4.png", "a_out.jpg", "views/a_SR.png"])
def test_results_are_found_under_the_usual_names(tmp_path: Path, name: str) -> None:
    _save(tmp_path / name, _noise(8, 0))
    _save((tmp_path / name).with_name("a_b_x4.png"), _noise(8, 0))  # belongs to another pair
    assert result_for(Pair("views", "a", Path(), Path()), tmp_path) == tmp_path / name


def test_missing_and_ambiguous_results_are_named(tmp_path: Path) -> None:
    pair = Pair("views", "a", Path(), Path())
    with pytest.raises(InputError, match="no result for a"):
        result_for(pair, tmp_path)
    _save(tmp_path / "a_x4.png", _noise(8, 0))
    _save(tmp_path / "a_out.png", _noise(8, 0))
    with pytest.raises(InputError, match="more than one"):
        result_for(pair, tmp_path)


# ---------------------------------------------------------------- rows of pairs


def test_bicubic_is_pillows_on_the_file(pairs_folder: Path) -> None:
    lr = Image.open(pairs_folder / "LR" / "a.png")
    expected = np.asarray(lr.resize((32, 32), Image.Resampling.BICUBIC))
    pixels = torch.from_numpy(np.array(lr)).permute(2, 0, 1) / 255
    seen = benchmark.bicubic(pixels, (32, 32))
    assert np.array_equal((seen * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_rows_tables_and_lines(pairs_folder: Path, tmp_path: Path, calls: list[int]) -> None:
    console, lines = _console(), tmp_path / "rows.jsonl"
    for name in ("a", "b"):
        hr = Image.open(pairs_folder / "HR" / f"{name}.png")
        (tmp_path / "theirs").mkdir(exist_ok=True)
        hr.save(tmp_path / "theirs" / f"{name}_x4.png")
    rows = benchmark.score_pairs(
        [pairs_folder], MODELS, OPTIONS, None, None, console, {"perfect": tmp_path / "theirs"}, lines
    )
    methods = ["bicubic", "ssr", "ssr, 0 steps", "perfect", "truth"]
    assert [(r["image"], r["method"]) for r in rows] == [(i, m) for i in "ab" for m in methods]
    assert calls == [OPTIONS.steps] + [OPTIONS.steps, 0] * 2  # one run to warm up
    assert console.advanced == 2
    perfect, ours = rows[3], rows[1]
    assert perfect["psnr_y"] == math.inf and perfect["ssim_y"] == pytest.approx(1.0) and perfect["seconds"] is None
    assert ours["seconds"] == 0.25 and ours["lpips"] is None
    title, columns, cells = console.tables[0]
    assert "views" in title and "2" in title and columns[0] == "method"
    assert [line[0] for line in cells] == methods
    pattern = (perfect["pattern_db"] + rows[8]["pattern_db"]) / 2
    assert cells[3][1:] == ["inf", "1.0000", "-", "-", f"{pattern:.1f}", "-", "-", "-"]
    assert perfect["pattern_db"] == rows[4]["pattern_db"] != ours["pattern_db"]
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(written) == 10 and written[3]["psnr_y"] is None and written[1] == ours


def test_figures_are_of_the_file_not_of_the_float() -> None:
    truth = torch.full((3, 16, 16), 100 / 255)
    judge = benchmark.Judge(None, torch.device("cpu"))
    assert judge.figures(truth + 0.4 / 255, truth)["psnr_y"] > 100
    clipped = judge.figures(torch.full_like(truth, 1.7), truth)
    assert clipped["psnr_y"] == pytest.approx(psnr_y(torch.ones_like(truth), truth))


def test_limit_counts_per_folder_and_no_models_means_no_rows_of_ours(pairs_folder: Path) -> None:
    rows = benchmark.score_pairs([pairs_folder, pairs_folder], None, OPTIONS, None, 1, _console())
    assert [(r["image"], r["method"]) for r in rows] == [("a", "bicubic"), ("a", "truth")] * 2


def test_zero_steps_give_one_row_of_ours() -> None:
    assert list(our_options(UpscaleOptions(steps=0))) == ["ssr, 0 steps"]


def test_a_wrong_scale_is_named(pairs_folder: Path) -> None:
    _save(pairs_folder / "HR" / "a.png", _noise(24, 1))
    with pytest.raises(InputError, match="24x24, not 4 times"):
        benchmark.score_pairs([pairs_folder], None, OPTIONS, None, None, _console())


def test_a_foreign_result_of_the_wrong_size_is_named(pairs_folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        _save(tmp_path / "theirs" / f"{name}.png", _noise(31, 1))
    with pytest.raises(InputError, match="theirs for a is 31x31"):
        benchmark.score_pairs([pairs_folder], None, OPTIONS, None, None, _console(), {"theirs": tmp_path / "theirs"})


def test_foreign_results_may_not_take_our_name(pairs_folder: Path) -> None:
    with pytest.raises(InputError, match="bicubic"):
        benchmark.score_pairs([pairs_folder], None, OPTIONS, None, None, _console(), {"bicubic": pairs_folder / "HR"})


def test_means_leave_out_what_was_not_measured() -> None:
    rows = [
        {"set": "s", "method": "m", "psnr_y": 20.0, "lpips": None},
        {"set": "s", "method": "m", "psnr_y": 30.0, "lpips": 0.5},
        {"set": "s", "method": "n", "psnr_y": 1.0, "lpips": None},
    ]
    assert means(rows, ("psnr_y", "lpips")) == [
        {"set": "s", "method": "m", "count": 2, "psnr_y": 25.0, "lpips": 0.5},
        {"set": "s", "method": "n", "count": 1, "psnr_y": 1.0, "lpips": None},
    ]


def test_rows_are_strict_json_and_an_unwritable_file_is_named(tmp_path: Path) -> None:
    with row_writer(tmp_path / "rows.jsonl") as write:
        write({"a": math.inf, "b": [1.0, math.nan], "c": "x"})
    assert json.loads((tmp_path / "rows.jsonl").read_text()) == {"a": None, "b": [1.0, None], "c": "x"}
    with pytest.raises(OutputError, match="absent"), row_writer(tmp_path / "absent" / "rows.jsonl"):
        pass


# ---------------------------------------------------------------- synthetic sets


def test_crops_share_the_smallest_side_and_a_multiple_of_four() -> None:
    crops = scenes.square_crops([torch.zeros(3, 90, 70), torch.zeros(3, 80, 640)])
    assert [tuple(crop.shape) for crop in crops] == [(3, 68, 68)] * 2
    assert scenes.square_crops([torch.zeros(3, 900, 700)])[0].shape == (3, 512, 512)


@pytest.mark.parametrize("kind", scenes.SETS)
def test_scenes_follow_the_seed_and_know_their_truth(kind: str) -> None:
    crops = [_noise(64, i) for i in range(3)]
    scene, again, other = (scenes.SETS[kind](crops, 1, seed, 2 / 255) for seed in (5, 5, 6))
    truth = scene.truth
    assert torch.equal(truth.lr, again.truth.lr) and not torch.equal(truth.lr, other.truth.lr)
    assert truth.lr.shape == (3, 16, 16) and truth.hr.shape == (3, 64, 64) and truth.disparity.shape == (16, 16)
    torch.testing.assert_close(truth.lr * 255, (truth.lr * 255).round())
    assert float((scene.decode(truth.lr) - scene.clean).abs().mean()) < 0.02


def test_the_command_offers_every_set() -> None:
    from ssr_cli.commands.bench import ALL_SETS

    assert tuple(scenes.SETS) == ALL_SETS


def test_blocks_are_the_published_modes() -> None:
    """Variances reach from 0.175 s to 2.5 s; which axis grows where, and what turns, defines a mode."""
    rng = np.random.default_rng(0)
    assert scenes.block_axes(1, 0.0, 0.7, rng) == pytest.approx((10.0, 0.7, 0.0))
    assert scenes.block_axes(2, 0.0, 1.0, rng) == pytest.approx((10.0, 0.7, 0.0))
    assert scenes.block_axes(3, 0.5, 0.3, rng) == pytest.approx((10.0, 0.7, math.pi / 2))
    assert scenes.block_axes(4, 0.5, 0.0, rng) == pytest.approx((0.7, 5.35, math.pi / 2))
    drawn = [scenes.block_axes(5, 0, 0, rng) for _ in range(200)]
    assert all(0.7 <= v <= 10 and 0.7 <= u <= 10 and 0 <= angle < math.pi for v, u, angle in drawn)
    scene = scenes.SETS["blocks-3"]([_noise(120, 0)], 0, 0, 0.0)
    box = 1.25  # the sensor's, which these kernels are drawn without
    yy, xx, _ = scene.truth.covariance[:, 0, 0]
    assert float(xx) == pytest.approx(10 - box, abs=0.4)
    assert float(yy) == pytest.approx(0.7 - box, abs=0.2)


def test_sigma_error_is_zero_for_the_true_field_and_in_pixels() -> None:
    analysis = _analysis(4, 5, [2.0, 1.0], torch.rand(4, 5))
    true = torch.tensor([4.0, 4.0, 0.0])[:, None, None].expand(3, 4, 5)
    errors = [kernel_errors.sigma_error_px(turn.field.covariance, true) for turn in analysis.rounds]
    assert errors == pytest.approx([0.0, 1.0], abs=1e-6)


def test_shape_errors_are_ratios_and_degrees() -> None:
    def field(long: float, short: float, degrees: float) -> Tensor:
        phi = math.radians(degrees)
        c, s = math.cos(phi), math.sin(phi)
        xx, yy = (long * c) ** 2 + (short * s) ** 2, (long * s) ** 2 + (short * c) ** 2
        return torch.tensor([yy, xx, (long**2 - short**2) * s * c])[:, None, None].expand(3, 2, 2)

    errors = kernel_errors.shape_errors(field(3, 1, 170), field(2, 1, 10))
    assert errors["axis_ratio_error"] == pytest.approx(1.0, abs=1e-3)
    assert errors["angle_error_deg"] == pytest.approx(20.0, abs=1e-2)
    assert math.isnan(kernel_errors.shape_errors(field(3, 1, 0), field(2, 2, 0))["angle_error_deg"])
    sampled = kernel_errors.shape_errors(field(3, 1, 10), field(3, 0.3, 10))  # thinner than a pixel's box can tell
    assert math.isnan(sampled["axis_ratio_error"])
    assert sampled["angle_error_deg"] == pytest.approx(0.0, abs=1e-2)


def test_blur_errors_of_a_known_field() -> None:
    """The true weights explain the photograph wholly; the best single atom is the one that was used."""
    dictionary = default_dictionary()
    rgb = _noise(64, 3)
    layer = Layer(rgb, torch.ones(64, 64), torch.zeros(64, 64))
    atoms = dictionary.atoms[[5, 25]]
    weights = torch.zeros(2, 16, 16)
    weights[0, :, :8], weights[1, :, 8:] = 1, 1
    rendered = render([layer], lambda d: LocalKernels(atoms, weights), dictionary, lambda x: x)
    scene = scenes.Scene(rendered, rendered.lr, lambda x: x)
    whole = torch.zeros(63, 16, 16)
    whole[5], whole[25] = weights[0], weights[1]
    plane = torch.zeros(16, 16)
    errors = kernel_errors.blur_errors(KernelField(whole, rendered.covariance, plane, plane, 4), scene)
    assert errors["blur_error"] < 1e-4
    assert errors["blur_error_single"] > 0.05
    one = torch.zeros(63, 16, 16)
    one[5] = 1
    lone = kernel_errors.blur_errors(KernelField(one, rendered.covariance, plane, plane, 4), scene)
    assert lone["blur_error"] >= lone["blur_error_single"] - 1e-6


def test_synthetic_rows_and_rounds(tmp_path: Path, calls: list[int]) -> None:
    photos = [tmp_path / f"{i}.png" for i in range(2)]
    for i, path in enumerate(photos):
        _save(path, _noise(68, i))
    console, lines = _console(), tmp_path / "rows.jsonl"
    rows = synthetic.score_synthetic(
        photos, MODELS, OPTIONS, None, None, console, sets=("defocus", "single"), jsonl=lines
    )
    assert [r["method"] for r in rows] == ["bicubic", "ssr", "ssr, 0 steps"] * 4
    turns = rows[1]["rounds"]
    assert [t["round"] for t in turns] == [0, 1, 2]
    assert turns[0]["depth_spearman"] == pytest.approx(-turns[1]["depth_spearman"])
    assert [t.get("held_out_db") for t in turns] == [None, 30.0, 31.0]
    assert "depth_spearman" not in rows[-1]["rounds"][1]  # one photo at one depth has no order to get right
    titles = [title.split(":")[0] for title, _, _ in console.tables]
    assert titles == ["defocus", "single", *synthetic._ROUND_TABLES]
    kernels, held_out, depth = console.tables[2:]
    assert [line[:2] for line in kernels[2]] == [[kind, turn] for kind in ("defocus", "single") for turn in ("1", "2")]
    assert [line[:2] for line in depth[2]] == [["defocus", turn] for turn in ("before", "1", "2")]
    assert len(held_out[2]) == 4
    # every table fits a terminal
    for _, columns, cells in console.tables[2:]:
        assert sum(max(len(word) for word in c.split()) + 3 for c in columns) <= 80
        assert all(len(line) == len(columns) for line in cells)
    assert len(lines.read_text().splitlines()) == 12


def test_synthetic_sets_begin_with_the_depth_that_is_asked_for(tmp_path: Path, calls: list[int], monkeypatch) -> None:
    begun: list[DepthMap | None] = []
    fake = synthetic.measure

    def noting(rgb: Tensor, models: Any, options: UpscaleOptions, depth: DepthMap | None = None) -> Measured:
        begun.append(depth)
        return fake(rgb, models, options, depth)

    monkeypatch.setattr(synthetic, "measure", noting)
    _save(tmp_path / "0.png", _noise(68, 0))
    half = DepthMap(torch.full((17, 17), 0.5))
    for depth in (given_depths.own_estimate, given_depths.true_depth, given_depths.of_photo(lambda photo: half)):
        synthetic.score_synthetic(
            [tmp_path / "0.png"], MODELS, OPTIONS, None, None, _console(), sets=("defocus",), depth=depth
        )
    own, true, other = begun[1:3], begun[4:6], begun[7:9]  # after a run each to warm up
    assert own == [None, None]
    assert true[0] is not None and true[0] is true[1] and float(true[0].disparity.std()) > 0
    assert other == [half, half]


def test_every_fault_of_a_depth_is_the_one_it_is_named_after() -> None:
    assert tuple(given_depths.OF_SCENE) == bench.OF_SCENE
    scene = scenes.SETS["defocus"]([_noise(256, i) for i in range(3)], 0, 0, 0.0)
    true = scene.truth.disparity
    given = {name: depth_of(scene) for name, depth_of in given_depths.OF_SCENE.items()}
    again = {name: depth_of(scene) for name, depth_of in given_depths.OF_SCENE.items()}
    assert all(given[name] is not None and again[name] is not None for name in given)
    depths = {name: depth.disparity for name, depth in given.items() if depth is not None}
    assert all(torch.equal(depths[name], depth.disparity) for name, depth in again.items() if depth is not None)
    assert all(float(depth.min()) >= 0 and float(depth.max()) <= 1 for depth in depths.values())
    assert torch.equal(depths["true"], true)
    assert torch.equal(depths["wrong"], true.flip(-1))
    steepest = {name: float((depth[1:] - depth[:-1]).abs().max()) for name, depth in depths.items()}
    assert steepest["soft"] < 0.5 * steepest["true"]
    assert steepest["displaced"] > 0.5 * steepest["true"]
    error = {name: depth - true for name, depth in depths.items()}
    # what bends is slow and everywhere, what is soft or displaced is at the steps alone
    assert float((error["bent"].abs() > 0.02).float().mean()) > 0.5
    assert all(0.02 < float((error[name].abs() > 0.02).float().mean()) < 0.5 for name in ("soft", "displaced"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--depth", "true"], "No pair has a true depth"),
        (["--depth", "bent"], "No pair has a true depth"),
        (["--depth", "none", "--rgbd"], "--depth belongs to pairs and synthetic sets"),
        (["--depth", "map.png"], "map.png is the depth of one photo"),
        (["--confidence", "--kept"], "--kept and --confidence are two benches"),
        (["--confidence", "--synthetic"], "--confidence scores pairs of photos alone"),
        (["--confidence", "--ablate"], "--confidence scores pairs of photos alone"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: list[str], said: str, pairs_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["bench", str(pairs_folder), *words])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_synthetic_refuses_nothing_small_photos_other_scales_and_unknown_sets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photos"):
        synthetic.score_synthetic([], None, OPTIONS, None, None, _console())
    _save(tmp_path / "small.png", _noise(60, 0))
    with pytest.raises(InputError, match="small.png is too small"):
        synthetic.score_synthetic([tmp_path / "small.png"], None, OPTIONS, None, None, _console())
    with pytest.raises(UsageError, match="scale 4"):
        synthetic.score_synthetic([], None, UpscaleOptions(scale=3), None, None, _console())
    with pytest.raises(UsageError, match="no set 'rain'"):
        synthetic.score_synthetic([], None, OPTIONS, None, None, _console(), sets=("rain",))


# ---------------------------------------------------------------- checks, costs, ablations


def test_the_metrics_are_what_they_were_and_a_wrong_one_stops_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    selfcheck.check_metrics(None)
    real = selfcheck.ssim_y
    monkeypatch.setattr(selfcheck, "ssim_y", lambda a, b: real(a, b) + 0.001)
    with pytest.raises(SsrError, match=r"ssim_y .* no table|ssim_y of the reference pictures"):
        selfcheck.check_metrics(None)


def test_measuring_gives_time_memory_and_consistency(tiny_models) -> None:
    result = measure(_noise(16, 0), tiny_models, OPTIONS)
    assert result.rgb.shape == (3, 64, 64)
    assert result.seconds is not None and result.seconds > 0
    assert result.peak_mb is not None and 50 < result.peak_mb < 20_000
    assert result.consistency_db is not None and 5 < result.consistency_db < 120


def test_ablation_leaves_out_every_part_once(tmp_path: Path, calls: list[int]) -> None:
    rows = our_options(OPTIONS, ablate=True)
    assert len(set(map(repr, rows.values()))) == len(rows)  # no two rows are the same run
    assert {o.steps for o in rows.values()} == {0, 1, 2, 4, 8}
    assert any(o.consistency == "off" for o in rows.values())
    assert {o.ablation.rounds for o in rows.values()} == {None, 1}
    _save(tmp_path / "0.png", _noise(68, 0))
    scored = synthetic.score_synthetic(
        [tmp_path / "0.png"], MODELS, OPTIONS, None, None, _console(), sets=("defocus",), ablate=True
    )
    methods = [row["method"] for row in scored]
    assert methods == ["bicubic", *rows, synthetic.TRUE_DEPTH, synthetic.SPOILED_DEPTH]


def test_markdown_has_a_line_per_set_and_method() -> None:
    rows = [{"set": "s", "image": "a", "method": m, "psnr_y": 30.0 + i} for i, m in enumerate(("bicubic", "ssr"))]
    lines = markdown(rows).splitlines()
    assert len(lines) == 4
    assert lines[0].count("|") == lines[1].count("|") == lines[2].count("|")
    assert lines[3].startswith("| s | ssr | 31.00 | - |")
