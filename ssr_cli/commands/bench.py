"""`ssr bench`: figures beside bicubic's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_cli.commands.upscale import load, load_depth
from ssr_cli.console import Console
from ssr_cli.errors import UsageError
from ssr_cli.paths import check_writable, expand_folder, publish
from ssr_cli.settings import UpscaleOptions

if TYPE_CHECKING:
    from ssr_cli.depth_source import DepthSource
    from ssr_cli.evaluation.rows import Row
    from ssr_cli.suite import Models

#: Depth that is our own estimate, and those that only a synthetic scene knows, as `evaluation.given_depths.OF_SCENE`
#: names them (which cannot be imported before torch is wanted).
LITE, OF_SCENE = "lite", ("true", "soft", "displaced", "bent", "wrong")
#: The synthetic sets, as `evaluation.scenes.SETS` names them (which cannot be imported before torch is wanted).
ALL_SETS = ("defocus", *(f"blocks-{mode}" for mode in range(1, 6)), "shake", "single")


@dataclass(frozen=True)
class BenchJob:
    """What was asked for."""

    folders: tuple[Path, ...]
    options: UpscaleOptions
    model: str
    lpips_weights: Path | None
    limit: int | None
    sets: tuple[str, ...]
    shake_kernels: tuple[Path, ...]
    rgbd: bool
    outputs: tuple[str, ...]
    out: Path | None
    table: Path | None
    ablate: bool
    force: bool
    trial: bool = False
    kept: bool = False
    confidence: bool = False
    depth: str = LITE


def run(job: BenchJob, console: Console) -> None:
    """Score.

    Raises:
        SsrError: naming what was wrong.
    """
    check(job)
    foreign = named_folders(job.outputs)
    for path in (job.out, job.table):
        if path is not None:
            check_writable(path, job.force)
    if job.trial:  # the only figures that need no metrics
        from ssr_cli.evaluation.verdicts import score_verdicts

        models = load(job.model, job.options, console)
        score_verdicts(photos_of(job), models, job.limit, console, job.sets, job.out)
        return
    from ssr_cli.evaluation.selfcheck import check_metrics

    check_metrics(job.lpips_weights)
    models = load(job.model, job.options, console)
    if job.rgbd:
        from ssr_cli.evaluation.rgbd import score_depth

        score_depth(job.folders, models, job.options, job.limit, console, job.out)
    elif job.kept:
        from ssr_cli.evaluation.kept_focus import score_kept

        score_kept(photos_of(job), models, job.options, job.limit, console, job.out)
    elif job.confidence:
        from ssr_cli.evaluation.sureness import score_confidence

        score_confidence(job.folders, models, job.options, job.limit, console, job.out)
    else:
        rows = score_pictures(job, models, foreign, console)
        if job.table is not None:
            from ssr_cli.evaluation.rows import markdown

            with publish(job.table, job.force) as temporary:
                temporary.write_text(markdown(rows), encoding="utf-8")


def check(job: BenchJob) -> None:
    """Refuse what does not go together.

    Raises:
        UsageError: naming it.
    """
    more = job.outputs or job.table or job.ablate
    only = [name for name in ("rgbd", "trial", "kept", "confidence") if getattr(job, name)]
    if len(only) > 1:
        raise UsageError(f"--{only[0]} and --{only[1]} are two benches.", "Run one after the other.")
    if job.depth != LITE and only:
        raise UsageError("--depth belongs to pairs and synthetic sets.", f"Leave out --{only[0]}.")
    if job.depth in OF_SCENE and not job.sets:
        raise UsageError("No pair has a true depth.", f"Use --depth {job.depth} with --synthetic.")
    if job.rgbd and (job.sets or more):
        raise UsageError("--rgbd scores depth alone.", "Leave out --synthetic, --outputs, --table and --ablate.")
    if job.trial and (not job.sets or more):
        raise UsageError(
            "--trial tries the kernels of synthetic sets.", "Use it with --synthetic, --sets and --out alone."
        )
    if job.kept and (not job.sets or more):
        raise UsageError("--kept renders sharp photos out of focus.", "Use it with --synthetic and --out alone.")
    if job.confidence and (job.sets or more):
        raise UsageError("--confidence scores pairs of photos alone.", "Use it with --limit and --out alone.")


def named_folders(outputs: tuple[str, ...]) -> dict[str, Path]:
    """Other programs' results, by name.

    Raises:
        UsageError: for what is not NAME=DIR.
    """
    folders: dict[str, Path] = {}
    for pair in outputs:
        name, equals, folder = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--outputs {pair} is not NAME=DIR.", "Write for example --outputs peer=results/peer.")
        folders[name] = Path(folder)
    return folders


def photos_of(job: BenchJob) -> list[Path]:
    """The photos in the folders."""
    return [photo for folder in job.folders for photo in expand_folder(folder, recursive=False)]


def depth_of(job: BenchJob, models: Models, console: Console) -> DepthSource:
    """Where ours has its depth from.

    Raises:
        UsageError: for a depth map: it is that of one photo.
    """
    from ssr_cli.depth_source import is_file

    if is_file(job.depth):
        raise UsageError(
            f"--depth {job.depth} is the depth of one photo.", f"Name an estimator, none, or {', '.join(OF_SCENE)}."
        )
    return load_depth(job.depth, False, models.device, console)


def score_pictures(job: BenchJob, models: Models, foreign: dict[str, Path], console: Console) -> list[Row]:
    """Score enlargements: of photos degraded here, or of pairs."""
    if not job.sets:
        from ssr_cli.evaluation.benchmark import score_pairs

        return score_pairs(
            job.folders,
            models,
            job.options,
            job.lpips_weights,
            job.limit,
            console,
            foreign,
            job.out,
            job.ablate,
            depth_of(job, models, console),
        )
    from ssr_cli.evaluation import given_depths
    from ssr_cli.evaluation.measured_kernels import read_kernels
    from ssr_cli.evaluation.synthetic import score_synthetic

    known = given_depths.OF_SCENE.get(job.depth)
    return score_synthetic(
        photos_of(job),
        models,
        job.options,
        job.lpips_weights,
        job.limit,
        console,
        sets=job.sets,
        jsonl=job.out,
        ablate=job.ablate,
        shakes=read_kernels(job.shake_kernels) if job.shake_kernels else (),
        depth=given_depths.of_photo(depth_of(job, models, console)) if known is None else known,
    )
