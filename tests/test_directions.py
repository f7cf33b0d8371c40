"""Directions of kernels: maps of moments, long axes, and when places contradict a claim."""

import math

import pytest
import torch

from ssr_cli.physics import directions, shapes, spectra
from ssr_cli.physics.kernels import default_dictionary, moments, with_sensor_box

DICTIONARY = default_dictionary()


def _of(major: float, minor: float, degrees: float, count: int = 5) -> torch.Tensor:
    kernel = with_sensor_box(shapes.gaussian(major, minor, math.radians(degrees))[None], 4)
    return moments(kernel, 4).expand(3, count)


@pytest.mark.parametrize("degrees", [0, 22.5, 45, 90, 112.5, 157.5])
def test_long_axes_are_told_counter_clockwise_from_horizontal(degrees: float) -> None:
    assert directions.number_of(_of(3, 1, degrees)).tolist() == [round(degrees / 22.5)] * 5


def test_moments_under_a_map_are_those_of_the_mapped_kernel() -> None:
    turned = directions.mapped(_of(3, 1, 20), spectra.QUARTER_TURN)
    assert torch.allclose(turned, _of(3, 1, 110), atol=0.02)
    longer = directions.mapped(_of(2, 2, 0), spectra.stretched(math.radians(60), 2.25))
    assert torch.allclose(longer, _of(3, 4 / 3, 60), atol=0.1)
    assert torch.allclose(directions.mapped(_of(2, 1, 30), spectra.zoomed(1.2)), 1.44 * _of(2, 1, 30), atol=1e-4)


def test_a_direction_that_is_seen_contradicts_round_and_turned_kernels_alone() -> None:
    seen = _of(2.4, 2.0, 30)
    assert directions.contradicted(_of(2.2, 2.2, 0), seen)
    assert directions.contradicted(_of(3, 1.5, 120), seen)
    assert not directions.contradicted(_of(3, 1.5, 30), seen)
    assert not directions.contradicted(_of(3, 1.5, 0), _of(2.2, 2.1, 0)), "what is hardly seen says nothing"
