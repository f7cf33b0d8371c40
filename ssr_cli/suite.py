"""The builder: every number of the lite suite, its models under one roof, and how a checkpoint becomes them."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch
from torch import nn

from ssr_cli.diffusion.consistency import ConsistencyConfig
from ssr_cli.diffusion.flow import Flow, FlowConfig
from ssr_cli.diffusion.stable import StablePrior
from ssr_cli.errors import WeightsError
from ssr_cli.growth import grown
from ssr_cli.models.amf import Amf, AmfConfig
from ssr_cli.models.depth import DepthConfig, DepthNet
from ssr_cli.models.restorer import Restorer, RestorerConfig
from ssr_cli.models.svkr import Svkr, SvkrConfig
from ssr_cli.physics.kernels import KernelDictionary, default_dictionary
from ssr_cli.weights import Checkpoint

_PARTS: dict[str, type[Any]] = {
    "depth": DepthConfig,
    "svkr": SvkrConfig,
    "amf": AmfConfig,
    "restorer": RestorerConfig,
    "flow": FlowConfig,
    "consistency": ConsistencyConfig,
}
#: What parts and their numbers were before checkpoints named them.
_BEFORE: dict[str, dict[str, Any]] = {
    "consistency": {"level": 1.0},
    "amf": {"stride": 1},
    "flow": {"stem": 3},
    "svkr": {"hidden": 48, "blocks": 2, "stride": 1},
}


@dataclass(frozen=True)
class SuiteConfig:
    """Configurations of all parts; the defaults are the bundled checkpoint's."""

    depth: DepthConfig = field(default_factory=DepthConfig)
    svkr: SvkrConfig = field(default_factory=SvkrConfig)
    amf: AmfConfig = field(default_factory=AmfConfig)
    restorer: RestorerConfig = field(default_factory=RestorerConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a checkpoint's metadata."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SuiteConfig:
        """Read back what `to_dict` wrote (lists become tuples again).

        Raises:
            KeyError: for a part or a number this version does not know.
        """
        parts: dict[str, Any] = {}
        for name, kind in _PARTS.items():
            values = data[name] if name in data else _BEFORE[name]
            values = {**_BEFORE.get(name, {}), **values}
            if name == "svkr" and "depth_rounds" not in values:
                # before refiners, or with one that only added: such a suite leaves depth as it came
                values = {k: v for k, v in values.items() if k != "depth_step"} | {"depth_widths": ()}
            if unknown := set(values) - {f.name for f in fields(kind)}:
                raise KeyError(f"{name}.{sorted(unknown)[0]}")
            parts[name] = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
        return cls(**parts)


class Suite(nn.Module):
    """The lite models, built from one configuration."""

    def __init__(self, config: SuiteConfig) -> None:
        super().__init__()
        self.config = config
        self.depth = DepthNet(config.depth)
        self.svkr = Svkr(config.svkr)
        self.amf = Amf(config.amf)
        self.restorer = Restorer(config.restorer)
        self.flow = Flow(config.flow)

    @property
    def restoration(self) -> nn.ModuleDict:
        """AMF and restorer, which are trained together (same parameters, not copies)."""
        return nn.ModuleDict({"amf": self.amf, "restorer": self.restorer})

    @property
    def generation(self) -> nn.ModuleDict:
        """AMF, restorer and flow, where they are trained as one."""
        return nn.ModuleDict({"amf": self.amf, "restorer": self.restorer, "flow": self.flow})


@dataclass(frozen=True)
class Models:
    """Built models on their device.

    Attributes:
        suite: the lite models.
        dictionary: of kernels.
        device: where they are.
        stable: a Stable Diffusion prior that takes the flow's place, or None.
        precision: what the lite networks compute with, where `networks` is entered, and corrections by the kernels;
            what these leave unexplained is always found in float32.
    """

    suite: Suite
    dictionary: KernelDictionary
    device: torch.device
    stable: StablePrior | None = None
    precision: torch.dtype = torch.float32

    def networks(self) -> AbstractContextManager[object]:
        """What networks are to be called in: sums are float32 in any case, factors are of `precision`."""
        lower = self.precision != torch.float32
        return torch.autocast(self.device.type, self.precision) if lower else nullcontext()


def load_models(checkpoint: Checkpoint, device: torch.device) -> Models:
    """Build the models of a checkpoint.

    Args:
        checkpoint: see `weights.load_checkpoint`.
        device: where they run.

    Raises:
        WeightsError: if the tensors do not fit the configuration.
    """
    try:
        with torch.device("meta"):
            suite = Suite(SuiteConfig.from_dict(checkpoint.config))
        suite.load_state_dict(grown(checkpoint.state, suite.state_dict()), assign=True)
    except (KeyError, TypeError, RuntimeError) as error:
        text = str(error).splitlines()[0]
        raise WeightsError(
            f"The checkpoint does not fit this version of ssr: {text}.", "Update ssr or use --model lite."
        ) from error
    suite.eval().requires_grad_(False)
    return Models(suite.to(device, memory_format=torch.channels_last), default_dictionary(), device)  # type: ignore[call-overload]
