"""Stages of `ssr train`, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from ssr_cli.errors import UsageError, WeightsError
from ssr_cli.growth import begun_from
from ssr_cli.suite import OPTICAL, Suite, SuiteConfig, split_state
from ssr_cli.synthesis.origins import PROCESSED
from ssr_cli.training.crispness import crispest
from ssr_cli.training.loop import Report, Stage, load_average, state_file, train
from ssr_cli.training.options import TrainOptions
from ssr_cli.training.pool import SHARD, ScenePool, list_photos, load_photo, render_scenes
from ssr_cli.training.shards import render_shards, shard_files
from ssr_cli.training.structure import most_structured_first
from ssr_cli.weights import load_checkpoint

#: In the order they are trained, each with the ones before it frozen; then the checkpoint, and the bench's own model.
STAGES = (
    "scenes",
    "depth",
    "svkr",
    "refiner",
    "restorer",
    "flow",
    "joint",
    "distil",
    "sd-adapter",
    "pack",
    "join",
    "niqe",
)
#: What has the weights of a part of the suite once it is trained; the last one's word counts.
_TRAINED = ("depth", "svkr", "refiner", "restorer", "flow", "joint", "distil")


def load_pool(options: TrainOptions, device: torch.device, report: Report) -> ScenePool:
    """Render what is missing of the pool, then read it."""
    photos = list_photos(options.photos)
    progress = lambda done, of: report(f"scenes: {done}/{of} shards of {SHARD}")  # noqa: E731
    folder = options.out / ("scenes-optical" if options.optical else "scenes")
    cameras = 0.0 if options.optical else PROCESSED
    if not all(path.exists() for path in shard_files(folder, options.scenes, SHARD, options.seed)):
        report(f"scenes: looking how crisp and how structured {len(photos)} photos are")
        photos = most_structured_first(crispest(photos, load_photo), load_photo)
    shards = render_shards(
        partial(render_scenes, cameras=cameras),
        photos,
        folder,
        options.scenes,
        SHARD,
        options.seed,
        options.workers,
        progress,
    )
    steady = options.stage in ("flow", "joint")
    return ScenePool(shards, SHARD, device, options.processed, steady, options.optical)


def begun_suite(options: TrainOptions) -> Suite:
    """The models as training begins with them: of the seed, or of the checkpoint's suite for the same photos."""
    torch.manual_seed(options.seed)
    suite = Suite(SuiteConfig.optical() if options.optical else SuiteConfig())
    if options.init is not None:
        checkpoint = load_checkpoint(options.init)
        first, second = split_state(checkpoint.state)
        state = second if options.optical and OPTICAL in checkpoint.config else first
        suite.load_state_dict(begun_from(state, suite.state_dict()))
    return suite


def part_of_stage(suite: Suite, stage: str) -> nn.Module:
    """What a stage trains."""
    if stage == "refiner":
        assert suite.svkr.refiner is not None
        return suite.svkr.refiner
    together = {"restorer": "restoration", "joint": "generation", "distil": "generation"}
    part: nn.Module = getattr(suite, together.get(stage, stage))
    return part


def load_suite(options: TrainOptions, device: torch.device, needed: tuple[str, ...]) -> Suite:
    """The models, with what earlier stages learnt.

    Args:
        options: where the states lie.
        device: where the models go.
        needed: stages whose state must be there.

    Raises:
        WeightsError: if one is not.
    """
    suite = begun_suite(options)
    for name in _TRAINED:
        path = state_file(options, name)
        if path.exists():
            part_of_stage(suite, name).load_state_dict(load_average(path))
        elif name in needed and options.init is None:
            raise WeightsError(
                f"The {name} stage has no state in {options.out}.", f"Run ssr train --stage {name} first."
            )
    return suite.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def build_adapter_stage(options: TrainOptions, pool: ScenePool, device: torch.device, report: Report) -> Stage:
    """The adapter's stage: a suite that is trained already, a backbone, and the embedding of the empty prompt.

    Raises:
        UsageError: if no backbone was named.
        WeightsError: if backbone or suite cannot be had.
    """
    from ssr_cli.backbone import backbone_entry, load_backbone
    from ssr_cli.models.adapter import SdAdapter
    from ssr_cli.suite import load_models
    from ssr_cli.training.prompt import empty_prompt
    from ssr_cli.training.stage_adapter import AdapterStage, config_for

    if options.backbone is None:
        raise UsageError("The sd-adapter stage needs a backbone.", "Name one with --backbone sd-turbo.")
    entry = backbone_entry(options.backbone)
    backbone = load_backbone(entry, device)
    report(f"sd-adapter: embedding the empty prompt of {entry.id}")
    prompt = empty_prompt(entry)
    torch.manual_seed(options.seed)
    adapter = SdAdapter(config_for(backbone.unet, prompt.shape[-1]))
    adapter.prompt = prompt
    suite = load_models(load_checkpoint(options.suite), device).suite
    return AdapterStage(suite, backbone, adapter.to(device), pool, options)


def build_stage(options: TrainOptions, device: torch.device, report: Report) -> Stage:
    """Models, data and loss of the asked-for stage."""
    from ssr_cli.suite import load_models
    from ssr_cli.training.stage_depth import DepthStage
    from ssr_cli.training.stage_distil import DistilStage
    from ssr_cli.training.stage_flow import FlowStage
    from ssr_cli.training.stage_joint import JointStage
    from ssr_cli.training.stage_refiner import RefinerStage
    from ssr_cli.training.stage_restorer import RestorerStage
    from ssr_cli.training.stage_svkr import SvkrStage

    if options.stage == "depth":
        return DepthStage(load_suite(options, device, ()).depth, list_photos(options.photos), options, device, report)
    pool = load_pool(options, device, report)
    if options.stage == "sd-adapter":
        return build_adapter_stage(options, pool, device, report)
    needed: dict[str, tuple[str, ...]] = {"svkr": (), "refiner": ("svkr",), "restorer": ("svkr",)}
    before = needed.get(options.stage, ("svkr", "restorer"))
    suite = load_suite(options, device, before)
    report(f"{options.stage}: asking the depth net about {options.scenes} scenes")
    pool.estimate_depth(suite.depth)
    if options.stage == "svkr":
        return SvkrStage(suite.svkr, pool, options)
    if options.stage == "distil":
        return DistilStage(suite, load_models(load_checkpoint(options.suite), device).suite, pool, options)
    if options.stage == "refiner":
        return RefinerStage(suite.svkr, pool, options)
    stages: dict[str, Callable[[Suite, ScenePool, TrainOptions], Stage]] = {
        "restorer": RestorerStage,
        "flow": FlowStage,
        "joint": JointStage,
    }
    return stages[options.stage](suite, pool, options)


def train_stage(options: TrainOptions, report: Report) -> dict[str, float]:
    """Run one stage.

    Args:
        options: see `TrainOptions`.
        report: receives lines of progress.

    Returns:
        Final figures of the stage.

    Raises:
        UsageError: for an unknown stage.
        InputError: for missing photos.
        WeightsError: for a missing earlier stage.
    """
    from ssr_cli.device import resolve_device

    if options.stage not in STAGES:
        raise UsageError(f"There is no stage {options.stage!r}.", f"Choose one of {', '.join(STAGES)}.")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = resolve_device(options.device)
    if options.stage == "scenes":
        load_pool(options, device, report)
        return {}
    if options.stage == "niqe":
        from ssr_cli.training.fit_niqe import write_niqe

        return write_niqe(options, report)
    if options.stage == "pack":
        from ssr_cli.training.pack import pack

        return pack(options, report)
    if options.stage == "join":
        from ssr_cli.training.join import join

        return join(options, report)
    return train(build_stage(options, device, report), options, device, report)
