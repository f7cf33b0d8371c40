"""Shared stand-ins: tiny random models, so that no test needs a download, a GPU or training."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import settings

from ssr_cli.diffusion.flow import FlowConfig
from ssr_cli.models.amf import AmfConfig
from ssr_cli.models.depth import DepthConfig
from ssr_cli.models.restorer import RestorerConfig
from ssr_cli.models.svkr import SvkrConfig
from ssr_cli.suite import Models, Suite, SuiteConfig, load_models
from ssr_cli.training.pool import ScenePool
from ssr_cli.weights import Checkpoint

# a busy machine is no defect
settings.register_profile("ssr", deadline=None)
settings.load_profile("ssr")

TINY = SuiteConfig(
    depth=DepthConfig(side=32, stem=8, widths=(8, 8), blocks=(1, 1)),
    svkr=SvkrConfig(widths=(8, 8, 8), encoder=(1, 1, 1), decoder=(1, 1), hidden=8, depth_widths=(8, 8, 8)),
    amf=AmfConfig(width=8, heads=2, pyramid=(6, 6, 6)),
    restorer=RestorerConfig(widths=(8, 8, 8), encoder=(1, 1, 1), decoder=(1, 1), conditions=(6, 6, 6)),
    flow=FlowConfig(widths=(8, 8, 8), encoder=(1, 1, 1), decoder=(1, 1), conditions=(6, 6, 6), features=8),
)


def tiny_suite(seed: int = 0, config: SuiteConfig = TINY) -> Suite:
    """A tiny suite whose zero-initialised layers are made random, so that every path carries a signal."""
    torch.manual_seed(seed)
    suite = Suite(config)
    for value in suite.parameters():
        if value.ndim == 4 and not value.any():
            torch.nn.init.normal_(value, 0.0, 0.05)
    return suite


def scene_of_discs(seed: int, side: int = 512) -> torch.Tensor:
    """Overlapping discs and rectangles of flat colours, of all sizes: edges in all directions, at all scales."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    picture = torch.full((3, side, side), 0.5)
    for _ in range(260):
        cy, cx, size, turn, ratio, *colour = torch.rand(8, generator=generator).tolist()
        radius, turn = 6 * (12 ** (1 - size)), turn * math.pi
        u = (x - cx * side) * math.cos(turn) + (y - cy * side) * math.sin(turn)
        v = (y - cy * side) * math.cos(turn) - (x - cx * side) * math.sin(turn)
        shape = torch.hypot(u, v) < radius if ratio < 0.5 else (u.abs() < radius) & (v.abs() < radius * ratio)
        picture = torch.where(shape, torch.tensor(colour)[:, None, None], picture)
    return picture


class NoisePool(ScenePool):
    """A pool of six scenes of noise, on any device: "meta", where every place that forgets to move a tensor fails."""

    def __init__(self, device: str = "cpu") -> None:
        torch.manual_seed(0)
        self.device = torch.device(device)
        self.processed, self.optical = 0.5, False
        self.scenes, self.kept = ((np.arange(n, n + 3), np.arange(n, n + 3)) for n in (0, 3))
        self.variance = np.ones((6, 32, 32), np.float16)
        channels = {"hr": 3, "clean": 3, "code": 24, "covariance": 3, "disparity": 1}
        self.data = {
            k: torch.rand(6, c, *[128 if k == "hr" else 32] * 2, device=self.device) for k, c in channels.items()
        }
        self.data["hr"] = (255 * self.data["hr"]).byte()
        self.data["light"] = torch.rand(6, device=self.device)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors are faster on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny_models() -> Models:
    """Tiny random models on the CPU."""
    suite = tiny_suite()
    return load_models(Checkpoint(TINY.to_dict(), suite.state_dict(), {}), torch.device("cpu"))


@pytest.fixture
def tiny_checkpoint(tmp_path):
    """The same as a file."""
    from ssr_cli.weights import save_checkpoint

    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, TINY.to_dict(), tiny_suite().state_dict(), {"licence": "none"})
    return path
