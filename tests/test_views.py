"""Pictures say what the numbers say: colours rise, panels have their size, kernels are where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssr_cli import views
from ssr_cli.frames import DepthMap, KernelField, Photo
from ssr_cli.physics.kernels import default_dictionary
from ssr_cli.pipeline import analyse
from ssr_cli.settings import UpscaleOptions

DICTIONARY = default_dictionary()


def _field(names: list[str]) -> KernelField:
    """A field of vertical stripes, one atom each, 8 x 8 LR pixels per stripe."""
    weights = torch.zeros(len(DICTIONARY.names), 8, 8 * len(names))
    for i, name in enumerate(names):
        weights[DICTIONARY.names.index(name), :, 8 * i : 8 * i + 8] = 1
    covariance = torch.einsum("lhw,cl->chw", weights, DICTIONARY.covariance)
    plane = torch.full(weights.shape[1:], 0.1)
    return KernelField(weights, covariance, plane, plane, 4)


def test_the_palette_gets_steadily_lighter() -> None:
    colours = views.palette(torch.linspace(0, 1, 256)[None])
    light = (0.299 * colours[0] + 0.587 * colours[1] + 0.114 * colours[2])[0]
    assert bool((light.diff() > 0).all())
    assert float(light[-1] - light[0]) > 0.5


def test_brighter_is_nearer_and_blurrier() -> None:
    depth = np.asarray(views.depth_view(DepthMap(torch.linspace(0, 1, 16).expand(4, 16)), (40, 160)))
    assert depth.shape == (40, 160, 3)
    assert depth[20, 150].sum() > depth[20, 5].sum()
    field = _field(["sharp", "disk, radius 11.8 px"])
    radius = np.asarray(views.radius_view(field, (80, 160), 12.0))
    assert radius[40, 120].sum() > radius[40, 40].sum()
    assert views.radius_limit(field) == pytest.approx(12.0, abs=0.5)


def test_kernels_lie_where_they_belong() -> None:
    """Left of the photo horizontal strokes, right of it vertical ones: the tiles' second moments must say so."""
    field = _field(["motion, 20 px at 0 deg", "motion, 20 px at 90 deg"])
    picture, shown = views.kernel_sheet(Photo(torch.zeros(3, 8, 16)), field, DICTIONARY, (62, 124))
    assert 20 <= shown <= 28
    light = np.asarray(picture).astype(float).sum(2)
    spreads = []
    for tile in (light[10:52, 10:52], light[10:52, 72:114]):
        bright = np.argwhere(tile > 0.7 * tile.max())
        spreads.append((bright[:, 0].std(), bright[:, 1].std()))
    assert spreads[0][1] > 3 * spreads[0][0]
    assert spreads[1][0] > 3 * spreads[1][1]


def test_small_kernels_are_shown_large() -> None:
    _, shown = views.kernel_sheet(Photo(torch.zeros(3, 8, 8)), _field(["sharp"]), DICTIONARY, (56, 56))
    assert shown == 8


@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (3, 120), (200, 9)])
def test_sheets_of_photos_of_any_shape(shape: tuple[int, int], tiny_models) -> None:
    photo = Photo(torch.rand(3, *shape))
    picture = views.kernel_view(photo, analyse(photo, tiny_models, UpscaleOptions()), DICTIONARY)
    assert picture.mode == "RGB"
    assert 240 <= picture.width <= 2500
    assert np.asarray(picture).std() > 5
