"""A real browser for the tests: the machine's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

import system_packages

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Return the path of an installed browser."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def why_not() -> str | None:
    """Return why there is no browser and how to install one; None if there is one."""
    if find() is not None:
        return None
    return system_packages.advice(["Chromium"], system_packages.BROWSER)


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
