"""What people look at, in a real browser: pages, charts and films."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import urllib.parse
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chromium import contrast
from pgpelib.utils.files import write_json
from posggym_es.evaluation.payoffs import Variant
from posggym_es.reporting.html_pages import crossplay_folder, write_index

PAGES = [
    "results/lander/index.html",
    "results/pursuit/index.html",
    "results/index.html",
]
PHONE, DESK = 390, 1280


class Visit:
    """A page that was opened, with all that went on."""

    def __init__(self, browser, path, width=DESK, scheme="light"):
        self.page = browser.new_page(
            viewport={"width": width, "height": 800}, color_scheme=scheme
        )
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri(), wait_until="load")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.page.close()


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_render_everywhere_and_fetch_nothing(done, browser, page, width, scheme):
    with Visit(browser, done.folder / page, width, scheme) as visit:
        assert visit.messages == []
        local = (done.folder / "results").as_uri()
        assert all(url.startswith((local, "data:")) for url in visit.requests)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        for part in ("h1", "a", ".soft", "td"):
            assert contrast(visit.page, part) >= 4.5, part
        # Nor do tables, which are cards on a phone.
        wide = "[...document.querySelectorAll('.scroll')]"
        wide += ".filter(e => e.scrollWidth > e.clientWidth).length"
        assert visit.page.evaluate(wide) == 0
        small = "[...document.querySelectorAll('figure svg')].map(s => s.clientWidth)"
        assert all(chart > 250 for chart in visit.page.evaluate(small))


OVERLAPPING = """
() => [...document.querySelectorAll("figure svg")].flatMap(chart => {
  const labels = [...chart.querySelectorAll("text")];
  const boxes = labels.map(label => label.getBoundingClientRect());
  const level = label => !label.getAttribute("transform")?.match(/rotate\\(-45/);
  return labels.flatMap((label, i) => labels.slice(i + 1).flatMap((other, j) => {
    const [a, b] = [boxes[i], boxes[i + 1 + j]];
    const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top
      || b.bottom <= a.top;
    return apart || !level(label) || !level(other) ? []
      : [`${label.textContent} / ${other.textContent}`];
  }));
})
"""


@pytest.mark.parametrize("page", PAGES[:2])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_labels_of_charts_do_not_overlap(done, browser, page, width):
    with Visit(browser, done.folder / page, width) as visit:
        assert visit.page.locator("figure svg text").count() > 20
        assert visit.page.evaluate(OVERLAPPING) == []


def dead_links(page) -> list[str]:
    """Return the links of a page that lead to no file or no element of it."""
    dead = []
    for link in page.evaluate("[...document.links].map(link => link.href)"):
        target = urllib.parse.urlsplit(link)
        exists = Path(urllib.parse.unquote(target.path)).is_file()
        if target.fragment:
            exists &= page.locator(f"[id='{target.fragment}']").count() == 1
        dead += [] if exists else [link]
    return dead


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(done, browser, page):
    with Visit(browser, done.folder / page) as visit:
        assert visit.page.locator("a").count() > 0
        assert dead_links(visit.page) == []


@pytest.fixture(scope="module")
def crossplay(tmp_path_factory):
    """The page of an environment with many policies with long names."""
    results = tmp_path_factory.mktemp("results") / "results"
    names = [f"Driving-v1/grid=14x14RoundAbout/pgpe_sp_seed{k}-v0" for k in range(12)]
    pairs = [
        {"row": row, "column": column, "mean": k % 7 / 7, "margin": 0.1, "episodes": 9}
        for k, (row, column) in enumerate(itertools.product(names, names))
    ]
    variant = Variant("Driving-v1", {"grid": "14x14RoundAbout", "obs_dim": (3, 1, 1)})
    folder = results / "crossplay/Driving-v1/arguments"
    folder.parent.mkdir(parents=True)
    left_out = {"Driving-v1/a_policy_of_posggym-v0": "the file cannot be downloaded"}
    crossplay_folder(variant, pd.DataFrame(pairs), left_out, folder)
    write_index(results / "index.html")
    return results


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_crossplay_fit_and_can_be_read(crossplay, browser, width, scheme):
    page = crossplay / "crossplay/Driving-v1/arguments/index.html"
    with Visit(browser, page, width, scheme) as visit:
        assert visit.messages == []
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        for part in ("h1", "a", ".soft", "td", "summary"):
            assert contrast(visit.page, part) >= 4.5, part
        assert visit.page.evaluate(OVERLAPPING) == []
        assert "cannot be downloaded" in visit.page.inner_text("body")
        assert dead_links(visit.page) == []
    with Visit(browser, crossplay / "index.html", width, scheme) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
        visit.page.get_by_role("link", name="Driving-v1").click()
        assert visit.page.inner_text("h1") == "Cross-play: Driving-v1"


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_index_fits_with_all_columns_and_long_names(browser, tmp_path, width):
    summary = {
        "experiment": "humanoid_bullet_of_the_paper",
        "scale": "full",
        "env_id": "PredatorPreyContinuous-v0",
        "agents": ["a", "b"],
        "best_folder": "seed0",
        "best_return": 4873.2,
        "best_margin": 123.4,
        "published": 4853.0,
        "random": -1042.3,
        "generations": 1000,
        "timesteps": 1_500_000_000,
        "seconds": 354_000.0,
    }
    folder = tmp_path / "results/paper"
    (folder / "seed0/film").mkdir(parents=True)
    Image.new("RGB", (240, 240)).save(folder / "seed0/film/film.webp")
    write_json(folder / "summary.json", summary)
    write_index(tmp_path / "results/index.html")
    with Visit(browser, tmp_path / "results/index.html", width) as visit:
        assert "-1042.3" in visit.page.inner_text("tbody")
        fits = "e => e.scrollWidth <= e.clientWidth"
        assert visit.page.locator(".scroll").evaluate(fits)
        assert visit.page.locator("img").evaluate("e => e.clientWidth") > 80


def test_an_experiment_alone_has_no_dead_link(alone, browser, tmp_path):
    workspace = alone.copy(tmp_path / "copy", alone.config)
    (workspace.folder / "results/index.html").unlink(missing_ok=True)
    workspace.succeed("results/reaching", "--forcerun", "results")
    with Visit(browser, workspace.folder / "results/reaching/index.html") as visit:
        visit.page.get_by_role("link", name="All experiments").click()
        assert visit.page.inner_text("h1") == "Experiments"
        assert visit.page.get_by_role("link", name="reaching").count() == 1


def test_code_is_copied_with_a_click(done, browser):
    page = (done.folder / "results/lander/index.html").as_uri()
    with browser.new_context(permissions=["clipboard-read"]) as context:
        visit = context.new_page()
        visit.goto(page)
        visit.get_by_role("button", name="Copy").first.click()
        copied = visit.evaluate("navigator.clipboard.readText()")
        code = visit.locator("pre").first.inner_text()
    assert copied.split() == code.split()
    assert "posggym.agents.make" in copied


def test_an_experiments_page_has_what_one_looks_for(done, browser):
    folder = done.folder / "results" / "lander"
    with Visit(browser, folder / "index.html") as visit:
        # Also what is folded away.
        text = visit.page.text_content("body")
        assert visit.page.locator("figure svg").count() == 5
        video = visit.page.locator("video").first
        assert video.evaluate("v => v.muted && v.poster.length > 1000")
        video.evaluate("v => v.play()")
        visit.page.wait_for_function("document.querySelector('video').currentTime > 0")
    for seed in (0, 1):
        agent = f"LunarLanderContinuous-v2/pgpe_seed{seed}-v0"
        assert f'policy = posggym.agents.make("{agent}", env.model, "0")' in text
        report = json.loads((folder / f"seed{seed}/verification.json").read_text())
        assert f"{report['mean_return']:.1f} ±" in text
    assert text.count("random actions") == 2
    assert "Random actions" in text
    assert "popsize: 8" in text
    # Not only what was given.
    assert re.search(r"stdev_lr\s*0\.1", text)
    assert "numpy 1.26.4" in text
    conversion = json.loads((folder / "seed0/converted/conversion.json").read_text())
    assert f"over {conversion['proof']['observations']} observations" in text
    policy = (folder / "seed0/converted/policy.pkl").read_bytes()
    assert hashlib.sha256(policy).hexdigest() in text


def test_the_index_sorts_by_any_column(done, browser):
    with Visit(browser, done.folder / "results" / "index.html") as visit:

        def column(number):
            cells = visit.page.locator(f"tbody tr td:nth-child({number})")
            return [c.get_attribute("data-value") for c in cells.all()]

        visit.page.get_by_role("button", name="Best return").click()
        returns = [float(value) for value in column(4)]
        assert len(returns) == 3
        assert returns == sorted(returns)
        visit.page.get_by_role("button", name="Best return").click()
        assert [float(v) for v in column(4)] == sorted(returns, reverse=True)
        visit.page.get_by_role("button", name="Experiment").click()
        assert column(1) == sorted(column(1))
        link = visit.page.get_by_role("link", name="lander")
        link.click()
        assert visit.page.inner_text("h1") == "lander"


@pytest.mark.parametrize("label", ["lander/seed0", "pursuit/seed0_0", "reaching/seed0"])
def test_films_show_a_verified_episode(done, label):
    folder = done.folder / "results" / label
    facts = json.loads((folder / "film/film.json").read_text())
    report = json.loads((folder / "verification.json").read_text())
    number = report["seeds"].index(facts["seed"])
    assert facts["return"] == report["returns"][number]
    assert (
        sorted(report["returns"])[(len(report["returns"]) - 1) // 2] == facts["return"]
    )
    film = imageio_ffmpeg.read_frames(folder / "film/film.mp4")
    meta = next(film)
    frames = [np.frombuffer(frame, np.uint8) for frame in film]
    assert len(frames) == facts["frames"] <= facts["steps"] + 1
    assert meta["fps"] == facts["fps"]
    # Something is to be seen, and moves.
    assert frames[0].std() > 1
    assert any((frame != frames[0]).any() for frame in frames)
    preview = Image.open(folder / "film/film.webp")
    assert preview.n_frames > 1
    assert (folder / "film/film.webp").stat().st_size < 500_000


def test_where_nothing_can_be_rendered_there_is_a_reason(done, tmp_path):
    # As on a machine that lacks the renderer's libraries.
    (tmp_path / "pygame.py").write_text("raise ImportError('libSDL2.so not found')")
    result = done.run_script(
        "film_agent.py",
        *("--posggym_tree", done.folder / "results/lander/posggym-tree"),
        *("--spec", done.folder / "runs/full/lander/seed0/spec.json"),
        *("--verification", done.folder / "runs/full/lander/seed0/verification.json"),
        *("--output", tmp_path / "film"),
        PYTHONPATH=str(tmp_path),
    )
    assert result.returncode == 0, result.stderr
    facts = json.loads((tmp_path / "film" / "film.json").read_text())
    assert "LunarLanderContinuous-v2 cannot be rendered here" in facts["reason"]
    assert [p.name for p in (tmp_path / "film").iterdir()] == ["film.json"]


def test_snakemakes_report_has_the_results(done, browser, tmp_path):
    done.succeed("--report", str(tmp_path / "report.html"), "register_all")
    with Visit(browser, tmp_path / "report.html") as visit:
        visit.page.get_by_text("Experiments").first.click()
        visit.page.get_by_text("lander", exact=True).first.click()
        visit.page.get_by_text("learning_curve.png").first.wait_for()
        urls = [url for url in visit.requests if not url.startswith(("data:", "blob:"))]
        assert urls == [(tmp_path / "report.html").as_uri()]


def test_without_films_the_pages_do_without(alone):
    folder = alone.folder / "results/reaching"
    assert "<video" not in (folder / "index.html").read_text()
    assert not (folder / "seed0/film").exists()
