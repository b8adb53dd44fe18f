"""A real browser for the tests: the machine's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

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


def contrast(page: Page, part: str) -> float:
    """Return the contrast ratio of a part's text and the background (WCAG 2.1).

    Parameters
    ----------
    page
        An open page.
    part
        CSS selector; its first element is measured.
    """
    colors = page.evaluate(
        "part => [getComputedStyle(document.querySelector(part)).color,"
        " getComputedStyle(document.body).backgroundColor]",
        part,
    )
    (*ink, opacity), (*paper, _) = map(_channels, colors)
    ink = opacity * np.array(ink) + (1 - opacity) * np.array(paper)
    lights = sorted((_luminance(ink), _luminance(np.array(paper))))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _channels(color: str) -> list[float]:
    """Return red, green and blue of a computed colour, 0 to 255, and its opacity."""
    numbers = [float(number) for number in re.findall(r"[\d.]+", color)]
    return [*numbers, 1.0][:4]


def _luminance(channels: np.ndarray) -> float:
    shares = channels / 255
    linear = np.where(
        shares <= 0.03928, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4
    )
    return float(linear @ [0.2126, 0.7152, 0.0722])
