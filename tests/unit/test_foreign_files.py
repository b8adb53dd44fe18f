"""Files of others: refused with one message, whatever is in them, at no cost."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import pickle
import pickletools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat

from archive_tricks import saved
from foreign_files import (
    KINDS,
    READERS,
    SUFFIX,
    corpus,
    mutated,
    small_policy,
    valid_files,
)
from pgpelib.foreign.safe_pickle import PLAIN_NAMES, ForeignFileError, Name, safe_load
from pgpelib.foreign.torch_files import PICKLED_TENSOR_NAMES, load_archive
from pgpelib.policies.saving import save_policy
from pickle_bombs import number_bombs, plain_bombs, storage, storage_bytes, tensor_bombs


@pytest.mark.parametrize("kind", KINDS)
def test_valid_files_are_read(tmp_path, kind):
    path = tmp_path / f"good{SUFFIX[kind]}"
    path.write_bytes(valid_files(tmp_path)[kind])
    assert READERS[kind][0](path) is not None


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_refused_for_what_they_are(root, tmp_path, kind):
    result = subprocess.run(
        [sys.executable, root / "tests/helpers/read_corpus.py", kind, tmp_path],
        capture_output=True,
        text=True,
    )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, (lines[-1:], result.stderr)
    for case, outcome in zip(lines[::2], lines[1::2], strict=True):
        assert case["name"] == outcome["name"]
        message = outcome["message"]
        assert message is not None, f"{case['name']} was read"
        assert f"bad{SUFFIX[kind]}: " in message, outcome
        assert message.isprintable(), outcome
        assert len(message) < 500, outcome
        assert re.search(case["reason"], message), (case, outcome)
    assert not (tmp_path / "executed").exists()


def test_bombs_are_well_formed_pickles():
    of = storage(storage_bytes())
    for bombs in (plain_bombs(), number_bombs(), tensor_bombs(of, 4)):
        for bomb in bombs.values():
            pickletools.dis(bomb.content, out=io.StringIO())


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**127), 2**127 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner)
    | st.lists(inner).map(tuple)
    | st.dictionaries(st.text() | st.integers(-(10**6), 10**6), inner),
    max_leaves=20,
)


@given(PLAIN, st.sampled_from([2, 3, 4]))
@example(b"", 2)
def test_plain_data_comes_back(data, protocol):
    assert safe_load(pickle.dumps(data, protocol), PLAIN_NAMES) == data


DTYPES = ["?", "i1", "u1", "<i4", ">i4", "u8", "<f2", "<f4", ">f4", "f8"]


@given(st.data(), st.sampled_from(DTYPES), st.sampled_from([2, 3, 4]))
def test_arrays_come_back(data, dtype, protocol):
    shape = data.draw(st.lists(st.integers(1, 4), max_size=4) | st.just([0]))
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    order = data.draw(st.sampled_from("CF"))
    value = {"array": np.asarray(array, order=order), "number": array.max(initial=0)}
    read = safe_load(pickle.dumps(value, protocol), PLAIN_NAMES)
    assert read["array"].dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(read["array"], array)
    assert read["number"] == value["number"]


def viewed(data):
    """Return a tensor that is a view of another one."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, torch.int64]))
    tensor = torch.arange(int(np.prod(shape))).reshape(shape).to(dtype)
    axes = data.draw(st.permutations(range(len(shape))))
    return tensor.permute(axes)[data.draw(st.integers(0, shape[axes[0]] - 1)) :]


@given(st.data())
def test_tensors_come_back(data):
    tensors = {"a": viewed(data), "b": viewed(data), "c": torch.zeros(0)}
    tensors["d"] = tensors["a"][-1:]
    for protocol in (2, 3, 4):
        pickled = pickle.dumps(tensors, protocol)
        for read in (
            safe_load(pickled, PICKLED_TENSOR_NAMES),
            load_archive(saved(tensors), {}),
        ):
            for name, tensor in tensors.items():
                assert np.array_equal(read[name], tensor.numpy())


def outcome_of(kind, path):
    """Return what a reader makes of a file, or None and its message."""
    read, refused = READERS[kind]
    try:
        return read(path), None
    except refused as error:
        return None, str(error)


def posggyms(content: bytes) -> dict:
    """Return what POSGGym's own loader makes of a file that was found harmless."""
    return PPOTorchModelSaveFileFormat(**pickle.loads(content))._asdict()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read_as_their_loaders_would(tmp_path, kind):
    valid = valid_files(tmp_path)
    pieces = [*valid.values(), *(bomb.content for bomb in plain_bombs().values())]
    rng = np.random.default_rng(0)
    path = tmp_path / f"damaged{SUFFIX[kind]}"
    for _ in range(500):
        content = mutated(valid[kind], pieces, rng)
        path.write_bytes(content)
        result, message = outcome_of(kind, path)
        if result is None:
            assert path.name in message
            assert message.isprintable()
        elif kind == "model":
            expected = posggyms(content)
            assert result.keys() == expected.keys()
            for name, tensor in expected["weights"].items():
                assert torch.equal(result["weights"][name], tensor)


def test_pipes_and_devices_are_refused(tmp_path):
    for kind in KINDS:
        read, refused = READERS[kind]
        with pytest.raises(refused, match="not a regular file"):
            read(Path("/dev/zero"))
        with pytest.raises(refused, match="missing: .*No such file"):
            read(tmp_path / "missing")


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x80\x04", b"PK\x03\x04"]))
def test_any_bytes_are_refused_or_plain_data(content, start):
    # Another error would end the test.
    with contextlib.suppress(ForeignFileError):
        assert isinstance(safe_load(start + content, PLAIN_NAMES), PLAIN_TYPES)
    with pytest.raises(ForeignFileError):
        load_archive(start + content, {})


PLAIN_TYPES = (type(None), bool, int, float, str, bytes, list, tuple, dict, set, Name)


def convert_alone(root, folder, output):
    script = root / "workflow/scripts/save_to_posggym_format.py"
    return subprocess.run(
        [sys.executable, script, "--checkpoint_dir", folder, "--output_dir", output],
        capture_output=True,
        text=True,
    )


def bad_files(folder):
    """Return bad files of several sorts, by the names that the converter looks for."""
    names = {
        "checkpoint": "checkpoint_1_P0.pt",
        "policy": "2020_01_01_Walker2d-v4_1_iter1.pickle",
    }
    wanted = {
        "checkpoint": ("bomb_key", "bomb_two_directories"),
        "policy": ("attack_eval-4", "cut_"),
    }
    found = {}
    for kind, name in names.items():
        for case in corpus(kind, folder, folder / "executed"):
            for start in wanted[kind]:
                if case.name.startswith(start):
                    found.setdefault((name, start), case.content)
    return found


@pytest.mark.slow
def test_scripts_say_it_in_one_line_and_leave_nothing_behind(root, tmp_path):
    for number, ((name, _), content) in enumerate(bad_files(tmp_path).items()):
        folder, output = tmp_path / f"in{number}", tmp_path / f"out{number}"
        folder.mkdir()
        (folder / name).write_bytes(content)
        result = convert_alone(root, folder, output)
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith(f"save_to_posggym_format.py: {folder / name}: ")
        assert not output.exists()
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
