"""`ssr batch`: every photo of a folder, with one loaded model and a journal to go on from."""

from __future__ import annotations

import fnmatch
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssr_cli.commands.upscale import load, load_depth, write
from ssr_cli.console import Console
from ssr_cli.errors import BatchFailed, InputError, SsrError, UsageError
from ssr_cli.journal import NAME, Journal, options_key
from ssr_cli.paths import check_writable, digest, expand_folder, make_folder, plan_batch
from ssr_cli.settings import FileOptions, UpscaleOptions
from ssr_cli.sidecar import Recorder, write_sidecar

if TYPE_CHECKING:
    from ssr_cli.depth_source import DepthSource
    from ssr_cli.suite import Models

#: What to do where a result exists that this batch did not make.
ON_EXISTS = ("skip", "rename", "overwrite", "error")


@dataclass(frozen=True)
class BatchJob:
    """What was asked for.

    Attributes:
        folder: of the photos.
        out: of the results, or None for beside the photos.
        recursive: also the folders inside.
        options: of the pipeline.
        model: see `assemble`.
        depth: see `depth_source`.
        on_exists: one of `ON_EXISTS`.
        files: of reading and writing.
        include: patterns of names, relative to the folder; empty takes all.
        exclude: patterns of what to leave out.
        shard: "I/N": every N-th photo, beginning with the I-th; or None for all.
        sidecar: write a record beside every result.
    """

    folder: Path
    out: Path | None
    recursive: bool
    options: UpscaleOptions
    model: str
    depth: str
    on_exists: str
    files: FileOptions
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    shard: str | None = None
    sidecar: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    photo: Path
    output: Path
    status: str  # "done", "kept" (finished by an earlier run), "skipped", "failed"
    reason: str
    seconds: float


def run(job: BatchJob, console: Console) -> None:
    """Work through the folder.

    Raises:
        BatchFailed: if any photo failed, after all were tried.
        InputError: if there is nothing to do.
        OutputError: if the results' folder or the journal cannot be made.
        UsageError: if an option makes no sense.
    """
    from ssr_cli.depth_source import is_file

    if is_file(job.depth):
        raise UsageError(f"--depth {job.depth} is the depth of one photo.", "Use it with ssr upscale.")
    if job.on_exists not in ON_EXISTS:
        raise UsageError(f"There is no --on-exists {job.on_exists}.", f"Choose from {', '.join(ON_EXISTS)}.")
    plan = _planned(job)
    if job.out is not None:
        make_folder(job.out)
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


def _planned(job: BatchJob) -> list[tuple[Path, Path]]:
    """Photos and their results: of the whole folder first, so that names do not depend on what is left out."""
    plan = plan_batch(
        expand_folder(job.folder, job.recursive), job.folder, job.options.scale, job.out, job.files.suffix
    )

    def matches(photo: Path, patterns: tuple[str, ...]) -> bool:
        name = photo.relative_to(job.folder).as_posix()
        return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(photo.name, p) for p in patterns)

    def wanted(photo: Path) -> bool:
        return (not job.include or matches(photo, job.include)) and not matches(photo, job.exclude)

    plan = [pair for pair in plan if wanted(pair[0])]
    if not plan:
        raise InputError(f"{job.folder} holds no photos.", "Name another folder, or use -r for the folders inside.")
    return plan if job.shard is None else _shard(plan, job.shard)


def _shard(plan: list[tuple[Path, Path]], shard: str) -> list[tuple[Path, Path]]:
    """Every N-th photo, beginning with the I-th.

    Raises:
        UsageError: if it is not I/N with 1 <= I <= N.
    """
    first, _, count = shard.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise UsageError(f"--shard {shard} is not I/N.", "Write for example --shard 1/4 to --shard 4/4.")
    return plan[int(first) - 1 :: int(count)]


def _free_name(target: Path) -> Path:
    """`photo_x4-2.png`, or the next number that nobody has."""
    number = 2
    while (free := target.with_name(f"{target.stem}-{number}{target.suffix}")).exists():
        number += 1
    return free


class _Worker:
    """Does one photo after another; the model is loaded at the first that needs it."""

    def __init__(self, job: BatchJob, console: Console) -> None:
        from ssr_cli.weights import locate

        self.job = job
        self.console = console
        self.loaded: tuple[Models, DepthSource] | None = None
        model = digest(locate(job.model))
        self.journal = Journal(job.out or job.folder, options_key(job.options, job.files, model, job.depth))

    def one(self, photo: Path, target: Path) -> Outcome:
        """One photo; its failure is an outcome, not an exception."""
        start = time.monotonic()
        name = photo.relative_to(self.job.folder).as_posix()
        try:
            sha256 = digest(photo)
        except OSError as error:
            return Outcome(photo, target, "failed", f"it cannot be read: {error.strerror}", 0.0)
        if (earlier := self.journal.finished(name, sha256)) is not None:
            return Outcome(photo, earlier, "kept", f"finished by an earlier run; delete {NAME} to do it again", 0.0)
        outcome = self._tried(photo, target, start)
        if outcome.status in ("done", "failed"):
            self.journal.add(name, sha256, outcome.status, outcome.output, outcome.reason, outcome.seconds)
        return outcome

    def _tried(self, photo: Path, target: Path, start: float) -> Outcome:
        """Obey --on-exists, then do the work."""
        if target.exists() and self.job.on_exists == "skip":
            return Outcome(photo, target, "skipped", "the output exists; --force overwrites", 0.0)
        if target.exists() and self.job.on_exists == "rename":
            target = _free_name(target)
        try:
            self._upscale(photo, target)
        except SsrError as error:
            return Outcome(photo, target, "failed", f"{error.message} {error.hint}", time.monotonic() - start)
        except Exception as error:  # one bad file never stops the rest
            return Outcome(photo, target, "failed", f"{type(error).__name__}: {error}", time.monotonic() - start)
        return Outcome(photo, target, "done", "", time.monotonic() - start)

    def _models(self) -> tuple[Models, DepthSource]:
        if self.loaded is None:
            models = load(self.job.model, self.job.options, self.console)
            self.loaded = (models, load_depth(self.job.depth, False, models.device, self.console))
        return self.loaded

    def _upscale(self, photo: Path, target: Path) -> None:
        from ssr_cli.image.reading import read_photo
        from ssr_cli.image.writing import check_format

        files, force = self.job.files, self.job.on_exists == "overwrite"
        picture = read_photo(photo, files.max_pixels, files.first_frame)
        make_folder(target.parent)
        check_writable(target, force)
        check_format(picture, target, self.job.options.scale)
        from ssr_cli.enlarge import PhotoEnlarging
        from ssr_cli.maps import FEW_PIXELS

        models, depth = self._models()
        recorder = Recorder(photo) if self.job.sidecar else None
        tell = recorder.through(lambda what, done, total: None) if recorder else None
        bits = picture.metadata.get("bits", 8)
        options, start = self.job.options, depth(picture)
        work = PhotoEnlarging(picture, models, options, tell, depth=start, bits=bits, map_pixels=FEW_PIXELS)
        found = write(work, target, force, files.strip)
        for incident in found.incidents:
            self.console.warning(f"{photo}: {incident}")
        if recorder:
            asked = (options, files, self.job.model, self.job.depth, False)
            size = (work.colours.height, work.colours.width)
            # a record never stands in the way of its result
            write_sidecar(recorder.record(target, size, found, picture, models, *asked), target, force=True)


def _report(outcome: Outcome, console: Console) -> None:
    """One line or object per photo, as soon as it is known."""
    if console.mode == "json":
        fields = {"input": str(outcome.photo), "output": str(outcome.output), "status": outcome.status}
        console.result({**fields, "reason": outcome.reason, "seconds": round(outcome.seconds, 3)})
    elif outcome.status in ("done", "kept"):
        console.result(str(outcome.output))
    else:
        console.warning(f"{outcome.photo}: {outcome.status}: {outcome.reason}")


def _summary(outcomes: list[Outcome], console: Console) -> None:
    """The final table."""
    rows = [(o.photo.name, o.status, f"{o.seconds:.1f}", o.reason) for o in outcomes]
    found = {s: sum(o.status == s for o in outcomes) for s in ("done", "kept", "skipped", "failed")}
    counts = ", ".join(f"{n} {s}" for s, n in found.items())
    console.table(counts, ("photo", "status", "seconds", "why"), rows)
