"""Kernels compute the same bits for any processor."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def digest(env_id, **variables):
    """Return what networks do in an environment, in a process of other variables."""
    program = Path(__file__).with_name("network_digest.py")
    output = subprocess.run(
        [sys.executable, str(program), env_id],
        env=os.environ | variables,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert int(output.split()[0]) > 6
    return output


# Its physics, sensors and networks are all floating point.
@pytest.mark.parametrize("env_id", ["DrivingContinuous-v0"])
def test_episodes_do_not_depend_on_the_processor(env_id):
    generic = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert digest(env_id, **generic) == digest(env_id)
