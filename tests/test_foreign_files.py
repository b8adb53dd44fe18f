"""Files of others: refused with one message, whatever is in them, at no cost."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from foreign_files import KINDS, READERS, SUFFIX, corpus, small_policy, valid_files
from pgpelib.saving import save_policy

# Megabytes that reading may take, beyond the size of the file: PyTorch's own overhead.
MEMORY = 300


def test_valid_files_are_read(tmp_path):
    for kind, content in valid_files(tmp_path).items():
        path = tmp_path / f"good{SUFFIX[kind]}"
        path.write_bytes(content)
        assert READERS[kind][0](path) is not None


def test_the_whole_corpus_is_refused_and_nothing_is_executed(tmp_path):
    marker = tmp_path / "executed"
    seen = 0
    for kind, name, content in corpus(tmp_path, marker):
        path = tmp_path / f"bad{SUFFIX[kind]}"
        path.write_bytes(content)
        read, refused = READERS[kind]
        with pytest.raises(refused) as caught:
            read(path)
        message = str(caught.value)
        assert path.name in message, name
        assert "\n" not in message, name
        assert not marker.exists(), name
        seen += 1
    assert seen >= 400


CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from foreign_files import READERS, SUFFIX, corpus
folder = Path(sys.argv[2])
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for kind, name, content in corpus(folder, folder / "executed"):
    if not name.startswith(("bomb", "archive")):
        continue
    path = folder / f"bad{SUFFIX[kind]}"
    path.write_bytes(content)
    try:
        READERS[kind][0](path)
    except READERS[kind][1]:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


def test_bombs_cost_neither_time_nor_memory(root, tmp_path):
    # The limit is far above the seconds that this takes: a bomb takes for ever.
    result = subprocess.run(
        [sys.executable, "-c", CHILD, root / "tests", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    # Making the largest of them takes 200 MB itself.
    assert int(result.stdout.split()[-1]) < MEMORY + 250


@pytest.mark.parametrize("kind", KINDS)
def test_fuzzed_files_are_refused_or_policies(root, tmp_path, kind):
    result = subprocess.run(
        [
            *(sys.executable, root / "tests/fuzz_foreign_files.py"),
            *("--kind", kind, "--inputs", "1000"),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1,000 inputs" in result.stdout


def convert_alone(root, folder, output):
    script = root / "workflow/scripts/save_to_posggym_format.py"
    return subprocess.run(
        [sys.executable, script, "--checkpoint_dir", folder, "--output_dir", output],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("number", range(0, 460, 46))
def test_scripts_leave_nothing_behind(root, tmp_path, number):
    folder = tmp_path / "in"
    folder.mkdir()
    for at, (kind, _, content) in enumerate(corpus(tmp_path, tmp_path / "executed")):
        if at == number:
            names = {"checkpoint": "checkpoint_1_P0.pt"}
            name = names.get(kind, "2020_01_01_Walker2d-v4_1_iter1.pickle")
            (folder / name).write_bytes(content)
            break
    result = convert_alone(root, folder, tmp_path / "out")
    assert result.returncode == 1
    assert (
        result.stderr.strip().splitlines()[-1].startswith("save_to_posggym_format.py: ")
    )
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "executed").exists()


def test_a_policy_of_a_processor_that_does_not_exist_is_refused(root, tmp_path):
    policy = dataclasses.replace(small_policy(), obs_processor=("os.system", {}))
    folder = tmp_path / "in"
    folder.mkdir()
    save_policy(policy, folder / "2020_01_01_Walker2d-v4_1_iter1.pickle")
    result = convert_alone(root, folder, tmp_path / "out")
    assert result.returncode == 1
    assert "os.system" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
