"""Who does the photos of a batch: this process, or several others that may die without stopping the rest."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection, get_context, resource_tracker
from typing import TYPE_CHECKING, Any

from ssr_cli.commands.outlook import Pace, PhotoClock, Word
from ssr_cli.commands.upscale import load, load_depth, write
from ssr_cli.console import Console
from ssr_cli.errors import SsrError
from ssr_cli.memory import keep_pages
from ssr_cli.paths import check_writable, make_folder
from ssr_cli.settings import Delivery
from ssr_cli.sidecar import Recorder, write_sidecar

if TYPE_CHECKING:
    from ssr_cli.commands.batch import BatchJob, Task
    from ssr_cli.depth_source import DepthSource
    from ssr_cli.suite import Models

#: A task, why it failed or "", seconds, what is to be said of it.
Done = tuple["Task", str, float, tuple[str, ...]]
Say = Callable[[Word], None]
#: Seconds that a process gets to tidy up before it is killed.
_GRACE_S = 10.0


class Hands:
    """Does tasks in this process; the model is loaded at the first.

    Args:
        job: the batch.
        console: for notes.
        say: gets words about the photo at hand.
    """

    def __init__(self, job: BatchJob, console: Console, say: Say) -> None:
        self.job = job
        self.console = console
        self.say = say
        self.pace = Pace()
        self.loaded: tuple[Models, DepthSource] | None = None

    def do(self, task: Task) -> Done:
        """One photo; its failure is told, not raised."""
        start = time.monotonic()
        incidents: tuple[str, ...] = ()
        try:
            incidents, reason = self._upscale(task), ""
        except SsrError as error:
            reason = f"{error.message} {error.hint}"
        except Exception as error:  # one bad file never stops the rest
            reason = f"{type(error).__name__}: {error}"
        return task, reason, time.monotonic() - start, incidents

    def _models(self) -> tuple[Models, DepthSource]:
        if self.loaded is None:
            models = load(self.job.model, self.job.options, self.console)
            self.loaded = (models, load_depth(self.job.depth, False, models.device, self.console))
        return self.loaded

    def _upscale(self, task: Task) -> tuple[str, ...]:
        """Read, check, work and write; what went wrong on the way is returned."""
        from ssr_cli.image.holding import notes_on
        from ssr_cli.image.reading import read_photo
        from ssr_cli.image.writing import check_format

        files, force = self.job.files, self.job.on_exists == "overwrite"
        picture = read_photo(task.photo, files.max_pixels, files.first_frame)
        make_folder(task.target.parent)
        check_writable(task.target, force)
        check_format(picture, task.target, self.job.options.scale)
        from ssr_cli.enlarge import PhotoEnlarging
        from ssr_cli.maps import FEW_PIXELS

        models, depth = self._models()
        watch = PhotoClock(task.photo.name, picture.width * picture.height, self.pace, self.say)
        recorder = Recorder(task.photo) if self.job.sidecar else None
        tell = recorder.through(watch.tell) if recorder else watch.tell
        delivery, options = Delivery(picture.metadata.get("bits", 8), FEW_PIXELS), self.job.options
        work = PhotoEnlarging(picture, models, options, tell, depth(picture), delivery)
        found = write(work, task.target, force, files.strip)
        self.pace.add(watch.pixels, time.monotonic() - watch.begun)
        if recorder:
            asked = (options, files, self.job.model, self.job.depth, False)
            size = (work.colours.height, work.colours.width)
            # a record never stands in the way of its result
            write_sidecar(recorder.record(task.target, size, found, picture, models, *asked), task.target, force=True)
        return (*notes_on(picture, task.target, files.strip), *found.incidents)


class Here:
    """One task at a time, in this process."""

    def __init__(self, job: BatchJob, console: Console, say: Say) -> None:
        self.hands = Hands(job, console, say)
        self.done: list[Done] = []

    def busy(self) -> bool:
        """Whether a task must be finished before the next can begin."""
        return bool(self.done)

    def at_work(self) -> bool:
        """Whether anything is left to be taken."""
        return bool(self.done)

    def begin(self, task: Task) -> None:
        """Do it."""
        self.done.append(self.hands.do(task))

    def finished(self, block: bool) -> Iterator[Done]:
        """What was done since the last time."""
        done, self.done = self.done, []
        yield from done

    def close(self) -> None:
        """Nothing is held."""


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals wait until the block is over; a process begun in it has them held too, until it knows what to do."""
    if os.name != "posix":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ready_for_signals() -> None:
    """Ctrl-C reaches all processes, and the one that began this ends it; ended, it tidies up: `finally` blocks run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if os.name == "posix":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _work(pipe: connection.Connection, job: BatchJob, share: int) -> None:
    """A process: tasks come through the pipe, words and outcomes go back.

    Args:
        pipe: to the process that began this one.
        job: the batch.
        share: how many processes share the processors.
    """
    _ready_for_signals()
    keep_pages()
    import torch

    torch.set_num_threads(max(1, torch.get_num_threads() // share))
    hands = Hands(job, Console("quiet"), pipe.send)
    while True:
        try:
            pipe.send(hands.do(pipe.recv()))
        except (EOFError, OSError):
            return


@dataclass
class _Hand:
    """A process, how to talk with it, and what it is at."""

    process: Any
    pipe: connection.Connection
    job: BatchJob
    task: Task | None = None
    since: float = 0.0


class Processes:
    """Tasks in as many processes as were asked for, spread over devices; one that dies is replaced."""

    def __init__(self, job: BatchJob, console: Console, say: Say) -> None:
        self.context = get_context("spawn")
        if os.name == "posix":
            # begun with the first process, it would let signals through in the midst of that
            resource_tracker.ensure_running()
        self.say = say
        devices = job.devices or (job.options.device,)
        self.count = max(job.jobs, len(devices))
        self.hands = [
            self._started(replace(job, options=replace(job.options, device=devices[i % len(devices)])))
            for i in range(self.count)
        ]

    def _started(self, job: BatchJob) -> _Hand:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=_work, args=(theirs, job, self.count), daemon=True)
        with _signals_held():
            process.start()
        theirs.close()
        return _Hand(process, ours, job)

    def busy(self) -> bool:
        """Whether all are at work."""
        return all(hand.task is not None for hand in self.hands)

    def at_work(self) -> bool:
        """Whether any is at work."""
        return any(hand.task is not None for hand in self.hands)

    def begin(self, task: Task) -> None:
        """Give a task to one that is free."""
        hand = next(hand for hand in self.hands if hand.task is None)
        hand.task, hand.since = task, time.monotonic()
        try:
            hand.pipe.send(task)
        except OSError:
            return  # it has died; `finished` will see that

    def finished(self, block: bool) -> Iterator[Done]:
        """What was done since the last time; waits for one if told to."""
        pipes = [hand.pipe for hand in self.hands if hand.task is not None]
        ready = connection.wait(pipes, None if block else 0) if pipes else []
        for number, hand in enumerate(self.hands):
            task = hand.task
            if hand.pipe not in ready or task is None:
                continue
            try:
                told = hand.pipe.recv()
                if isinstance(told, Word):
                    self.say(told)
                    continue
                hand.task = None
                yield told
            except (EOFError, OSError):
                yield task, "its process was killed; start the batch again", time.monotonic() - hand.since, ()
                hand.pipe.close()
                self.hands[number] = self._started(hand.job)

    def close(self) -> None:
        """End all; they get a while to remove what they have not finished."""
        for hand in self.hands:
            hand.process.terminate()
        until = time.monotonic() + _GRACE_S
        for hand in self.hands:
            hand.process.join(max(0.0, until - time.monotonic()))
            hand.process.kill()
            hand.process.join()
            hand.pipe.close()
