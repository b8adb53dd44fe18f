"""The code of the guide to compiled environments."""

from __future__ import annotations

import pytest

from guides import blocks


@pytest.mark.parametrize("code", blocks("python", ["docs/compiled.md"]))
def test_the_python_of_the_guide_runs(code):
    names: dict = {}
    exec(code, names)
    # What it computes with many environments is of their size.
    if "envs" in names:
        assert names["rewards"]["0"].shape == (1024,)
    if "outcomes" in names:
        assert names["outcomes"].fitness.shape == (10, 4)
