"""Less confidence, more error: on rendered scenes with the bundled weights, and deciles that could say otherwise."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ssr_cli import pipeline
from ssr_cli.assembly import assemble
from ssr_cli.console import Console
from ssr_cli.evaluation.deciles import error_deciles, rises
from ssr_cli.evaluation.sureness import score_confidence
from ssr_cli.settings import Delivery, UpscaleOptions
from ssr_cli.suite import Models
from ssr_cli.synthesis.demo import render_demo


@given(st.integers(10, 200), st.integers(0, 10_000))
def test_deciles_follow_the_error_and_not_the_order(count: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    error = torch.rand(count, generator=generator)
    assert rises(error_deciles(-error, error))
    assert not rises(error_deciles(error, error))
    ties = (torch.rand(count, generator=generator) * 4).floor()
    turned = torch.randperm(count, generator=generator)
    assert error_deciles(ties, error) == pytest.approx(error_deciles(ties[turned], error[turned]))


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="ten"):
        error_deciles(torch.rand(9), torch.rand(9))


def test_pairs_are_scored_one_by_one_and_together(tmp_path: Path, tiny_models: Models) -> None:
    for number in range(2):
        scene = render_demo(number, 96)
        for side, rgb in (("LR", scene.lr.rgb), ("HR", scene.hr.rgb)):
            (tmp_path / "pairs" / side).mkdir(parents=True, exist_ok=True)
            pixels = (rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            Image.fromarray(pixels).save(tmp_path / "pairs" / side / f"{number}.png")
    out, said = tmp_path / "rows.jsonl", io.StringIO()
    with redirect_stdout(said):
        rows = score_confidence(
            [tmp_path / "pairs"], tiny_models, UpscaleOptions(device="cpu"), None, Console("human"), out
        )
    one, two, both = rows
    assert [json.loads(line) for line in out.read_text().splitlines()] == [one, two]
    assert [row["image"] for row in rows] == ["0", "1", None]
    assert sum(both["errors"]) == pytest.approx((sum(one["errors"]) + sum(two["errors"])) / 2, rel=1e-4)
    assert both["errors"] != sorted(both["errors"]) or both["rises"]
    assert "2 photos" in said.getvalue()
    assert f"{both['errors'][-1]:.1f}" in said.getvalue()


def test_the_error_rises_as_confidence_falls() -> None:
    models = assemble("lite", torch.device("cpu"), lambda *event: None)
    sure, error = [], []
    for seed in range(8):
        scene = render_demo(seed, 256)
        work = pipeline.Enlarging(scene.lr, models, UpscaleOptions(), delivery=Delivery(confidence=True))
        result = pipeline.gathered(work.bands(), work.height, work.width)
        sure.append(work.findings().views["confidence"][0].flatten().float())
        error.append((result - scene.hr.rgb).abs().mean(0).flatten())
    means = error_deciles(torch.cat(sure), torch.cat(error))
    assert rises(means), means
    assert means[-1] > 1.5 * means[0]
