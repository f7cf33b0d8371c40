"""The builder: every number of the lite suite, its models under one roof, and how a checkpoint becomes them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from ssr_cli.diffusion.consistency import ConsistencyConfig
from ssr_cli.diffusion.flow import Flow, FlowConfig
from ssr_cli.diffusion.stable import StablePrior
from ssr_cli.errors import WeightsError
from ssr_cli.growth import grown
from ssr_cli.models.amf import Amf, AmfConfig
from ssr_cli.models.depth import DepthConfig, DepthNet
from ssr_cli.models.lens import PhotoPrior
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


#: What a checkpoint calls its second suite, in its configuration and before the names of its tensors.
OPTICAL = "optical"
#: Probability of a camera's processing below which a photo is taken for one that nobody processed.
_EVEN = 0.5


@dataclass(frozen=True)
class SuiteConfig:
    """Configurations of all parts; the defaults are the bundled checkpoint's."""

    depth: DepthConfig = field(default_factory=DepthConfig)
    svkr: SvkrConfig = field(default_factory=SvkrConfig)
    amf: AmfConfig = field(default_factory=AmfConfig)
    restorer: RestorerConfig = field(default_factory=RestorerConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)

    @classmethod
    def optical(cls) -> SuiteConfig:
        """Of the suite for photos that nobody processed: a larger restorer, whose scenes are right; it knows
        their light and their grain."""
        restorer = RestorerConfig(widths=(64,), encoder=(8,), doubt=0.0)
        return cls(
            svkr=SvkrConfig(light=True), amf=AmfConfig(facts=True), restorer=restorer, flow=FlowConfig(features=64)
        )

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


def told_light(prior: PhotoPrior, suite: Suite) -> Tensor | None:
    """The light (B,) that blur happened in, see `physics.light`; None for linear where a suite does not ask."""
    return prior.light if suite.config.svkr.light else None


@dataclass(frozen=True)
class Models:
    """Built models on their device.

    Attributes:
        suite: the lite models, for photos that a camera processed or somebody edited.
        optical: those for photos that nobody processed, where nothing but optics, pixels and noise lies between scene
            and photo; None where the former are for all.
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
    optical: Suite | None = None

    def for_photo(self, processed: float) -> Models:
        """Those of these models that a photo is for.

        What cameras and editors do to pixels no scene has quite right, and what is learnt for their photos is careful.
        Where y = A x + n holds scenes are right, and networks that learn from them alone go further.

        Args:
            processed: probability that a camera processed the photo.
        """
        chosen = self.suite
        if self.optical is not None and self.stable is None and processed < _EVEN:
            chosen = self.optical
        return replace(self, suite=chosen, optical=None)

    def networks(self) -> AbstractContextManager[object]:
        """What networks are to be called in: sums are float32 in any case, factors are of `precision`."""
        lower = self.precision != torch.float32
        return torch.autocast(self.device.type, self.precision) if lower else nullcontext()


def _built(config: dict[str, Any], state: Mapping[str, Tensor], device: torch.device) -> Suite:
    """A suite of its numbers and tensors, on a device; other tensors are an error."""
    with torch.device("meta"):
        suite = Suite(SuiteConfig.from_dict(config))
    suite.load_state_dict(grown(state, suite.state_dict()), assign=True)
    suite.eval().requires_grad_(False)
    return suite.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def split_state(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of a checkpoint's suite, and of its optical one, which shares the former's depth net."""
    prefix = f"{OPTICAL}."
    suite = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    optical = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return suite, optical | {name: tensor for name, tensor in suite.items() if name.startswith("depth.")}


def load_models(checkpoint: Checkpoint, device: torch.device) -> Models:
    """Build the models of a checkpoint.

    Args:
        checkpoint: see `weights.load_checkpoint`.
        device: where they run.

    Raises:
        WeightsError: if the tensors do not fit the configuration.
    """
    state, second = split_state(checkpoint.state)
    try:
        suite = _built(checkpoint.config, state, device)
        optical = None
        if OPTICAL in checkpoint.config:
            optical = _built(checkpoint.config[OPTICAL], second, device)
            optical.depth = suite.depth
    except (KeyError, TypeError, RuntimeError) as error:
        text = str(error).splitlines()[0]
        raise WeightsError(
            f"The checkpoint does not fit this version of ssr: {text}.", "Update ssr or use --model lite."
        ) from error
    return Models(suite, default_dictionary(), device, optical=optical)
