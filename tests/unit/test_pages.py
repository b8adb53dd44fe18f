"""Pages, charts and films, piece by piece."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from posggym_es.evaluation.films import MAX_FPS, timing, write_mp4
from posggym_es.reporting.charts import (
    heat_map,
    label_of_agent,
    learning_curve,
    over_seeds,
    page_charts,
    svg,
)
from posggym_es.reporting.html_pages import index_page, render
from posggym_es.reporting.published_scores import published_score, reference_levels


def write_summary(folder, env_id="Walker2d-v4", best=2616.0, scale="full"):
    folder.mkdir(parents=True)
    summary = {
        "experiment": folder.name,
        "scale": scale,
        "env_id": env_id,
        "agents": [f"{env_id}/pgpe-v0"],
        "best_agent": f"{env_id}/pgpe-v0",
        "best_folder": "seed0",
        "best_return": best,
        "best_margin": 10.0,
        "published": published_score(env_id),
        "random": 1.6,
        "generations": 3,
        "timesteps": 1_500_000,
        "seconds": 5.0,
    }
    (folder / "summary.json").write_text(json.dumps(summary))


@pytest.mark.parametrize("scale", ["full", "smoke"])
def test_published_scores_stand_beside_ours(tmp_path, scale):
    write_summary(tmp_path / "walker", scale=scale)
    page = index_page(tmp_path)
    assert "5232.0" in page
    assert ">0.50<" in page
    assert ">1.60<" in page
    assert ("Rehearsal at scale smoke" in page) == (scale == "smoke")


def test_the_index_has_the_best_first_and_rehearsals_apart(tmp_path):
    write_summary(tmp_path / "worse", best=100.0)
    write_summary(tmp_path / "better", best=200.0)
    write_summary(tmp_path / "smoke" / "tried", best=900.0, scale="smoke")
    page = index_page(tmp_path)
    links = re.findall(r'href="([\w/]+)/index.html"', page)
    assert links == ["better", "worse", "smoke/tried"]
    full, _, rehearsed = page.partition("<h2>Rehearsals</h2>")
    assert "tried" not in full
    assert "Rehearsal at scale smoke" in rehearsed
    assert "1.5 M" in page


def test_columns_without_values_are_left_out(tmp_path):
    write_summary(tmp_path / "driving", "Driving-v1")
    assert "Published" not in index_page(tmp_path)
    assert "Film" not in index_page(tmp_path)
    write_summary(tmp_path / "walker")
    assert "Published" in index_page(tmp_path)


def test_levels_to_compare_with():
    assert reference_levels("LunarLanderContinuous-v2") == {"solved": 200.0}
    assert reference_levels("Walker2d-v2") == {"published": 5232.0}
    assert reference_levels("Driving-v1") == {}


def metrics(means, **columns):
    count = len(means)
    table = {
        "generation": range(1, count + 1),
        "timesteps": [300_000 * k for k in range(1, count + 1)],
        "elapsed": [10.0 * k for k in range(1, count + 1)],
        "re_eval_mean": means,
        "re_eval_stdev": 1.0,
        "steps_per_second": 1e5,
    }
    population = ("pop_min", "pop_q25", "pop_median", "pop_q75", "pop_max")
    search = ("stdev_min", "stdev_mean", "stdev_max")
    table |= {name: float(k) for k, name in enumerate((*population, *search))}
    return pd.DataFrame(table | columns)


def texts(chart):
    return re.findall(r">([^<>]+)</text>", chart)


def test_charts_say_what_they_show():
    tables = {"seed 0": metrics([1.0, 2.0, 3.0]), "seed 1": metrics([2.0, 3.0, 4.0])}
    charts = page_charts(tables, 16, {"solved": 3.5}, {"seed 0": 0.5})
    shown = {*texts(charts["Return over simulator steps"])}
    assert {"re-evaluated mean return", "simulator steps"} <= shown
    assert {"solved", "random actions"} <= shown
    assert any(re.fullmatch(r"\d+ k", text) for text in shown)
    for seconds, unit in ((30.0, "seconds"), (300.0, "minutes"), (9000.0, "hours")):
        tables = {"seed 0": metrics([1.0, 2.0], elapsed=[seconds / 2, seconds])}
        shown = texts(page_charts(tables, 16, {}, {})["Return over wall time"])
        assert unit in shown
        # Not 600 m, which would be thousandths.
        assert not any(text.endswith(" m") for text in shown)


def test_roles_have_charts_of_their_own():
    tables = {f"seed 0, agent {role}": metrics([1.0, 2.0]) for role in (0, 1)}
    random = {"seed 0, agent 1": 1.5}
    charts = page_charts(tables, 16, {}, random)
    assert "Population, agent 0" in charts
    assert "Population, agent 1" in charts
    assert "Population" not in charts
    title = "Return over simulator steps, agent"
    assert "random actions" in texts(charts[f"{title} 1"])
    # Not the level of another role.
    assert "random actions" not in texts(charts[f"{title} 0"])


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("seed0", "seed 0"),
        ("seed12_1", "seed 12, agent 1"),
        ("br_seed0", "seed 0, br"),
        ("br_2_seed0_evader", "seed 0, br_2, agent evader"),
    ],
)
def test_agents_are_called_by_seed_member_and_role(folder, label):
    assert label_of_agent(folder) == label


def test_learning_curves_have_the_levels_to_compare_with(tmp_path):
    tables = {f"seed 0, agent {role}": metrics([1.0, 2.0]) for role in (0, 1)}
    random = {"seed 0, agent 0": 0.1, "seed 0, agent 1": 0.2}
    for levels in ({}, {"solved": 3.5}):
        learning_curve(tables, levels, random, "name", tmp_path / "curve.svg")
        shown = {*texts((tmp_path / "curve.svg").read_text())}
        assert {"random actions, agent 0", "random actions, agent 1"} <= shown
        assert ("solved" in shown) == bool(levels)


def test_one_terrible_re_evaluation_does_not_flatten_the_curve():
    means = [-1e6, *np.linspace(0.0, 100.0, 99)]
    charts = page_charts({"seed 0": metrics(means)}, 16, {}, {})
    shown = texts(charts["Return over simulator steps"])
    numbers = [text.replace("\N{MINUS SIGN}", "-") for text in shown]
    numbers = [float(t) for t in numbers if re.fullmatch(r"-?\d+(\.\d+)?", t)]
    assert numbers
    assert min(numbers) > -1000


def test_heat_maps_name_their_axes():
    payoffs = pd.DataFrame(
        [[1.0, 0.0], [0.5, np.nan]], index=["E/a", "E/b"], columns=["E/a", "E/b"]
    )
    shown = texts(svg(heat_map(payoffs, 0 * payoffs)))
    assert {"policy", "the other agents' policy", "mean return", "a", "b"} <= {*shown}


@pytest.mark.parametrize(
    ("env_id", "score"),
    [
        ("HumanoidBulletEnv-v0", 4853),
        ("pybullet_envs:HumanoidBulletEnv-v0", 4853),
        ("Humanoid-v2", 10184),
        ("Walker2d-v4", 5232),
        ("Driving-v1", None),
    ],
)
def test_published_scores(env_id, score):
    assert published_score(env_id) == score


def test_text_of_others_stays_text():
    page = render(
        "index.html",
        sections=[],
        crossplay=[("<script>x</script>", "", "a")],
    )
    assert "<script>x" not in page


def test_the_same_frames_make_the_same_film(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (12, 33, 47, 3), dtype=np.uint8)
    for name in ("a.mp4", "b.mp4"):
        write_mp4(list(noise), 5, tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@given(st.integers(1, 5000), st.floats(1, 500))
def test_films_are_neither_frantic_nor_frozen(steps, render_fps):
    stride, fps = timing(steps, render_fps)
    assert stride >= 1
    assert 1 <= fps <= MAX_FPS
    # Never faster than the environment's own time.
    assert fps * stride <= max(render_fps, MAX_FPS * stride) * 1.5


@given(
    st.lists(
        st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4), min_size=2, max_size=5
    )
)
def test_intervals_over_seeds_are_students(values):
    runs = [
        pd.DataFrame(
            {
                "generation": [1, 2, 3, 4],
                "timesteps": [10 * k for k in (1, 2, 3, 4)],
                "re_eval_mean": run,
                "re_eval_stdev": 1.0,
            }
        )
        for run in values
    ]
    table = over_seeds(runs, "timesteps", 16)
    assert list(table.x) == [10, 20, 30, 40]
    for generation, row in table.iterrows():
        sample = [run[generation - 1] for run in values]
        assert row["mean"] == pytest.approx(np.mean(sample))
        if np.std(sample) > 1e-6:
            low, high = stats.t.interval(
                0.95, len(sample) - 1, np.mean(sample), stats.sem(sample)
            )
            assert (row.low, row.high) == pytest.approx((low, high))


def test_only_generations_that_all_seeds_evaluated_are_averaged():
    def run(evaluated):
        means = [1.0 if generation in evaluated else np.nan for generation in (1, 2, 3)]
        return pd.DataFrame(
            {
                "generation": [1, 2, 3],
                "timesteps": [1, 2, 3],
                "re_eval_mean": means,
                "re_eval_stdev": 0.5,
            }
        )

    table = over_seeds([run({1, 2, 3}), run({1, 3})], "timesteps", 16)
    assert list(table.index) == [1, 3]


def test_charts_take_the_pages_colours_and_share_no_ids():
    def chart(height):
        return svg(lambda axes: axes.plot([0, height]))

    ids = [set(re.findall(r'id="([^"]+)"', chart(height))) for height in (1, 2)]
    assert not ids[0] & ids[1]
    assert "currentColor" in chart(1)
    assert "#010203" not in chart(1)
    assert set(re.findall(r"url\(#([^)]+)\)", chart(1))) <= ids[0]
    assert chart(1) == chart(1)
