"""`ssr bench`: figures beside bicubic's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ssr_cli.commands.upscale import load
from ssr_cli.console import Console
from ssr_cli.errors import UsageError
from ssr_cli.paths import check_writable, publish
from ssr_cli.settings import UpscaleOptions

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


def run(job: BenchJob, console: Console) -> None:
    """Score.

    Raises:
        SsrError: naming what was wrong.
    """
    foreign: dict[str, Path] = {}
    for pair in job.outputs:
        name, equals, folder = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--outputs {pair} is not NAME=DIR.", "Write for example --outputs peer=results/peer.")
        foreign[name] = Path(folder)
    if job.rgbd and (job.sets or job.outputs or job.table or job.ablate):
        raise UsageError("--rgbd scores depth alone.", "Leave out --synthetic, --outputs, --table and --ablate.")
    if job.trial and (not job.sets or job.outputs or job.table or job.ablate):
        raise UsageError(
            "--trial tries the kernels of synthetic sets.", "Use it with --synthetic, --sets and --out alone."
        )
    if job.kept and (not job.sets or job.trial or job.outputs or job.table or job.ablate):
        raise UsageError("--kept renders sharp photos out of focus.", "Use it with --synthetic and --out alone.")
    for path in (job.out, job.table):
        if path is not None:
            check_writable(path, job.force)
    if job.trial:
        from ssr_cli.evaluation.verdicts import score_verdicts
        from ssr_cli.paths import expand_folder

        photos = [p for folder in job.folders for p in expand_folder(folder, recursive=False)]
        score_verdicts(photos, job.limit, console, job.sets, job.out)
        return
    from ssr_cli.evaluation.selfcheck import check_metrics

    check_metrics(job.lpips_weights)
    models = load(job.model, job.options, console)
    if job.rgbd:
        from ssr_cli.evaluation.rgbd import score_depth

        score_depth(job.folders, models, job.options, job.limit, console, job.out)
        return
    if job.kept:
        from ssr_cli.evaluation.kept_focus import score_kept
        from ssr_cli.paths import expand_folder

        photos = [p for folder in job.folders for p in expand_folder(folder, recursive=False)]
        score_kept(photos, models, job.options, job.limit, console, job.out)
        return
    if job.sets:
        from ssr_cli.evaluation.measured_kernels import read_kernels
        from ssr_cli.evaluation.synthetic import score_synthetic
        from ssr_cli.paths import expand_folder

        photos = [p for folder in job.folders for p in expand_folder(folder, recursive=False)]
        rows = score_synthetic(
            photos,
            models,
            job.options,
            job.lpips_weights,
            job.limit,
            console,
            sets=job.sets,
            jsonl=job.out,
            ablate=job.ablate,
            shakes=read_kernels(job.shake_kernels) if job.shake_kernels else (),
        )
    else:
        from ssr_cli.evaluation.benchmark import score_pairs

        rows = score_pairs(
            job.folders, models, job.options, job.lpips_weights, job.limit, console, foreign, job.out, job.ablate
        )
    if job.table is not None:
        from ssr_cli.evaluation.rows import markdown

        with publish(job.table, job.force) as temporary:
            temporary.write_text(markdown(rows), encoding="utf-8")
