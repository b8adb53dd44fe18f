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
from posggym_es.reporting.charts import over_seeds, svg
from posggym_es.reporting.html_pages import index_page, render
from posggym_es.reporting.published_scores import published_score


@pytest.mark.parametrize("scale", ["full", "smoke"])
def test_published_scores_stand_beside_ours(tmp_path, scale):
    summary = {
        "experiment": "walker",
        "scale": scale,
        "env_id": "Walker2d-v4",
        "agents": ["Walker2d-v4/pgpe-v0"],
        "best_agent": "Walker2d-v4/pgpe-v0",
        "best_folder": "seed0",
        "best_return": 2616.0,
        "best_margin": 10.0,
        "published": published_score("Walker2d-v4"),
        "generations": 3,
        "timesteps": 1000,
        "seconds": 5.0,
    }
    (tmp_path / "walker").mkdir()
    (tmp_path / "walker" / "summary.json").write_text(json.dumps(summary))
    page = index_page(tmp_path)
    assert "5232.0" in page
    assert ">0.50<" in page
    assert ("Rehearsal at scale smoke" in page) == (scale == "smoke")


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
        headings=[],
        rows=[],
        crossplay=[("<script>x</script>", "a")],
        rehearsal=None,
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
