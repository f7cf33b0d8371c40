"""Being stopped in the middle of writing leaves nothing behind and says so by the exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

_SLOW_WRITE = """
import sys, time
from ssr_cli import cli
from ssr_cli.image import writing

def slow(blocks, *rest):
    next(iter(blocks))
    print("writing", flush=True)
    time.sleep(60)

writing.write_png = slow
cli.main(sys.argv[1:])
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_while_writing(number: int, code: int, tmp_path: Path, tiny_checkpoint: Path) -> None:
    photo = tmp_path / "a.png"
    Image.new("RGB", (16, 16), "teal").save(photo)
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-c", _SLOW_WRITE, "upscale", str(photo), "--model", str(tiny_checkpoint)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert sorted(tmp_path.iterdir()) == before
