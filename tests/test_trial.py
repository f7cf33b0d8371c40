"""Kernels on trial: wrong ones lose to what is right, right ones to nobody, and too little to judge by is said."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from ssr_cli.frames import Photo
from ssr_cli.hiding import fold, grown, without
from ssr_cli.physics import shapes, spectra
from ssr_cli.physics.kernels import default_dictionary, with_sensor_box
from ssr_cli.pipeline import analyse
from ssr_cli.settings import UpscaleOptions
from ssr_cli.trial import patch_places, patch_weights, try_claim, try_photo
from tests.conftest import scene_of_discs

DICTIONARY = default_dictionary()


def _photo(optical: torch.Tensor, seed: int = 0, sharp: torch.Tensor | None = None) -> torch.Tensor:
    """A picture through one optical kernel (25, 25) and the sensor, with noise 1.5 / 255."""
    kernel = with_sensor_box(optical[None], 4)
    picture = scene_of_discs(seed) if sharp is None else sharp
    padded = F.pad(picture[:, None], (12, 12, 12, 12), mode="replicate")
    lr = F.conv2d(padded, kernel[:, None], stride=4)[:, 0]
    noise = torch.randn(lr.shape, generator=torch.Generator().manual_seed(seed)) * 1.5 / 255
    return (lr + noise).clamp(0, 1)


def _claim(name: str, rgb: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    places = patch_places(*rgb.shape[-2:])
    weights = torch.zeros(len(places), len(DICTIONARY.names))
    weights[:, DICTIONARY.names.index(name)] = 1
    return weights, places


@pytest.mark.parametrize("name", ["Gaussian, sigma 2.5 px", "Gaussian, sigma 4.2 x 1.6 px at 30 deg"])
def test_the_true_kernel_is_supported_and_wrong_ones_are_not(name: str) -> None:
    round_blur = "x" not in name.replace("px", "")
    true = shapes.gaussian(2.5, 2.5) if round_blur else shapes.gaussian(4.2, 1.6, math.radians(30))
    rgb = _photo(true)
    verdict = try_claim(rgb, *_claim(name, rgb), DICTIONARY)
    assert verdict.verdict == "supported", verdict
    wider = "Gaussian, sigma 3.9 px" if round_blur else "Gaussian, sigma 4.2 x 1.6 px at 120 deg"
    verdict = try_claim(rgb, *_claim(wider, rgb), DICTIONARY)
    assert verdict.verdict == "not supported", verdict
    assert "explain" in verdict.reason
    if not round_blur:
        assert verdict.advantage["rotated"] < -0.5


@pytest.mark.parametrize("period", [9, 17, 23])
@pytest.mark.parametrize("rows", [200, 400])
def test_a_fence_convicts_no_true_kernel_and_saves_no_wrong_one(period: int, rows: int) -> None:
    """Slats of one period are explained by no kernel; they used to convict the true one by up to 45 nats a patch."""
    sharp = scene_of_discs(0)
    sharp[:, :rows] = 0.15 + 0.7 * (torch.arange(512) % period < period // 2).float()
    rgb = _photo(shapes.gaussian(2.5, 2.5), sharp=sharp)
    true, wider = (try_claim(rgb, *_claim(f"Gaussian, sigma {s} px", rgb), DICTIONARY) for s in (2.5, 3.9))
    assert true.verdict == "supported", true
    assert wider.verdict == "not supported", wider
    assert true.patches < 225 - rows / 512 * 150  # of the fence next to none is heard


def test_a_photo_that_nothing_explains_is_not_judged() -> None:
    fence = (0.15 + 0.7 * (torch.arange(512) % 9 < 4).float()).expand(3, 512, 512)
    verdict = try_claim(
        _photo(shapes.gaussian(2.5, 2.5), sharp=fence),
        *_claim("Gaussian, sigma 2.5 px", fence[..., ::4, ::4]),
        DICTIONARY,
    )
    assert (verdict.verdict, verdict.advantage) == ("not tested", {})
    assert "explained by any kernel" in verdict.reason


def test_no_blur_loses_where_there_is_some() -> None:
    rgb = _photo(shapes.gaussian(3.0, 3.0))
    verdict = try_claim(rgb, *_claim("Gaussian, sigma 3.1 px", rgb), DICTIONARY)
    assert verdict.advantage["bicubic"] > 1
    assert verdict.single is not None and "Gaussian" in verdict.single or "disk" in str(verdict.single)


def test_transfer_functions_are_those_of_the_atoms() -> None:
    """Against an FFT of the atoms themselves, the sensor's box included."""
    grid = spectra.frequencies(4)
    size = grid.y.shape[0]
    exact = torch.fft.fft2(DICTIONARY.atoms, s=(size, size)).abs().flatten(1)
    assert float((grid.transfer().abs() - exact).abs().max()) < 3e-4


def test_maps_of_kernels_do_what_they_say() -> None:
    """A stroke turned, zoomed or stretched has the transfer function of the atom that is so."""
    grid, names = spectra.frequencies(4), DICTIONARY.names
    turned = grid.transfer(spectra.QUARTER_TURN)[names.index("Gaussian, sigma 4.2 x 1.6 px at 30 deg")]
    there = grid.transfer()[names.index("Gaussian, sigma 4.2 x 1.6 px at 120 deg")]
    assert float((turned - there).abs().max()) < 5e-3
    zoomed = grid.transfer(spectra.zoomed(2.5 / 2.0))[names.index("Gaussian, sigma 2 px")]
    assert float((zoomed - grid.transfer()[names.index("Gaussian, sigma 2.5 px")]).abs().max()) < 5e-3
    ratio = 2.0
    along = grid.transfer(spectra.stretched(math.radians(30), ratio))[names.index("Gaussian, sigma 2 px")]
    kernel = shapes.gaussian(2 * math.sqrt(ratio), 2 / math.sqrt(ratio), math.radians(30))
    exact = torch.fft.fft2(with_sensor_box(kernel[None], 4), s=grid.y.shape).abs().flatten()
    assert float((along.abs() - exact).abs().max()) < 1e-2


def test_too_little_to_judge_by_is_said() -> None:
    rgb = torch.rand(3, 24, 24)
    assert try_claim(rgb, *_claim("sharp", rgb), DICTIONARY).verdict == "not tested"


@pytest.mark.parametrize("shape", [(1, 1), (20, 20), (15, 200), (64, 80)])
def test_photos_of_any_shape_are_tried(shape: tuple[int, int], tiny_models) -> None:
    verdict = try_photo(Photo(torch.rand(3, *shape)), tiny_models, UpscaleOptions(), lambda *event: None)
    assert verdict.verdict in ("supported", "not supported", "not tested")
    assert (verdict.verdict == "not tested") == (min(shape) < 20 or max(shape) < 60)


def test_hidden_places_tell_nothing(tiny_models) -> None:
    """What is written into hidden places changes neither the photo that is estimated from nor the claim."""
    rgb = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    hidden = fold(64, 64, 24, 0)
    other = torch.where(hidden, torch.rand(64, 64), rgb)
    assert torch.equal(without(rgb, hidden), without(other, hidden))
    fields = [analyse(Photo(without(p, hidden)), tiny_models, UpscaleOptions()).field.weights for p in (rgb, other)]
    places = patch_places(64, 64, hidden)
    assert len(places) > 0
    assert torch.equal(*(patch_weights(without(f, grown(hidden, 4)), places) for f in fields))
    for y, x in places.tolist():
        assert bool(hidden[y : y + 16, x : x + 16].all())


@pytest.mark.parametrize(("verdict", "consistency"), [("supported", "project"), ("not supported", "report")])
def test_a_result_is_not_held_to_kernels_the_photo_contradicts(
    verdict: str, consistency: str, tiny_checkpoint, tmp_path, capsys, monkeypatch
) -> None:
    """Through the command: the output is that of --consistency report, and both the file and the person hear of it."""
    import json

    from ssr_cli import trial
    from ssr_cli.cli import main
    from ssr_cli.views import to_picture

    to_picture(torch.rand(3, 24, 32)).save(tmp_path / "a.png")
    said = trial.Verdict(verdict, "Because.", 20, {}, "sharp", "sharp" if verdict == "not supported" else None)
    monkeypatch.setattr(trial, "try_photo", lambda *rest: said)

    def made(name: str, *flags: str) -> dict:
        asked = ["upscale", str(tmp_path / "a.png"), "-o", str(tmp_path / name), "--model", str(tiny_checkpoint)]
        with pytest.raises(SystemExit) as stopped:
            main([*asked, *flags, "--json"])
        captured = capsys.readouterr()
        assert not stopped.value.code, captured.err
        return {**json.loads(captured.out.splitlines()[-1]), "err": captured.err}

    tried = made("t.png", "--test")
    made("p.png", "--consistency", consistency)
    assert (tmp_path / "t.png").read_bytes() == (tmp_path / "p.png").read_bytes()
    assert tried["verdict"]["verdict"] == verdict
    assert tried["consistency"] == consistency
    assert ("not held" in tried["err"]) == (verdict == "not supported")


def test_a_wrong_claim_names_what_to_assume_instead() -> None:
    rgb = _photo(shapes.gaussian(2.5, 2.5))
    wrong = try_claim(rgb, *_claim("Gaussian, sigma 4.2 x 1.6 px at 120 deg", rgb), DICTIONARY)
    assert wrong.fallback == wrong.single is not None
    instead = try_claim(rgb, *_claim(wrong.fallback, rgb), DICTIONARY)
    assert instead.verdict == "supported"
    assert instead.fallback is None


def test_a_round_claim_fails_where_the_tested_places_show_a_direction() -> None:
    rgb = _photo(shapes.gaussian(2.5, 2.5))
    weights, places = _claim("Gaussian, sigma 2.5 px", rgb)
    oriented = _claim("Gaussian, sigma 4.2 x 1.6 px at 30 deg", rgb)[0]
    assert try_claim(rgb, weights, places, DICTIONARY).verdict == "supported"
    assert try_claim(rgb, weights, places, DICTIONARY, seen=weights).verdict == "supported"
    verdict = try_claim(rgb, weights, places, DICTIONARY, seen=0.5 * (weights + oriented))
    assert verdict.verdict == "not supported"
    assert "direction" in verdict.reason
    assert verdict.fallback == verdict.single


def test_folds_cover_everything_once() -> None:
    total = sum(fold(100, 130, 24, n).long() for n in range(4))
    assert torch.equal(total, torch.ones(100, 130, dtype=torch.long))


def test_bench_tries_true_and_wrong_kernels(tmp_path, capsys) -> None:
    """Through the command: a round Gaussian claimed for oriented ones, and kernels turned, are convicted."""
    import json

    from ssr_cli.cli import main
    from ssr_cli.views import to_picture

    to_picture(scene_of_discs(3, 320)).save(tmp_path / "sharp.png")
    asked = ["bench", str(tmp_path), "--synthetic", "--sets", "blocks-3", "--trial", "-o", str(tmp_path / "o.jsonl")]
    with pytest.raises(SystemExit) as stopped:
        main(asked)
    assert not stopped.value.code
    assert "of 1" in capsys.readouterr().out
    rows = {r["claim"]: r for r in map(json.loads, (tmp_path / "o.jsonl").read_text().splitlines())}
    assert set(rows) == {"true", "variance x 1.4", "turned 90 deg", "round"}
    assert rows["turned 90 deg"]["verdict"] == "not supported"
    assert all(rows[claim]["truth over it"] > 0 for claim in set(rows) - {"true"})
    assert rows["turned 90 deg"]["over rotated"] < 0 < rows["true"]["over rotated"]


def test_codes_become_the_weights_they_came_from() -> None:
    from ssr_cli.evaluation.verdicts import round_weights, weights_of_codes

    codes = DICTIONARY.codes[[3, 40]].mean(0, keepdim=True)
    weights = weights_of_codes(codes, DICTIONARY)
    assert float((weights @ DICTIONARY.codes - codes).norm()) < 0.05
    covariance = torch.tensor([[4.0, 9.0, 1.0], [0.01, 0.01, 0.0]])
    found = round_weights(covariance, DICTIONARY) @ DICTIONARY.covariance.T
    assert float(found[0, 0]) == pytest.approx(6.5, rel=0.02)
    assert float(found[0, 0]) == pytest.approx(float(found[0, 1]), rel=1e-3)
