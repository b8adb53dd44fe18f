"""A real browser for the tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Return the path of an installed browser."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def install() -> str | None:
    """Install Chromium where possible; return why it cannot be used, or None."""
    if find() is not None:
        return None
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "not installed, and only root can install it with apt-get"
    packages = ["chromium", "fonts-dejavu-core"]
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=600,
        )
    return None if find() is not None else "cannot be installed"


@contextlib.contextmanager
def launch() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        # Root has no sandbox in most containers; the pages are the project's own.
        browser = playwright.chromium.launch(
            executable_path=find(), args=["--no-sandbox"]
        )
        try:
            yield browser
        finally:
            browser.close()
