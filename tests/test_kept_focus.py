"""Blur that was meant keeps its size, with no detail of its own, and the subject loses nothing."""

from __future__ import annotations

import json

import pytest
import torch

from ssr_cli.diffusion.consistency import field_operator
from ssr_cli.diffusion.focus import keep_focus, reblurred
from ssr_cli.evaluation.kept_focus import blur_sigma, kept_focus
from ssr_cli.image.color import linear_to_srgb, srgb_to_linear
from ssr_cli.models.blocks import upscale_bicubic
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.synthesis.demo import render_demo

SIDE = 192


def _scene(seed: int, disk: str = "disk, radius 9 px") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sharp (3, 192, 192), its photo, sharp on the left and out of focus on the right, and the true radii (48, 48)."""
    dictionary = default_dictionary()
    sharp = render_demo(seed, SIDE).hr.rgb
    weights = torch.zeros(1, len(dictionary.names), 48, 48)
    weights[:, dictionary.names.index("sharp"), :, :24] = 1
    weights[:, dictionary.names.index(disk), :, 24:] = 1
    y = linear_to_srgb(field_operator(weights, dictionary).forward(srgb_to_linear(sharp[None])))[0]
    noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed)) * 2 / 255
    radius = torch.full((48, 48), 0.5)
    radius[:, 24:] = float(disk.split()[2])
    return sharp, (y + noise).clamp(0, 1), radius


@pytest.mark.parametrize("strength", [1.0, 0.7, 0.5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_share_of_the_blur_stays(seed: int, strength: float) -> None:
    """With known radii, of a picture that was restored everywhere, with some texture that is wrong."""
    sharp, y, radius = _scene(seed)
    texture = torch.randn(sharp.shape, generator=torch.Generator().manual_seed(seed)) * 5 / 255
    everywhere = (sharp + texture).clamp(0, 1)
    kept = keep_focus(everywhere[None], y[None], radius[None, None], torch.tensor([0.5]), strength)[0]
    flat = upscale_bicubic(y[None], 4)[0].clamp(0, 1)
    found = kept_focus(kept, everywhere, flat, sharp, radius, strength)
    assert found is not None
    assert found.radius_ratio == pytest.approx(1, abs=0.15)
    assert found.subject_loss_db < 0.2
    if strength == 1:
        assert found.fine_energy_ratio < 1.1


def test_the_figures_tell_when_nothing_was_kept() -> None:
    sharp, y, radius = _scene(0)
    flat = upscale_bicubic(y[None], 4)[0].clamp(0, 1)
    found = kept_focus(sharp, sharp, flat, sharp, radius, 1.0)
    assert found is not None
    assert found.radius_ratio < 0.2
    assert found.fine_energy_ratio > 5
    soft = kept_focus(flat, sharp, flat, sharp, radius, 1.0)
    assert soft is not None and soft.subject_loss_db > 3
    assert kept_focus(sharp, sharp, flat, sharp, torch.full((48, 48), 3.0), 1.0) is None


@pytest.mark.parametrize("sigma", [0.5, 1.5, 3.0, 5.5])
def test_reblurring_has_the_variance_asked_for(sigma: float) -> None:
    point = torch.zeros(1, 1, 65, 65)
    point[..., 32, 32] = 1
    spread = reblurred(point, torch.full_like(point, sigma))[0, 0]
    axis = torch.arange(65) - 32.0
    assert float(spread.sum()) == pytest.approx(1, abs=1e-4)
    assert float((spread.sum(0) * axis.square()).sum()) == pytest.approx(sigma**2, rel=0.05)
    assert float(blur_sigma(linear_to_srgb(spread)[None], linear_to_srgb(point)[0], spread > 1e-6)) == pytest.approx(
        sigma, abs=0.11
    )


def test_bench_measures_what_is_kept(tiny_checkpoint, tmp_path, capsys) -> None:
    from ssr_cli.cli import main
    from ssr_cli.views import to_picture

    to_picture(render_demo(3, SIDE).hr.rgb).save(tmp_path / "sharp.png")
    asked = ["bench", str(tmp_path), "--synthetic", "--kept", "--model", str(tiny_checkpoint), "-o"]
    with pytest.raises(SystemExit) as stopped:
        main([*asked, str(tmp_path / "o.jsonl")])
    assert not stopped.value.code, capsys.readouterr().err
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert {row["radii"] for row in rows} <= {"true", "SVKR's"}
    with pytest.raises(SystemExit) as stopped:
        main(["bench", str(tmp_path), "--kept"])
    assert stopped.value.code == 2
