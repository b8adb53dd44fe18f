"""Bad files: a corpus of kinds of damage and attack, and a mutator for fuzzing."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgpelib.policies import ActionSpec, Architecture, SavedPolicy
from pgpelib.restore import PolicyFileError, load_policy
from pgpelib.saving import save_policy, to_plain
from posggym_es.checkpoint_names import CheckpointError
from posggym_es.conversion import convert
from posggym_es.posggym_model_file import model_file_bytes, read_model_file
from posggym_es.ppo_checkpoints import load_checkpoint
from test_ppo_checkpoints import save_checkpoint

KINDS = ("policy", "model", "checkpoint")
SUFFIX = {"policy": ".pickle", "model": ".pkl", "checkpoint": ".pt"}
READERS: dict[str, tuple[Callable[[Path], Any], type[Exception]]] = {
    "policy": (load_policy, PolicyFileError),
    "model": (read_model_file, ValueError),
    "checkpoint": (load_checkpoint, CheckpointError),
}


def small_policy() -> SavedPolicy:
    """Return a valid policy for Walker2d-v4."""
    architecture = Architecture(17, 6, (4,), "tanh", 0, ())
    weights = np.random.default_rng(0).normal(size=architecture.num_parameters)
    return SavedPolicy(
        layers=architecture.layers(weights),
        activation="tanh",
        obs_mean=np.zeros(17),
        obs_stdev=np.ones(17),
        action=ActionSpec("box", -np.ones(6), np.ones(6)),
        env_name="Walker2d-v4",
        env_config={},
        notes={"generation": 1, "re_eval_returns": [1.0, 2.0]},
    )


def valid_files(folder: Path) -> dict[str, bytes]:
    """Return a valid file of each kind."""
    save_policy(small_policy(), folder / "policy.pickle")
    save_checkpoint(folder)
    return {
        "policy": (folder / "policy.pickle").read_bytes(),
        "model": model_file_bytes(convert(small_policy()).model),
        "checkpoint": (folder / "checkpoint_1_P0.pt").read_bytes(),
    }


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> Any:
        return self.parts


def attacks(marker: Path) -> dict[str, bytes]:
    """Return pickles that would create `marker`, if they were executed."""
    touch = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w')"
    calls = {
        "os.system": Call(os.system, touch),
        "eval": Call(eval, code),
        "exec": Call(exec, code),
        "open": Call(open, str(marker), "w"),
        "popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "nested": Call(os.system, Call(str.join, "", ["touch ", str(marker)])),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "import": Call(__import__, "this"),
        "torch.load": Call(torch.load, str(marker)),
        "numpy.load": Call(np.load, str(marker)),
    }
    files = {}
    for name, call in calls.items():
        for protocol in (0, 2, 4):
            files[f"{name}-{protocol}"] = pickle.dumps(call, protocol)
            hidden = {"format": "pgpelib-policy", "version": 1, "notes": [call]}
            files[f"{name}-{protocol}-hidden"] = pickle.dumps(hidden, protocol)
    # Opcodes that name or call without the usual ones.
    files["inst"] = f"(S'{touch}'\nios\nsystem\n.".encode()
    files["obj"] = b"(cos\nsystem\n" + f"S'{touch}'\no.".encode()
    files["newobj_ex"] = b"\x80\x04cos\nsystem\n(" + f"V{touch}\nt}}\x92.".encode()
    files["persid"] = b"Pos.system\n."
    files["ext"] = b"\x80\x02\x82\x01."
    files["build"] = b"\x80\x02cbuiltins\nprint\n}b."
    return files


def bombs() -> dict[str, bytes]:
    """Return small pickles that ask for much time or memory."""
    doubling = b"(lp0\n" + b"".join(
        b"(lp%d\ng%d\nag%d\na" % (k + 1, k, k) for k in range(60)
    )
    tuples = b")q\x00" + b"".join(
        b"h" + bytes([k]) + b"h" + bytes([k]) + b"\x86q" + bytes([k + 1])
        for k in range(60)
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tS'b'\ntR"
    dtype = b"cnumpy\ndtype\n(S'f8'\ntR"
    huge = b"J" + struct.pack("<i", 2**31 - 1)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n("
    storage = io.BytesIO()
    torch.save(torch.zeros(4).storage(), storage)
    bytes_ = storage.getvalue()
    stored = b"ctorch.storage\n_load_from_bytes\n(B" + struct.pack("<i", len(bytes_))
    stored += bytes_ + b"tR"
    return {
        "billion_lists": doubling + b".",
        "billion_tuples": b"\x80\x02" + tuples + b".",
        # Hashing the same tuples, as a key and in a set.
        "key": b"\x80\x02}" + tuples + b"Ns.",
        "set": b"\x80\x04\x8f(" + tuples + b"\x90.",
        "frozenset": b"\x80\x04(" + tuples + b"\x91.",
        "deep_lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "deep_tuples": b"\x80\x02)" + b"\x85" * 400_000 + b".",
        "memo": b"\x80\x02Nr\xff\xff\xff\x7f.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
        "unicode": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b".",
        "operations": b"\x80\x02" + b"N0" * 1_000_000 + b"N.",
        "array": b"\x80\x02" + array + b"(K\x01(" + huge * 3 + b"t" + dtype + b"I00\n"
        b"B\x00\x00\x00\x00tb.",
        "object_array": b"\x80\x02" + array + b"(K\x01(K\x01tcnumpy\ndtype\n(S'O'\ntR"
        b"I00\n](NetB\x00\x00\x00\x00tb.",
        "ndarray": b"\x80\x02cnumpy\nndarray\n(" + huge * 2 + b"ttR.",
        "stride": b"\x80\x02"
        + tensor
        + stored
        + b"K\x00("
        + huge
        + b"K\x64t(K\x00K\x00"
        b"tI00\n}tR.",
        "negative": b"\x80\x02" + tensor + stored + b"J\xf0\xff\xff\xff(K\x04t(K\x01t"
        b"I00\n}tR.",
        "orderedict": b"\x80\x02ccollections\nOrderedDict\n(](" + tuples + b"N\x86ttR.",
        "digits": b"L" + b"9" * 1_000_000 + b"L\n.",
    }


def archives(checkpoint: bytes) -> dict[str, bytes]:
    """Return zip files that are not what they seem."""
    files = {}
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    (pickle_name,) = [name for name in parts if name.endswith("data.pkl")]

    def archive(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as target:
            for name, content in contents.items():
                target.writestr(name, content)
        return buffer.getvalue()

    zeros = bytes(200 * 2**20)
    bomb = {**parts, pickle_name.replace("data.pkl", "data/0"): zeros}
    files["bomb"] = archive(bomb, zipfile.ZIP_DEFLATED)
    files["compressed"] = archive(parts, zipfile.ZIP_DEFLATED)
    files["empty"] = archive({})
    files["no_pickle"] = archive({k: v for k, v in parts.items() if k != pickle_name})
    files["two_pickles"] = archive({**parts, "other/data.pkl": parts[pickle_name]})
    for name, content in bombs().items():
        files[f"pickle_{name}"] = archive({**parts, pickle_name: content})
    weights = [name for name in parts if "/data/" in name]
    for name in weights[:8]:
        files[f"without_{Path(name).name}"] = archive(
            {k: v for k, v in parts.items() if k != name}
        )
        files[f"short_{Path(name).name}"] = archive({**parts, name: parts[name][:3]})
    return files


def wrong_policies() -> dict[str, bytes]:
    """Return policy files with a valid format and impossible content."""
    files = {}
    plain = to_plain(small_policy())
    # What files of the first version lack has defaults.
    for name in set(plain) - {"notes", "obs_processor", "action_processor"}:
        files[f"without_{name}"] = pickle.dumps(
            {k: v for k, v in plain.items() if k != name}
        )
        if name != "env_config":
            files[f"odd_{name}"] = pickle.dumps({**plain, name: [[1.5]]})
    weight, bias = plain["layers"][0]
    last = plain["layers"][1]
    layers = {
        "nan": [(weight * np.nan, bias), last],
        "inf": [(weight + np.inf, bias), last],
        "nan_bias": [(weight, bias * np.nan), last],
        "transposed": [(weight.T, bias), last],
        "short_bias": [(weight, bias[:-1]), last],
        "gap": [last, last],
        "flat": [(weight.ravel(), bias), last],
        "scalar": [(np.float64(1), bias), last],
        "text": [("weights", bias), last],
        "complex": [(weight.astype(complex), bias), last],
        "objects": [(weight.astype(object), bias), last],
        "none": [],
        "empty": [(np.zeros((0, 17)), np.zeros(0)), last],
        "half": [(weight,), last],
    }
    files |= {
        f"layers_{name}": pickle.dumps({**plain, "layers": value})
        for name, value in layers.items()
    }
    for name, change in {
        "mean_nan": {"obs_mean": np.full(17, np.nan)},
        "mean_size": {"obs_mean": np.zeros(3)},
        "stdev_zero": {"obs_stdev": np.zeros(17)},
        "stdev_negative": {"obs_stdev": -np.ones(17)},
        "stdev_missing": {"obs_stdev": None},
        "bounds_nan": {"action": {**plain["action"], "low": np.full(6, np.nan)}},
        "bounds_swapped": {"action": {**plain["action"], "low": np.full(6, 2.0)}},
        "bounds_size": {"action": {**plain["action"], "high": np.ones(2)}},
        "kind": {"action": {**plain["action"], "kind": "text"}},
        "version": {"version": 99},
        "format": {"format": "other"},
        "extra": {"surprise": 1},
    }.items():
        files[f"with_{name}"] = pickle.dumps({**plain, **change})
    return files


def others(valid: dict[str, bytes]) -> dict[str, bytes]:
    """Return files of other formats, which have the right name."""
    return {
        "empty": b"",
        "text": b"This is not a policy.\n",
        "json": b'{"format": "pgpelib-policy"}',
        "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "html": b"<!DOCTYPE html><html></html>",
        "elf": b"\x7fELF" + bytes(200),
        "gzip": b"\x1f\x8b\x08" + bytes(50),
        "zeros": bytes(10_000),
        "random": np.random.default_rng(0).bytes(10_000),
        "number": pickle.dumps(7),
        "list": pickle.dumps([1, 2]),
        "dict": pickle.dumps({"weights": 1}),
        "cycle": b"\x80\x02]q\x00h\x00a.",
    }


def corpus(folder: Path, marker: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield (kind, name, content) of files that have to be refused.

    Parameters
    ----------
    folder
        A folder to work in.
    marker
        A file that attacks would create.
    """
    valid = valid_files(folder)
    rng = np.random.default_rng(0)
    everywhere = {
        **{f"attack_{k}": v for k, v in attacks(marker).items()},
        **{f"bomb_{k}": v for k, v in bombs().items()},
        **{f"other_{k}": v for k, v in others(valid).items()},
    }
    for kind in KINDS:
        for name, content in everywhere.items():
            yield kind, name, content
        for cut in sorted(rng.choice(len(valid[kind]) - 1, 25, replace=False)):
            yield kind, f"cut_{cut}", valid[kind][:cut]
        for other in KINDS:
            if other != kind:
                yield kind, f"is_{other}", valid[other]
    for name, content in wrong_policies().items():
        yield "policy", name, content
    for name, content in archives(valid["checkpoint"]).items():
        yield "checkpoint", f"archive_{name}", content


def mutated(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Return a damaged copy of a file.

    Parameters
    ----------
    data
        The file.
    others
        Files to take pieces from.
    rng
        Decides what is done.
    """
    result = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        if not result:
            break
        at = int(rng.integers(len(result)))
        length = int(rng.integers(1, 20))
        match rng.integers(7):
            case 0:
                result[at] ^= 1 << int(rng.integers(8))
            case 1:
                result[at] = int(rng.integers(256))
            case 2:
                del result[at : at + length]
            case 3:
                result[at:at] = rng.bytes(length)
            case 4:
                del result[at:]
            case 5:
                piece = others[rng.integers(len(others))]
                start = int(rng.integers(max(len(piece), 1)))
                result[at:at] = piece[start : start + length]
            case 6:
                result[at : at + length] = result[at : at + length] * 2
    return bytes(result)
