"""Kernels are kept on disk for later processes, where that is possible."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from posggym_compiled.jit import lean_helper, lean_kernel

PACK = Path(__file__).with_name("pack_weights.py")
COMPILE = Path(__file__).with_name("compile_for.py")
WEIGHTS = "[0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 6.0, 7.0]"


def run(cache, *command):
    """Run a program in a new process; return what it prints."""
    return subprocess.run(
        [sys.executable, *(command or [PACK])],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


def test_later_processes_find_compiled_kernels(tmp_path):
    assert run(tmp_path) == f"{WEIGHTS} 0"
    assert run(tmp_path) == f"{WEIGHTS} 1"


def test_one_of_several_processes_compiles(tmp_path):
    with ThreadPoolExecutor() as threads:
        found = sorted(threads.map(run, [tmp_path] * 3))
    assert found == [f"{WEIGHTS} 0", f"{WEIGHTS} 1", f"{WEIGHTS} 1"]


def test_processes_that_compile_for_other_types_keep_all_kernels(tmp_path):
    types = ["f4", "f8", "i8"]

    def compile_for(name):
        return run(tmp_path, COMPILE, name)

    with ThreadPoolExecutor() as threads:
        assert list(threads.map(compile_for, types)) == ["0"] * 3
    assert [compile_for(name) for name in types] == ["1"] * 3


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert run(file / "cache") == f"{WEIGHTS} 0"
    assert file.read_text() == ""


@lean_helper
def successor(number):
    return number + 1


@lean_kernel
def successors(numbers):
    for i in range(len(numbers)):
        numbers[i] = successor(numbers[i])


def test_helpers_are_refused_outside_of_kernels():
    numbers = np.zeros(3)
    successors(numbers)
    assert list(numbers) == [1, 1, 1]
    with pytest.raises(TypeError, match="successor is a helper"):
        successor(0.0)
