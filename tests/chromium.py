"""A real browser for the tests: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

import debian

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Return the path of an installed browser."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def install() -> str | None:
    """Install Chromium where possible; return why it cannot be used, or None."""
    if find() is not None:
        return None
    reason = debian.install(["chromium", "fonts-dejavu-core"])
    if reason is not None:
        return f"not installed, and {reason}"
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
