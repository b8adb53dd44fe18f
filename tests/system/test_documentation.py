"""The documentation as a site, built with warnings as errors, in a real browser."""

from __future__ import annotations

import os
import subprocess
import urllib.parse
from pathlib import Path

import pytest

from chromium import contrast

ROOT = Path(__file__).resolve().parents[2]
MKDOCS = ROOT / ".venv/docs/bin/mkdocs"
PHONE, DESK = 390, 1280


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the site."""
    if not MKDOCS.exists():
        pytest.skip("mkdocs not found; install it with: make docs")
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [MKDOCS, "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return folder


def open_page(browser, path, width=DESK, scheme="light"):
    page = browser.new_page(
        viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    page.goto(path.as_uri(), wait_until="domcontentloaded")
    return page


@pytest.mark.parametrize("name", ["index", "tutorial", "config", "api", "zoo"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_pages_fit(site, browser, name, width):
    page = open_page(browser, site / f"{name}.html", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("name", ["index", "zoo", "config"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read(site, browser, name, scheme):
    page = open_page(browser, site / f"{name}.html", scheme=scheme)
    for part in ("article p", "article td", "article a:not(.headerlink)"):
        assert contrast(page, part) >= 4.5, part
    page.close()


def test_links_lead_to_files_also_outside_of_the_docs(site, browser):
    pages = [*site.glob("*.html"), *site.glob("zoo/*/*/*/*.html")]
    assert len(pages) > 40
    cards = 0
    for path in (site / "zoo.html", site / "index.html", pages[-1]):
        page = open_page(browser, path)
        for link in page.evaluate("[...document.links].map(link => link.href)"):
            target = urllib.parse.urlsplit(link)
            if target.scheme == "file":
                assert Path(urllib.parse.unquote(target.path)).exists(), link
            cards += "/zoo/" in link and link.endswith("/index.html")
        page.close()
    assert cards >= 20


def test_the_api_has_signatures_and_parameters(site, browser):
    page = open_page(browser, site / "api.html")
    text = page.inner_text("article")
    for name in ("register_agents", "to_torch_module", "make_vec", "centered_ranks"):
        assert f"{name}(" in text
    assert text.count("Parameters:") > 10
    page.close()
