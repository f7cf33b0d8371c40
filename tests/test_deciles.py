"""Less confidence, more error: on rendered scenes with the bundled weights, and deciles that could say otherwise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssr_cli import pipeline
from ssr_cli.assembly import assemble
from ssr_cli.evaluation.deciles import error_deciles, rises
from ssr_cli.settings import Delivery, UpscaleOptions
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


def test_the_error_rises_as_confidence_falls() -> None:
    models = assemble("lite", torch.device("cpu"), lambda *event: None)
    sure, error = [], []
    for seed in range(4):
        scene = render_demo(seed, 256)
        work = pipeline.Enlarging(scene.lr, models, UpscaleOptions(), delivery=Delivery(confidence=True))
        result = pipeline.gathered(work.bands(), work.height, work.width)
        sure.append(work.findings().views["confidence"][0].flatten().float())
        error.append((result - scene.hr.rgb).abs().mean(0).flatten())
    means = error_deciles(torch.cat(sure), torch.cat(error))
    assert rises(means), means
    assert means[-1] > 1.5 * means[0]
