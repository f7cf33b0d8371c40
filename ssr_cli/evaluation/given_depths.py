"""The depth that a synthetic scene is begun with: our estimate, another's, the true one, or that with one fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ssr_cli.evaluation.scenes import Scene
from ssr_cli.frames import DepthMap, Photo
from ssr_cli.synthesis import spoil

if TYPE_CHECKING:
    from ssr_cli.depth_source import DepthSource

#: Gives the depth to begin with, or None for the suite's own estimate.
SceneDepth = Callable[[Scene], DepthMap | None]
#: Strength of each fault, in the upper half of what training has: sigma of soft edges and reach of displacements in LR
#: pixels, size of slow waves in units of the largest disparity.
_SOFT_PX, _REACH_PX, _WAVES = 2.0, 2.5, 0.1


def own_estimate(scene: Scene) -> None:
    """No depth: the suite estimates it."""


def true_depth(scene: Scene) -> DepthMap:
    """The depth that the scene was blurred by."""
    return DepthMap(scene.truth.disparity)


def of_photo(source: DepthSource) -> SceneDepth:
    """What an estimator says of the scene's photo."""
    return lambda scene: source(Photo(scene.truth.lr))


def _with_fault(fault: Callable[[Tensor, np.random.Generator], Tensor]) -> SceneDepth:
    """The true depth with a fault that depends on the scene alone."""

    def given(scene: Scene) -> DepthMap:
        true = scene.truth.disparity[None]
        return DepthMap(fault(true, np.random.default_rng(int(true.sum() * 1000)))[0].clamp(0, 1))

    return given


#: The true depth with the faults of an estimator, as training draws them.
spoiled_depth = _with_fault(lambda true, rng: spoil.spoil(true, true.flip(-1), rng)[0])
#: What can be begun with because the scene is known, by name.
OF_SCENE: dict[str, SceneDepth] = {
    "true": true_depth,
    "soft": _with_fault(lambda true, rng: spoil.blurred(true, _SOFT_PX)),
    "displaced": _with_fault(lambda true, rng: spoil.displaced(true, rng, _REACH_PX)),
    "bent": _with_fault(lambda true, rng: spoil.bent(true, rng, _WAVES)),
    "wrong": _with_fault(lambda true, rng: true.flip(-1)),
}
