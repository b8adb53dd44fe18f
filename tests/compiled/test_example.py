"""The example in the documentation trains."""

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "ppo_driving.py"


def test_ppo_learns_to_drive():
    assert len(EXAMPLE.read_text().splitlines()) <= 60
    output = subprocess.run(
        [sys.executable, str(EXAMPLE), "30", "7x7RoundAbout"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    means = [float(mean) for mean in re.findall(r"mean return (\S+)", output)]
    assert len(means) == 30
    # Whoever crashes gets -1, and a way without crashes gives 1.
    assert max(means[:5]) < 0.1
    assert min(means[-3:]) > 0.25
