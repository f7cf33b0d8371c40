"""Every failure a user can cause or meet: one sentence that names the thing, one next step, an exit code."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of `ssr`."""

    OK = 0
    USAGE = 2  # an option has a value that makes no sense
    INPUT = 3  # a photo is missing, unreadable or of a kind not supported
    OUTPUT = 4  # the result cannot be written or would overwrite something
    WEIGHTS = 5  # a checkpoint is missing, damaged or unknown
    DEVICE = 6  # the device is unknown, absent or out of memory
    BATCH = 7  # some photos of a batch failed
    DIFFERS = 8  # a replay came out different
    INTERNAL = 70  # a defect of ssr itself
    INTERRUPTED = 130  # Ctrl-C
    TERMINATED = 143  # SIGTERM


class SsrError(Exception):
    """A failure with a sentence for a person.

    Args:
        message: one sentence that names the thing.
        hint: one sentence with the next step.
    """

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(SsrError):
    """An option has a value that makes no sense."""

    exit_code = ExitCode.USAGE


class InputError(SsrError):
    """A photo is missing, unreadable or of a kind not supported."""

    exit_code = ExitCode.INPUT


class OutputError(SsrError):
    """The result cannot be written or would overwrite something."""

    exit_code = ExitCode.OUTPUT


class WeightsError(SsrError):
    """A checkpoint is missing, damaged or unknown."""

    exit_code = ExitCode.WEIGHTS


class DeviceError(SsrError):
    """The device is unknown, absent or out of memory."""

    exit_code = ExitCode.DEVICE


class BatchFailed(SsrError):
    """Some photos of a batch failed."""

    exit_code = ExitCode.BATCH


class ReplayDiffers(SsrError):
    """A replay came out different from its record."""

    exit_code = ExitCode.DIFFERS
