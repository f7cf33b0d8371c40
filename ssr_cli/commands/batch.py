"""`ssr batch`: every photo of a folder, with one loaded model and a journal to go on from."""

from __future__ import annotations

import fnmatch
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ssr_cli.commands.outlook import Outlook
from ssr_cli.console import Console
from ssr_cli.errors import BatchFailed, InputError, UsageError
from ssr_cli.journal import NAME, Journal, options_key
from ssr_cli.paths import digest, expand_folder, make_folder, plan_batch
from ssr_cli.settings import FileOptions, UpscaleOptions
from ssr_cli.temporaries import sweep

#: What to do where a result exists that this batch did not make.
ON_EXISTS = ("skip", "rename", "overwrite", "error")
#: Seconds between two looks at what another batch is working on.
_PATIENCE_S = 0.25


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
        jobs: processes that work at a time.
        devices: that the processes are spread over; none for the one of the options.
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
    jobs: int = 1
    devices: tuple[str, ...] = ()


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
    if job.jobs < 1:
        raise UsageError(f"--jobs {job.jobs} does no work.", "Choose 1 or more.")
    plan = planned(job)
    if job.out is not None:
        make_folder(job.out)
    folders = sorted({target.parent for _, target in plan})
    swept = sum(map(sweep, folders))
    if swept:
        console.hint(f"{swept} unfinished files of a killed run were removed.")
    outcomes = []
    with console.progress(job.folder.name) as tell:
        outlook = Outlook(len(plan), tell)
        for outcome in _Worker(job, console, outlook).all(plan):
            outcomes.append(outcome)
            outlook.outcome(outcome.status in ("done", "failed"))
            _report(outcome, outlook, console)
    for folder in folders:  # again: another batch on them may have been killed meanwhile
        sweep(folder)
    _summary(outcomes, console)
    failed = sum(o.status == "failed" for o in outcomes)
    if failed:
        raise BatchFailed(
            f"{failed} of {len(outcomes)} photos failed.", "The lines above say why; the others are done."
        )


def planned(job: BatchJob) -> list[tuple[Path, Path]]:
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
    while os.path.lexists(free := target.with_name(f"{target.stem}-{number}{target.suffix}")):
        number += 1
    return free


@dataclass(frozen=True)
class Task:
    """A photo that has to be done.

    Attributes:
        name: relative to the folder.
        sha256: of its content.
        photo: where it is.
        target: where its result goes.
        claimed: the name it would have if that were free, which other batches know it by.
    """

    name: str
    sha256: str
    photo: Path
    target: Path
    claimed: Path


class _Worker:
    """Does one photo after another, here or in processes; the journal is written here alone."""

    def __init__(self, job: BatchJob, console: Console, outlook: Outlook) -> None:
        from ssr_cli.weights import locate

        self.job = job
        self.console = console
        self.outlook = outlook
        model = digest(locate(job.model))
        self.journal = Journal(job.out or job.folder, options_key(job.options, job.files, model, job.depth))

    def all(self, plan: list[tuple[Path, Path]]) -> Iterator[Outcome]:
        """Every photo; their failures are outcomes, not exceptions.

        What another batch is working on is put off until it is finished there, or given up.
        """
        from ssr_cli.commands.batch_jobs import Here, Processes

        job = self.job
        kind = Here if job.jobs == 1 and not job.devices else Processes
        waiting, elsewhere = deque(plan), list[tuple[Path, Path]]()
        with closing(self.journal), closing(kind(job, self.console, self.outlook.word)) as hands:
            while waiting or elsewhere or hands.at_work():
                done = hands.finished(block=hands.busy() or not (waiting or elsewhere))
                yield from (self._written_down(outcome) for outcome in done)
                if not waiting:
                    waiting, elsewhere = deque(elsewhere), []
                    time.sleep(_PATIENCE_S if waiting else 0)
                if not waiting or hands.busy():
                    continue
                pair = waiting.popleft()
                ready = self._ready(*pair)
                if ready is None:
                    elsewhere.append(pair)
                elif isinstance(ready, Outcome):
                    yield ready
                else:
                    hands.begin(ready)

    def _ready(self, photo: Path, target: Path) -> Outcome | Task | None:
        """What there is to do for a photo, why there is nothing, or None if another batch is at it."""
        if not self.journal.claim(target):
            return None
        ready = self._looked_at(photo, target)
        if isinstance(ready, Outcome):
            self.journal.let_go(target)
        return ready

    def _looked_at(self, photo: Path, target: Path) -> Outcome | Task:
        """What there is to do for a photo that is ours, or why there is nothing."""
        name = photo.relative_to(self.job.folder).as_posix()
        try:
            sha256 = digest(photo)
            self.journal.refresh()
        except OSError as error:
            return Outcome(photo, target, "failed", f"it cannot be read: {error.strerror}", 0.0)
        if (earlier := self.journal.finished(name, sha256)) is not None:
            return Outcome(photo, earlier, "kept", f"finished by another run; delete {NAME} to do it again", 0.0)
        there = os.path.lexists(target)
        if there and self.job.on_exists == "skip":
            return Outcome(photo, target, "skipped", "the output exists; --force overwrites", 0.0)
        free = _free_name(target) if there and self.job.on_exists == "rename" else target
        return Task(name, sha256, photo, free, target)

    def _written_down(self, done: tuple[Task, str, float, tuple[str, ...]]) -> Outcome:
        """An outcome in the journal."""
        task, reason, seconds, incidents = done
        for incident in incidents:
            self.console.warning(f"{task.photo}: {incident}")
        status = "failed" if reason else "done"
        self.journal.add(task.name, task.sha256, status, task.target, reason, seconds)
        self.journal.let_go(task.claimed)
        return Outcome(task.photo, task.target, status, reason, seconds)


def _report(outcome: Outcome, outlook: Outlook, console: Console) -> None:
    """One line or object per photo, as soon as it is known."""
    if console.mode == "json":
        left = outlook.seconds
        console.result(
            {
                "input": str(outcome.photo),
                "output": str(outcome.output),
                "status": outcome.status,
                "reason": outcome.reason,
                "seconds": round(outcome.seconds, 3),
                "number": outlook.finished,
                "of": outlook.total,
                "seconds_left": None if left is None else round(left, 1),
            }
        )
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
