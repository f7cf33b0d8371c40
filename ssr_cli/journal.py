"""The journal of a batch: what was finished, by content and options, so that a run that was stopped goes on.

One JSON object a line, flushed to the disk before the next photo begins. A line that was torn by a crash is ignored:
its photo is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ssr_cli.errors import OutputError
from ssr_cli.settings import FileOptions, UpscaleOptions

NAME = ".ssr-batch.jsonl"


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
        try:
            if self.path.exists():
                # by newline alone: names may hold what splitlines takes for one (U+0085, U+2028)
                for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n"):
                    self._learn(line)
            with self.path.open("a", encoding="utf-8") as file:
                if file.tell() and not self._ends_whole():
                    file.write("\n")
        except OSError as error:
            raise OutputError(
                f"The journal {self.path} cannot be written: {error.strerror}.", "Choose another folder with -o."
            ) from error

    def _ends_whole(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

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
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"The journal {self.path} cannot be written: {error.strerror}.", "Make room on the disk."
            ) from error
        self._learn(json.dumps(entry))
