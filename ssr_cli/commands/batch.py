"""`ssr batch`: every photo of a folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ssr_cli.commands.upscale import load, load_depth
from ssr_cli.console import Console
from ssr_cli.errors import BatchFailed, InputError, SsrError, UsageError
from ssr_cli.paths import check_writable, expand_folder, make_folder, plan_batch
from ssr_cli.settings import FileOptions, UpscaleOptions


@dataclass(frozen=True)
class BatchJob:
    """What was asked for."""

    folder: Path
    out: Path | None
    recursive: bool
    options: UpscaleOptions
    model: str
    depth: str
    force: bool
    files: FileOptions


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    photo: Path
    output: Path
    status: str  # "done", "skipped", "failed"
    reason: str
    seconds: float


def run(job: BatchJob, console: Console) -> None:
    """Work through the folder with one loaded model.

    Raises:
        BatchFailed: if any photo failed, after all were tried.
        InputError: if there is nothing to do.
        OutputError: if the results' folder cannot be made.
        UsageError: if the depth is a file's.
    """
    from ssr_cli.depth_source import is_file

    if is_file(job.depth):
        raise UsageError(f"--depth {job.depth} is the depth of one photo.", "Use it with ssr upscale.")
    photos = expand_folder(job.folder, job.recursive)
    if not photos:
        raise InputError(f"{job.folder} holds no photos.", "Name another folder, or use -r for the folders inside.")
    if job.out is not None:
        make_folder(job.out)
    plan = plan_batch(photos, job.folder, job.options.scale, job.out, job.files.suffix)
    work = _Worker(job, console)
    outcomes = []
    with console.progress(job.folder.name) as tell:
        for number, (photo, target) in enumerate(plan):
            tell(photo.name, number, len(plan))
            outcome = work.one(photo, target)
            outcomes.append(outcome)
            _report(outcome, console)
    _summary(outcomes, console)
    failed = sum(o.status == "failed" for o in outcomes)
    if failed:
        raise BatchFailed(
            f"{failed} of {len(outcomes)} photos failed.", "The lines above say why; the others are done."
        )


class _Worker:
    """Does one photo after another; the model is loaded at the first that needs it."""

    def __init__(self, job: BatchJob, console: Console) -> None:
        self.job = job
        self.models = load(job.model, job.options, console)
        self.depth = load_depth(job.depth, False, self.models.device, console)

    def one(self, photo: Path, target: Path) -> Outcome:
        """One photo; its failure is an outcome, not an exception."""
        start = time.monotonic()
        if target.exists() and not self.job.force:
            return Outcome(photo, target, "skipped", "the output exists; --force overwrites", 0.0)
        try:
            self._upscale(photo, target)
        except SsrError as error:
            return Outcome(photo, target, "failed", f"{error.message} {error.hint}", time.monotonic() - start)
        except Exception as error:  # one bad file never stops the rest
            return Outcome(photo, target, "failed", f"{type(error).__name__}: {error}", time.monotonic() - start)
        return Outcome(photo, target, "done", "", time.monotonic() - start)

    def _upscale(self, photo: Path, target: Path) -> None:
        from ssr_cli.enlarge import enlarge
        from ssr_cli.image.metadata import stripped
        from ssr_cli.image.reading import read_photo
        from ssr_cli.image.writing import check_format, write_photo

        files = self.job.files
        picture = read_photo(photo, files.max_pixels, files.first_frame)
        make_folder(target.parent)
        check_writable(target, self.job.force)
        check_format(picture, target, self.job.options.scale)
        result = enlarge(picture, self.models, self.job.options, depth=self.depth(picture))
        write_photo(stripped(result.photo) if files.strip else result.photo, target, self.job.force)


def _report(outcome: Outcome, console: Console) -> None:
    """One line or object per photo, as soon as it is known."""
    if console.mode == "json":
        fields = {"input": str(outcome.photo), "output": str(outcome.output), "status": outcome.status}
        console.result({**fields, "reason": outcome.reason, "seconds": round(outcome.seconds, 3)})
    elif outcome.status == "done":
        console.result(str(outcome.output))
    else:
        console.warning(f"{outcome.photo}: {outcome.status}: {outcome.reason}")


def _summary(outcomes: list[Outcome], console: Console) -> None:
    """The final table."""
    rows = [(o.photo.name, o.status, f"{o.seconds:.1f}", o.reason) for o in outcomes]
    counts = ", ".join(f"{sum(o.status == s for o in outcomes)} {s}" for s in ("done", "skipped", "failed"))
    console.table(counts, ("photo", "status", "seconds", "why"), rows)
