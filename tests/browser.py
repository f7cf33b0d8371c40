"""A real headless browser, where there is one: what a page shows and says once its script has run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
    *("--force-device-scale-factor=1", "--virtual-time-budget=3000"),
)
#: Pages are held to the machine they lie on: every name leads nowhere.
_OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND"


def _browser() -> str | None:
    """`SSR_TEST_BROWSER`, or a browser of the path."""
    named = os.environ.get("SSR_TEST_BROWSER")
    return named or next((found for name in _NAMES if (found := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(_browser() is None, reason="no Chromium is installed")


def _run(page: Path, profile: Path, fragment: str, *flags: str) -> str:
    address = page.resolve().as_uri() + (f"#{fragment}" if fragment else "")
    profile.mkdir(parents=True, exist_ok=True)
    command = [str(_browser()), *_FLAGS, _OFFLINE, f"--user-data-dir={profile}", *flags, address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def dom(page: Path, profile: Path, fragment: str = "") -> str:
    """The page's HTML after its script has run.

    Args:
        page: the file.
        profile: an empty folder.
        fragment: behind `#`.
    """
    return _run(page, profile, fragment, "--window-size=1200,900", "--dump-dom")


def screenshot(
    page: Path, profile: Path, target: Path, fragment: str = "", size: tuple[int, int] = (1200, 900)
) -> Path:
    """A picture of the page as a person sees it."""
    width, height = size
    _run(page, profile, fragment, f"--window-size={width},{height}", f"--screenshot={target}")
    return target
