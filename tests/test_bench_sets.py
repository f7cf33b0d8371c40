"""What the bench measures against: kernels from files, pixels kept back, measured depth, a yardstick of cost."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from ssr_cli.errors import InputError
from ssr_cli.evaluation import held_out, rgbd, scenes, synthetic
from ssr_cli.evaluation.benchmark import COMPACT, score_pairs
from ssr_cli.evaluation.compact import CompactBody, CompactTimer
from ssr_cli.evaluation.measured_kernels import centred, read_kernels
from ssr_cli.frames import KernelField
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.settings import UpscaleOptions
from tests.test_benchmark import Recorder, _noise, _save

OPTIONS = UpscaleOptions(device="cpu")

# ---------------------------------------------------------------- measured kernels


def _bent(size: int) -> np.ndarray:
    """A stroke that is neither centred nor symmetric."""
    kernel = np.zeros((size, size))
    for i in range(size // 2):
        kernel[1 + i, 1 + i // 2] = 1 + i
    return kernel


def test_kernels_of_every_format_are_the_same(tmp_path: Path) -> None:
    kernel = np.round(_bent(15) / _bent(15).max() * 255)
    np.save(tmp_path / "a.npy", kernel)
    Image.fromarray(kernel.astype(np.uint8)).save(tmp_path / "b.png")
    with h5py.File(tmp_path / "c.mat", "w") as file:
        file["kernels"] = kernel.T  # as MATLAB stores it
    found = read_kernels([tmp_path])
    assert len(found) == 3
    for other in found[1:]:
        assert torch.allclose(found[0], other, atol=1e-6)


@pytest.mark.parametrize("size", [3, 14, 25, 67])
def test_a_kernel_is_centred_and_keeps_its_sum(size: int) -> None:
    kernel = centred(torch.from_numpy(_bent(size)).float())
    axis = torch.arange(25.0) - 12
    assert kernel.shape == (25, 25)
    assert float(kernel.min()) >= 0
    assert float(kernel.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float((kernel.sum(1) * axis).sum()) == pytest.approx(0.0, abs=0.05)
    assert float((kernel.sum(0) * axis).sum()) == pytest.approx(0.0, abs=0.05)


def test_a_centred_kernel_is_left_as_it_is() -> None:
    kernel = torch.zeros(25, 25)
    kernel[10:15, 12] = 0.2
    assert torch.allclose(centred(kernel), kernel, atol=1e-6)


def test_what_is_no_kernel_is_refused(tmp_path: Path) -> None:
    for name, array in (("empty", np.zeros((5, 5))), ("line", np.ones(5)), ("broken", np.full((5, 5), np.nan))):
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(InputError, match=f"{name}.npy holds"):
            read_kernels([tmp_path / f"{name}.npy"])
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(InputError, match=r"old.mat is not a MATLAB 7.3 file"):
        read_kernels([tmp_path / "old.mat"])
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="text.png cannot be read"):
        read_kernels([tmp_path / "text.png"])
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no kernels"):
        read_kernels([tmp_path / "none"])


def test_scenes_are_shaken_by_the_measured_kernels_in_turn() -> None:
    first, second = torch.zeros(25, 25), torch.zeros(25, 25)
    first[12, 6:19] = 1 / 13
    second[6:19, 12] = 1 / 13
    make = scenes.measured_shake([first, second])
    crops = [_noise(64, i) for i in range(3)]
    across, down, again = (make(crops, i, 0, 0.0).truth.covariance[:, 8, 8] for i in range(3))
    assert float(across[1]) == pytest.approx(14.0, abs=0.3)
    assert float(across[0]) == pytest.approx(0.0, abs=0.1)
    assert float(down[0]) == pytest.approx(14.0, abs=0.3)
    assert torch.allclose(across, again)


# ---------------------------------------------------------------- pixels kept back


def test_a_fifth_is_held_out_in_blocks() -> None:
    places = held_out.held_out_places(96, 130)
    assert places.shape == (96, 130)
    assert float(places.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert bool((places[:8, :8] == places[0, 0]).all())
    assert torch.equal(places, held_out.held_out_places(96, 130))
    assert bool(held_out.held_out_places(5, 5).any())


def test_hidden_places_tell_nothing_and_the_rest_is_kept() -> None:
    places = held_out.held_out_places(64, 64, seed=3)
    photo = _noise(64, 0)
    other = torch.where(places, 1 - photo, photo)
    filled = held_out.without(photo, places)
    assert torch.equal(filled, held_out.without(other, places))
    assert torch.equal(filled[:, ~places], photo[:, ~places])
    assert 0 <= float(filled.min()) <= float(filled.max()) <= 1
    flat = held_out.without(torch.full((3, 64, 64), 0.25), places)
    assert torch.allclose(flat, torch.full((3, 64, 64), 0.25), atol=1e-5)


def test_the_true_field_explains_what_was_held_out_and_a_wrong_one_does_not() -> None:
    dictionary = default_dictionary()
    index = 6  # a Gaussian that is also an atom
    kernel = dictionary.atoms[index : index + 1]
    side = 24
    from ssr_cli.synthesis.render import render
    from ssr_cli.synthesis.scene import Layer, LocalKernels

    layer = Layer(_noise(4 * side, 1), torch.ones(4 * side, 4 * side), torch.zeros(4 * side, 4 * side))
    rendered = render([layer], lambda d: LocalKernels(kernel, torch.ones(1, side, side)), dictionary, lambda x: x)
    scene = scenes.Scene(rendered, rendered.lr, lambda x: x)
    places = held_out.held_out_places(side, side)
    plane = torch.zeros(side, side)

    def figures(atom: int) -> dict[str, float]:
        weights = torch.zeros(63, side, side)
        weights[atom] = 1
        field = KernelField(weights, rendered.covariance, plane, plane, 4)
        return held_out.held_out_figures(field, scene, places)

    right, wrong = figures(index), figures(index + 3)
    assert right["held_out_db"] > 90
    assert right["held_out_db_single"] == pytest.approx(right["held_out_db"])
    assert wrong["held_out_db"] < 50
    assert wrong["held_out_db_single"] > 90


def test_kernels_of_hidden_places_come_from_their_surroundings(tiny_models) -> None:
    scene = scenes.SETS["single"]([_noise(96, 0)], 0, 0, 0.0)
    rounds = held_out.held_out_rounds(scene, tiny_models, OPTIONS)
    assert len(rounds) == 2
    assert all(math.isfinite(v) for turn in rounds for v in turn.values())


# ---------------------------------------------------------------- gates, cost


def test_gates_are_compared_with_the_true_blur() -> None:
    scene = scenes.SETS["blocks-1"]([_noise(120, 0)], 0, 0, 0.0)
    radius = (scene.truth.covariance[0] + scene.truth.covariance[1]).clamp_min(0)
    fusion = torch.stack([1 - radius / 100, torch.zeros_like(radius), radius / 100])
    assert synthetic.gate_follows_blur(fusion, scene) == pytest.approx(1.0, abs=1e-3)
    assert synthetic.gate_follows_blur(fusion.flip(0), scene) == pytest.approx(-1.0, abs=1e-3)
    same = scenes.SETS["single"]([_noise(120, 0)], 0, 0, 0.0)
    assert math.isnan(synthetic.gate_follows_blur(fusion, same))


def test_the_yardstick_has_the_size_of_what_it_stands_for() -> None:
    """realesr-general-x4v3 has 1.21 million parameters."""
    assert sum(p.numel() for p in CompactBody().parameters()) == pytest.approx(1.21e6, rel=0.01)
    timed = CompactTimer(torch.device("cpu"))(_noise(12, 0))
    assert timed.rgb.shape == (3, 48, 48)
    assert timed.seconds is not None and timed.seconds > 0


def test_the_yardstick_has_a_row_of_costs_alone(tmp_path: Path, tiny_models) -> None:
    _save(tmp_path / "views" / "LR" / "a.png", _noise(16, 0))
    _save(tmp_path / "views" / "HR" / "a.png", _noise(64, 1))
    console = Recorder()
    rows = score_pairs([tmp_path / "views"], tiny_models, OPTIONS, None, None, console)
    row = next(r for r in rows if r["method"] == COMPACT)
    assert row["seconds"] > 0
    assert "psnr_y" not in row


# ---------------------------------------------------------------- depth


def _depth_folder(folder: Path, size: tuple[int, int] = (40, 60)) -> None:
    folder.mkdir()
    h, w = size
    depth = np.full((h, w), 3000, dtype=np.uint16)
    depth[h // 3 :, w // 3 :] = 900
    depth[:2], depth[-2:] = 0, 65535
    _save(folder / "one.jpg", torch.rand(3, h, w))
    Image.fromarray(depth).save(folder / "one_depth.png")


def test_depth_is_scored_against_what_was_measured(tmp_path: Path, tiny_models) -> None:
    _depth_folder(tmp_path / "room")
    console = Recorder()
    rows = rgbd.score_depth([tmp_path / "room"], tiny_models, OPTIONS, None, console, tmp_path / "rows.jsonl")
    assert [r["method"] for r in rows] == [rgbd.RAMP, rgbd.BEFORE, "after round 1", "after round 2"]
    assert rows[0]["depth_spearman"] > 0.3  # what is near stands low in this picture
    assert all(-1 <= r["depth_spearman"] <= 1 and r["depth_edge_error"] > 0 for r in rows)
    assert [json.loads(line)["method"] for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert console.tables[0][0] == "room: mean of 1"


def test_unknown_depth_is_nowhere(tmp_path: Path) -> None:
    _depth_folder(tmp_path / "room")
    disparity = rgbd.read_disparity(tmp_path / "room" / "one_depth.png")
    assert bool(disparity[:2].isnan().all()) and bool(disparity[-2:].isnan().all())
    assert float(disparity[5, 5]) == pytest.approx(1 / 3)
    assert float(disparity[30, 50]) == pytest.approx(1 / 0.9)


def test_depth_that_does_not_fit_is_named(tmp_path: Path, tiny_models) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty has no photos with depth"):
        rgbd.depth_pairs(tmp_path / "empty")
    _depth_folder(tmp_path / "room")
    _save(tmp_path / "room" / "one.jpg", torch.rand(3, 20, 20))
    with pytest.raises(InputError, match="one_depth.png is not as large"):
        rgbd.score_depth([tmp_path / "room"], tiny_models, OPTIONS, None, Recorder())
    _save(tmp_path / "colour.png", torch.rand(3, 8, 8))
    with pytest.raises(InputError, match="colour.png is not grey"):
        rgbd.read_disparity(tmp_path / "colour.png")


def test_rounds_are_compared_over_the_same_scenes() -> None:
    """A constant depth has no ranks, what becomes of it has: such a scene counts in no round."""
    from ssr_cli.evaluation.synthetic import round_means

    def row(*ranks: float) -> dict[str, object]:
        kernels = [{}, {"sigma_error_px": 0.5}]
        rounds = [{"round": t, "depth_spearman": rank, **kernels[t]} for t, rank in enumerate(ranks)]
        return {"set": "defocus", "method": "ssr", "rounds": rounds}

    before, after = round_means([row(0.8, 0.9), row(float("nan"), 0.1)])
    assert (before["depth_spearman"], after["depth_spearman"]) == (0.8, 0.9)
    assert (before["sigma_error_px"], after["sigma_error_px"]) == (None, 0.5)
