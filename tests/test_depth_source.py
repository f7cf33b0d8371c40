"""Depth from elsewhere: files of every kind, no depth at all, and Depth Anything by the real classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ssr_cli import catalogue
from ssr_cli.depth_source import depth_source, is_file
from ssr_cli.errors import InputError, UsageError, WeightsError
from ssr_cli.frames import Photo
from ssr_cli.image.depth_file import read_depth
from ssr_cli.models.depth_anything import DepthAnything, working_size
from ssr_cli.pipeline import upscale
from ssr_cli.settings import UpscaleOptions

TINY_CONFIG = {
    "model_type": "depth_anything",
    "backbone_config": {
        "model_type": "dinov2",
        "hidden_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
        "reshape_hidden_states": False,
        "apply_layernorm": True,
    },
    "patch_size": 14,
    "reassemble_hidden_size": 32,
    "reassemble_factors": [4, 2, 1, 0.5],
    "neck_hidden_sizes": [8, 8, 8, 8],
    "fusion_hidden_size": 8,
    "head_hidden_size": 8,
}


@pytest.fixture(autouse=True)
def _no_table_of_the_users(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(catalogue.TABLE_VARIABLE, raising=False)


def _photo(h: int = 20, w: int = 30) -> Photo:
    return Photo(torch.rand(3, h, w, generator=torch.Generator().manual_seed(1)))


def _ramp(h: int, w: int, top: int) -> np.ndarray:
    return np.linspace(0, top, w).round().astype(np.uint16 if top > 255 else np.uint8)[None].repeat(h, 0)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize(("size", "top"), [((20, 30), 255), ((20, 30), 65535), ((60, 90), 65535), ((7, 10), 4000)])
def test_a_map_of_any_size_and_depth_is_stretched_to_the_photo(size: tuple[int, int], top: int, tmp_path: Path) -> None:
    Image.fromarray(_ramp(*size, top)).save(tmp_path / "d.png")
    depth = read_depth(tmp_path / "d.png", 20, 30)
    assert depth.shape == (20, 30)
    assert float(depth.min()) == pytest.approx(0, abs=0.06)
    assert float(depth.max()) == pytest.approx(1, abs=0.06)
    assert bool((depth[10].diff() >= -1e-6).all())
    inverted = read_depth(tmp_path / "d.png", 20, 30, invert=True)
    assert torch.allclose(inverted, 1 - depth)


def test_all_sixteen_bits_count(tmp_path: Path) -> None:
    values = np.full((20, 30), 30000, np.uint16)
    values[:, 15:] = 30040  # the same in eight bits
    Image.fromarray(values).save(tmp_path / "d.png")
    depth = read_depth(tmp_path / "d.png", 20, 30)
    assert float(depth[0, 0]) == 0
    assert float(depth[0, -1]) == 1


def test_a_map_with_one_value_says_nothing(tmp_path: Path) -> None:
    Image.new("L", (30, 20), 9).save(tmp_path / "d.png")
    assert torch.equal(read_depth(tmp_path / "d.png", 20, 30), torch.full((20, 30), 0.5))


def test_what_is_no_depth_map_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "rgb.png")
    Image.new("L", (20, 30)).save(tmp_path / "turned.png")
    (tmp_path / "text.png").write_text("no")
    whole = tmp_path / "whole.png"
    Image.fromarray(_ramp(200, 300, 65535)).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:200])
    broken = np.full((20, 30), np.nan, np.float32)
    Image.fromarray(broken).save(tmp_path / "nan.tif")
    for name, words in (
        ("rgb.png", "not a grey picture"),
        ("turned.png", "is 20x30 and the photo 30x20"),
        ("text.png", "cannot be read"),
        ("cut.png", "cannot be read"),
        ("nan.tif", "no numbers"),
        ("none.png", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            read_depth(tmp_path / name, 20, 30)


# ---------------------------------------------------------------- sources


def test_sources_by_name(tmp_path: Path) -> None:
    assert depth_source("lite")(_photo()) is None
    none = depth_source("none")(_photo())
    assert none is not None
    assert torch.equal(none.disparity, torch.full((20, 30), 0.5))
    with pytest.raises(UsageError, match="no depth 'guess'"):
        depth_source("guess")
    with pytest.raises(UsageError, match="belongs to a depth map"):
        depth_source("lite", invert=True)
    assert is_file("d.png")
    assert is_file("maps/d")
    assert not is_file("depth-anything-v2-small")


def test_depth_that_is_given_reaches_the_kernels(tiny_models, tmp_path: Path) -> None:
    Image.fromarray(_ramp(20, 30, 65535)).save(tmp_path / "d.png")
    photo, options = _photo(), UpscaleOptions(device="cpu")
    given = depth_source(str(tmp_path / "d.png"))(photo)
    ours, theirs = (upscale(photo, tiny_models, options, depth=depth) for depth in (None, given))
    assert given is not None
    assert torch.allclose(theirs.analysis.depth_before.disparity, given.disparity)
    assert not torch.allclose(ours.analysis.field.weights, theirs.analysis.field.weights)


# ---------------------------------------------------------------- Depth Anything


def _tiny_net() -> DepthAnything:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    torch.manual_seed(0)
    state = DepthAnythingForDepthEstimation(DepthAnythingConfig.from_dict(TINY_CONFIG)).state_dict()
    return DepthAnything(TINY_CONFIG, state)


@pytest.mark.parametrize(("height", "width"), [(480, 640), (100, 100), (37, 900), (14, 14)])
def test_the_copy_is_what_the_published_preprocessing_makes(height: int, width: int) -> None:
    rows, columns = working_size(height, width, 14)
    assert rows % 14 == columns % 14 == 0
    assert abs(min(rows, columns) - 518) <= 7
    assert columns / rows == pytest.approx(width / height, rel=0.03)
    assert working_size(480, 640, 14) == (518, 686)


def test_the_net_is_given_normalised_pixels(monkeypatch) -> None:
    net = _tiny_net()
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Module):
        def forward(self, pixel_values):
            seen.append(pixel_values)
            return type("Answer", (), {"predicted_depth": pixel_values[:, 0]})

    net.net = Spy()
    white = torch.ones(1, 3, 40, 60)
    net.estimate(white)
    assert seen[0].shape == (1, 3, 518, 784)
    assert seen[0].mean((0, 2, 3)).tolist() == pytest.approx([2.2489, 2.4286, 2.6400], abs=1e-3)


def test_depth_anything_runs_and_its_answer_fills_the_range(monkeypatch) -> None:
    net = _tiny_net()
    depth = net.estimate(_photo(40, 60).rgb[None])
    assert depth.shape == (1, 1, 40, 60)
    assert 0 <= float(depth.min()) < float(depth.max()) <= 1
    monkeypatch.setattr(
        net, "forward", lambda rgb: 7 + 3 * torch.linspace(0, 1, rgb.shape[-1]).expand(1, rgb.shape[-2], -1)
    )
    ramp = net.estimate(_photo(40, 60).rgb[None])[0, 0, 20]
    assert float(ramp[0]) == pytest.approx(0, abs=0.02)
    assert float(ramp[-1]) == pytest.approx(1, abs=0.02)
    assert bool((ramp.diff() >= 0).all())


def _mirrored(folder: Path, monkeypatch, config: dict[str, object] | None = None) -> None:
    """A table whose depth-anything-v2-small lies in a local folder."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config or TINY_CONFIG))
    save_file({k: v.contiguous() for k, v in _tiny_net().net.state_dict().items()}, folder / "model.safetensors")
    table = folder / "weights.toml"
    table.write_text(
        '[models.depth-anything-v2-small]\nkind = "depth"\nlicence = "x"\nrepo = "nobody/nothing"\n'
        'files = [{name = "config.json"}, {name = "model.safetensors"}]\nmirrors = [{folder = "."}]\n'
    )
    monkeypatch.setenv(catalogue.TABLE_VARIABLE, str(table))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_an_estimator_of_the_table_is_fetched_and_used(tmp_path: Path, monkeypatch, tiny_models) -> None:
    _mirrored(tmp_path / "mirror", monkeypatch)
    photo = _photo(24, 32)
    depth = depth_source("depth-anything-v2-small")(photo)
    assert depth is not None
    assert depth.disparity.shape == (24, 32)
    assert upscale(photo, tiny_models, UpscaleOptions(device="cpu"), depth=depth).photo.height == 96


def test_a_foreign_checkpoint_is_refused(tmp_path: Path, monkeypatch) -> None:
    _mirrored(tmp_path / "mirror", monkeypatch, {**TINY_CONFIG, "fusion_hidden_size": 16})
    with pytest.raises(WeightsError, match="not a Depth Anything checkpoint"):
        depth_source("depth-anything-v2-small")


def test_without_transformers_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    _mirrored(tmp_path / "mirror", monkeypatch)
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(WeightsError, match="needs transformers"):
        depth_source("depth-anything-v2-small")
