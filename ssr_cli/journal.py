"""The journal of a batch: what was finished, by content and options, so that a run that was stopped goes on.

One JSON object a line, flushed to the disk before the next photo begins. A line that was torn by a crash is ignored:
its photo is done again. Several batches may work on one folder, also from several hosts: bytes far behind the journal's
end are locked, one while a line is written and one for every result that somebody is at.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssr_cli.errors import OutputError
from ssr_cli.locks import free_byte, lock_byte
from ssr_cli.settings import FileOptions, UpscaleOptions

NAME = ".ssr-batch.jsonl"
#: Bytes that are locked: to write a line, and from here on for results.
_LINE, _RESULTS = 2**40, 2**40 + 1


def options_key(options: UpscaleOptions, files: FileOptions, model: str, depth: str) -> str:
    """What decides a result beside the photo, as a short hash; the device is not part of it.

    Args:
        options: of the pipeline.
        files: of reading and writing.
        model: SHA-256 of the checkpoint.
        depth: where depth comes from.
    """
    relevant = {k: v for k, v in asdict(options).items() if k not in ("device", "tile")}
    reading = {k: v for k, v in asdict(files).items() if k != "max_pixels"}
    text = json.dumps([relevant, reading, model, depth], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Journal:
    """Lines of one results' folder.

    Args:
        folder: where the journal lies.
        options: see `options_key`.

    Raises:
        OutputError: if it cannot be read or written.
    """

    def __init__(self, folder: Path, options: str) -> None:
        self.path = folder / NAME
        self.options = options
        self.done: dict[tuple[str, str], dict[str, Any]] = {}
        self._read = 0
        try:
            # the one handle there may be: closing any other would let go of all locks
            self._file = self.path.open("a+b", buffering=0)
            self.refresh()
        except OSError as error:
            raise OutputError(
                f"The journal {self.path} cannot be written: {error.strerror}.", "Choose another folder with -o."
            ) from error

    def close(self) -> None:
        """Let go of everything."""
        self._file.close()

    def refresh(self) -> None:
        """Take in what was written since the last time, here or by other batches.

        Raises:
            OSError: if it cannot be read.
        """
        self._file.seek(self._read)
        text = self._file.read()
        whole = text.rfind(b"\n") + 1
        self._read += whole
        # by newline alone: names may hold what splitlines takes for one (U+0085, U+2028)
        for line in text[:whole].split(b"\n"):
            self._learn(line.decode("utf-8", "replace"))

    def claim(self, output: Path) -> bool:
        """Take a result on, for this process alone; False where another batch is at it.

        Where the file system has no locks everything can be claimed.
        """
        return lock_byte(self._file.fileno(), self._place(output)) is not False

    def let_go(self, output: Path) -> None:
        """What was claimed is finished or given up."""
        free_byte(self._file.fileno(), self._place(output))

    def _place(self, output: Path) -> int:
        """The byte that stands for a result."""
        name = os.fsencode(os.path.relpath(output, self.path.parent))
        return _RESULTS + int.from_bytes(hashlib.sha256(name).digest()[:7])

    def _learn(self, line: str) -> None:
        """Take in a line; of several about one photo the last one counts."""
        try:
            entry = json.loads(line)
            key = (entry["input"], entry["sha256"])
            if entry["status"] == "done" and entry["options"] == self.options:
                self.done[key] = {"output": str(entry["output"]), "bytes": int(entry["bytes"])}
            elif entry["options"] == self.options:
                self.done.pop(key, None)
        except (ValueError, KeyError, TypeError):
            return

    def finished(self, name: str, sha256: str) -> Path | None:
        """The result of a photo that was finished with these options and is still there, whole; else None.

        Args:
            name: of the photo, relative to the batch's folder.
            sha256: of its content.
        """
        entry = self.done.get((name, sha256))
        if entry is None:
            return None
        output = self.path.parent / entry["output"]
        try:
            return output if output.stat().st_size == entry["bytes"] else None
        except OSError:
            return None

    def add(self, name: str, sha256: str, status: str, output: Path, reason: str, seconds: float) -> None:
        """Write down what became of a photo, on the disk before this returns.

        Raises:
            OutputError: if the disk takes no more.
        """
        entry: dict[str, Any] = {
            "input": name,
            "sha256": sha256,
            "options": self.options,
            "status": status,
            "output": os.path.relpath(output, self.path.parent),
            "reason": reason,
            "seconds": round(seconds, 3),
        }
        try:
            if status == "done":
                entry["bytes"] = output.stat().st_size
            self._append(json.dumps(entry).encode() + b"\n")
        except OSError as error:
            raise OutputError(
                f"The journal {self.path} cannot be written: {error.strerror}.", "Make room on the disk."
            ) from error

    def _append(self, line: bytes) -> None:
        """A line at the end, while nobody else writes one; behind a torn one it begins anew."""
        handle = self._file.fileno()
        lock_byte(handle, _LINE, wait=True)
        try:
            if self._file.seek(0, os.SEEK_END):
                self._file.seek(-1, os.SEEK_END)
                line = line if self._file.read(1) == b"\n" else b"\n" + line
            while line:
                line = line[self._file.write(line) :]
            os.fsync(handle)
        finally:
            free_byte(handle, _LINE)
        self.refresh()
