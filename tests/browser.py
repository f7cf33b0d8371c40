"""A real headless browser, where there is one, driven by its DevTools over a pipe: keys, mouse, what a page shows."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--force-device-scale-factor=1", "--remote-debugging-pipe"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no page reaches anything
)
#: A page that does not answer within this is hung.
_PATIENCE = 120.0


def _browser() -> str | None:
    """`SSR_TEST_BROWSER`, or a browser of the path."""
    named = os.environ.get("SSR_TEST_BROWSER")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(_browser() is None, reason="no Chromium is installed")


class Page:
    """An open page."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._number, self._session, self._buffer = 0, "", b""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, answer["error"]
        return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        """The next message of the browser."""
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self._receive, 1 << 20) if ready else b""
            assert more, "the browser does not answer"
            self._buffer += more
        text, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(text))

    def open(self, address: str, size: tuple[int, int]) -> None:
        """Go to an address and wait until it is loaded."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call(
            "Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False
        )
        self.call("Page.enable")
        self.call("Page.navigate", url=address)
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is; promises are waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key: a character, or a name such as ArrowLeft."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def drag(self, begin: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at one place and let it go at another."""
        for kind, (x, y) in (("mousePressed", begin), ("mouseMoved", end), ("mouseReleased", end)):
            held = 1 if kind != "mouseReleased" else 0
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=held, clickCount=1)

    def dark(self) -> None:
        """As for people who prefer a dark screen."""
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, target: Path) -> Path:
        """A picture of the page as a person sees it."""
        self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        target.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))
        return target


def _high(descriptor: int) -> int:
    """The same file at a number of 10 or more."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


@contextmanager
def opened(page: Path, profile: Path, fragment: str = "", size: tuple[int, int] = (1200, 900)) -> Iterator[Page]:
    """A page in a browser of its own.

    Args:
        page: the file.
        profile: a folder that does not exist yet.
        fragment: behind `#`.
        size: of the window, width and height.
    """
    profile.mkdir(parents=True)
    to_browser, send = map(_high, os.pipe())
    receive, from_browser = map(_high, os.pipe())

    def as_expected() -> None:  # the browser reads from descriptor 3 and writes to 4
        os.dup2(to_browser, 3)
        os.dup2(from_browser, 4)

    command = [str(_browser()), *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(
        command, preexec_fn=as_expected, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(to_browser)
        os.close(from_browser)
        try:
            inside = Page(send, receive)
            inside.open(page.resolve().as_uri() + (f"#{fragment}" if fragment else ""), size)
            yield inside
        finally:
            process.terminate()
            os.close(send)
            os.close(receive)
