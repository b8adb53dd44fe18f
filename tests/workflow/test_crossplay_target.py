"""Cross-play of registered agents, as the pipeline plays and shows it."""

from __future__ import annotations

import html
import json
import re
import shutil

import pandas as pd
import pytest

from posggym_es.evaluation.payoffs import matrix
from posggym_es.tasks.family import RANDOM_POLICY
from posggym_es.utils.return_statistics import mean_interval


def test_policies_that_cannot_play_are_named_with_the_reason(alone, tmp_path):
    """The line begins like the step's name, so the short logger shows it."""
    shutil.copytree(alone.folder / "results/registry/posggym-tree", tmp_path / "tree")
    (file,) = tmp_path.rglob("pgpe_sp.pkl")
    file.write_bytes(b"no policy")
    (spec,) = alone.folder.glob("results/registry/agents/**/spec.json")
    done = alone.run_script(
        *("cross_play.py", "--env", "CooperativeReaching-v0", "--specs", spec),
        *("--posggym_tree", tmp_path / "tree", "--episodes", 1),
        *("--state", tmp_path / "state", "--output", tmp_path / "output"),
    )
    assert done.returncode == 0, done.stderr
    ours = "CooperativeReaching-v0/size=5/pgpe_sp-v0"
    (reason,) = re.findall(
        f"^CooperativeReaching-v0: left out {ours}: (.+)$", done.stdout, re.MULTILINE
    )
    (page,) = (tmp_path / "output").glob("*/index.html")
    assert reason in html.unescape(page.read_text())


def test_the_target_writes_tables_heat_map_and_page(alone, tmp_path):
    config = {**alone.config, "crossplay": {"episodes": 3}}
    workspace = alone.copy(tmp_path / "copy", config)
    workspace.succeed("register_all")
    (folder,) = (workspace.folder / "results/crossplay/CooperativeReaching-v0").glob(
        "size*"
    )
    table = pd.read_csv(folder / "payoffs.csv")
    ours = [name for name in set(table.row) if "pgpe_sp" in name]
    assert len(ours) == 1
    # POSGGym's own are there as well.
    assert [name for name in set(table.row) if name not in (*ours, RANDOM_POLICY)]
    assert (table.episodes == 3).all()
    means = pd.read_csv(folder / "matrix.csv", index_col=0)
    assert means.shape == (len(set(table.row)),) * 2
    pd.testing.assert_frame_equal(
        matrix(table).reset_index(drop=True),
        means.reset_index(drop=True),
        check_names=False,
    )
    pairs = workspace.folder / "runs/full/crossplay/CooperativeReaching-v0/pairs"
    for path in pairs.iterdir():
        pair = json.loads(path.read_text())
        row = table[(table.row == pair["row"]) & (table.column == pair["column"])]
        assert tuple(row[["mean", "margin"]].iloc[0]) == pytest.approx(
            mean_interval(pair["returns"])
        )
    page = (folder / "index.html").read_text()
    assert "<svg" in page
    assert "pgpe_sp" in (folder / "heat_map.svg").read_text()
    index = (workspace.folder / "results" / "index.html").read_text()
    assert f"crossplay/CooperativeReaching-v0/{folder.name}/index.html" in index
