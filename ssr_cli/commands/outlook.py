"""How long a batch will take still: the photo at hand from its own tiles or the photos before it, and all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ssr_cli.console import Tell

#: Seconds between two words about one photo.
_PAUSE_S = 0.5
_LAST_STAGE = "restoring"


@dataclass(frozen=True)
class Word:
    """What is said of a photo while it is being made.

    Attributes:
        photo: its name.
        stage: what is being done.
        seconds: left for it, or None as long as nobody can know.
    """

    photo: str
    stage: str
    seconds: float | None


def clock(seconds: float) -> str:
    """Minutes and seconds: 3:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@dataclass
class Pace:
    """Seconds per pixel of the photos one process has made so far."""

    pixels: int = 0
    seconds: float = 0.0

    def add(self, pixels: int, seconds: float) -> None:
        """A photo was finished."""
        self.pixels += pixels
        self.seconds += seconds

    def of(self, pixels: int) -> float | None:
        """Seconds that a photo will take, or None before the first one."""
        return self.seconds / self.pixels * pixels if self.pixels else None


class PhotoClock:
    """Turns one photo's stages into words about how long it will take still.

    Args:
        photo: its name.
        pixels: of it.
        pace: of the photos before it.
        say: gets a word every now and then.
    """

    def __init__(self, photo: str, pixels: int, pace: Pace, say: Callable[[Word], None]) -> None:
        self.photo = photo
        self.pixels = pixels
        self.pace = pace
        self.say = say
        self.begun = time.monotonic()
        self._restoring_since: float | None = None
        self._said = -_PAUSE_S

    def tell(self, what: str, done: int, total: int) -> None:
        """A stage went on; see `estimation.Progress`."""
        now = time.monotonic()
        if what == _LAST_STAGE and self._restoring_since is None:
            self._restoring_since = now
        if now - self._said >= _PAUSE_S:
            self._said = now
            self.say(Word(self.photo, what, self.left(what, done, total, now)))

    def left(self, what: str, done: int, total: int, now: float) -> float | None:
        """Seconds left, or None: by tiles as soon as one is finished, else by what photos took before."""
        if what == _LAST_STAGE and self._restoring_since is not None and done:
            return (now - self._restoring_since) / done * (total - done)
        expected = self.pace.of(self.pixels)
        return None if expected is None else max(0.0, expected - (now - self.begun))


class Outlook:
    """Time left for all photos of a batch, and one line of progress about it.

    Args:
        total: photos in all.
        tell: shows progress.
    """

    def __init__(self, total: int, tell: Tell) -> None:
        self.total = total
        self.finished = self.worked = 0
        self._tell = tell
        self._begun = time.monotonic()

    def outcome(self, worked: bool) -> None:
        """A photo is through; `worked` if it took work."""
        self.finished += 1
        self.worked += worked
        self._show("")

    def word(self, word: Word) -> None:
        """A photo goes on."""
        left = "" if word.seconds is None else f", {clock(word.seconds)} left"
        self._show(f"{word.photo}: {word.stage}{left}; ")

    @property
    def seconds(self) -> float | None:
        """Left for the rest, or None before the first photo that took work."""
        if not self.worked:
            return None
        return (time.monotonic() - self._begun) / self.worked * (self.total - self.finished)

    def _show(self, photo: str) -> None:
        left = "" if self.seconds is None else f", about {clock(self.seconds)} left"
        self._tell(f"{photo}{self.finished} of {self.total}{left}", self.finished, self.total)
