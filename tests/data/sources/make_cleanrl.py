#!/usr/bin/env python
"""Make small state dicts as CleanRL's scripts save them, for the tests.

CleanRL is a collection of scripts, not a package: `tests/helpers/cleanrl_agents.py`
has networks of their layout. The files were made by `make_cleanrl.py cleanrl` with
torch 2.13.0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "helpers"))
from cleanrl_agents import AGENTS, save_agent


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in AGENTS:
        torch.manual_seed(0)
        save_agent(name, folder / f"{name}.cleanrl_model")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
