"""Bad files: a corpus of kinds of damage and attack, and a mutator for fuzzing."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat

from archive_tricks import NOT_SAVED, archive, parts_of, saved, tricks, with_pickle
from checkpoints import save_checkpoint
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.policy import ActionSpec, Architecture
from pgpelib.policies.saving import save_policy, to_plain
from pgpelib.restore import PolicyFileError, load_policy
from pickle_bombs import (
    Bomb,
    blob,
    call,
    integer,
    name,
    number_bombs,
    pickled,
    plain_bombs,
    storage,
    storage_bytes,
    tensor_bombs,
    text,
)
from posggym_es.models.posggym_model_file import model_file_bytes, read_model_file
from posggym_es.policies.deterministic import DeterministicPolicy
from posggym_es.policies.lossless import convert
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.checkpoint_names import CheckpointError
from posggym_es.sources.cleanrl import CleanRLModels
from posggym_es.sources.evotorch import EvoTorchPolicies
from posggym_es.sources.ppo_checkpoints import load_checkpoint
from posggym_es.sources.rllib import RLlibModules
from posggym_es.sources.sb3 import SB3Models, load_vec_normalize
from posggym_es.sources.settings import AgentSettings

FOUND = Path(__file__).parents[1] / "found_by_fuzzing"
SOURCES = Path(__file__).parents[1] / "data" / "sources"
SUFFIX = {
    "policy": ".pickle",
    "model": ".pkl",
    "checkpoint": ".pt",
    "cleanrl": ".cleanrl_model",
    "sb3": ".zip",
    "vec_normalize": ".pkl",
    "evotorch": ".pickle",
    "rllib": ".pkl",
}
KINDS = tuple(SUFFIX)
# What torch.save wrote, alone or as a part.
ARCHIVES = ("checkpoint", "cleanrl", "sb3")
_AGENT = AgentSettings(env_name="CartPole-v1")


def read_arguments(path: Path) -> Any:
    """Read a module of RLlib with the arguments of a file, which are pickled."""
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "module"
        shutil.copytree(SOURCES / "rllib" / "ppo_cartpole", module)
        arguments = module / "class_and_ctor_args.pkl"
        arguments.unlink()
        arguments.symlink_to(path.absolute())
        try:
            return RLlibModules().read(module / "module_state.pkl", _AGENT)
        except ExtractionError as error:
            # The message names the module, of which the file is a part.
            raise ExtractionError(f"{path}: {error}") from error


READERS: dict[str, tuple[Callable[[Path], Any], type[Exception]]] = {
    "policy": (load_policy, PolicyFileError),
    "model": (read_model_file, ValueError),
    "checkpoint": (load_checkpoint, CheckpointError),
    "cleanrl": (lambda path: CleanRLModels().read(path, _AGENT), ExtractionError),
    "sb3": (lambda path: SB3Models().read(path, _AGENT), ExtractionError),
    "vec_normalize": (load_vec_normalize, ExtractionError),
    "rllib": (read_arguments, ExtractionError),
    "evotorch": (lambda path: EvoTorchPolicies().read(path, _AGENT), ExtractionError),
}


def small_policy() -> DeterministicPolicy:
    """Return a valid policy for Walker2d-v4."""
    architecture = Architecture(17, 6, (4,), "tanh", 0, ())
    weights = np.random.default_rng(0).normal(size=architecture.num_parameters)
    return DeterministicPolicy(
        layers=architecture.layers(weights),
        activation="tanh",
        obs_mean=np.zeros(17),
        obs_stdev=np.ones(17),
        action=ActionSpec("box", -np.ones(6), np.ones(6)),
        env_name="Walker2d-v4",
        env_config={},
        metadata=PolicyMetadata(generation=1, re_eval_returns=[1.0, 2.0]),
    )


def valid_files(folder: Path) -> dict[str, bytes]:
    """Return a valid file of each kind."""
    save_policy(small_policy(), folder / "policy.pickle")
    save_checkpoint(folder)
    return {
        "policy": (folder / "policy.pickle").read_bytes(),
        "model": model_file_bytes(convert(small_policy()).model),
        "checkpoint": (folder / "checkpoint_1_P0.pt").read_bytes(),
        "cleanrl": (SOURCES / "cleanrl" / "dqn.cleanrl_model").read_bytes(),
        "sb3": (SOURCES / "sb3" / "a2c_cartpole.zip").read_bytes(),
        "vec_normalize": (
            SOURCES / "sb3" / "normalized_ppo" / "vecnormalize.pkl"
        ).read_bytes(),
        "rllib": (
            SOURCES / "rllib" / "ppo_cartpole" / "class_and_ctor_args.pkl"
        ).read_bytes(),
        "evotorch": (SOURCES / "evotorch" / "pendulum.pickle").read_bytes(),
    }


def saved_part(kind: str, valid: bytes) -> bytes:
    """Return the archive of torch.save in a file of one of `ARCHIVES`."""
    return parts_of(valid)["policy.pth"] if kind == "sb3" else valid


def with_saved_part(kind: str, valid: bytes, content: bytes) -> bytes:
    """Return a file of one of `ARCHIVES` with another archive of torch.save."""
    if kind != "sb3":
        return content
    return archive({**parts_of(valid), "policy.pth": content})


def with_saved_pickle(kind: str, valid: bytes, content: bytes) -> bytes:
    """Return a file of one of `ARCHIVES` with another pickle of weights."""
    inner = with_pickle(saved_part(kind, valid), content)
    return with_saved_part(kind, valid, inner)


def with_policy_class(valid: bytes, content: bytes) -> bytes:
    """Return a model of Stable-Baselines3 with another pickle of its class."""
    parameters = json.loads(parts_of(valid)["data"])
    text = base64.b64encode(content).decode()
    parameters["policy_class"] = {":serialized:": text}
    return with_parameters(valid, json.dumps(parameters).encode())


def with_parameters(valid: bytes, content: bytes) -> bytes:
    """Return a model of Stable-Baselines3 with other parameters."""
    return archive({**parts_of(valid), "data": content})


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
    for key, attack in calls.items():
        for protocol in (0, 2, 4):
            files[f"{key}-{protocol}"] = pickle.dumps(attack, protocol)
            hidden = {"format": "pgpelib-policy", "version": 1, "notes": [attack]}
            files[f"{key}-{protocol}-hidden"] = pickle.dumps(hidden, protocol)
    # Opcodes that name or call without the usual ones.
    files["inst"] = f"(S'{touch}'\nios\nsystem\n.".encode()
    files["obj"] = b"(cos\nsystem\n" + f"S'{touch}'\no.".encode()
    files["newobj_ex"] = b"\x80\x04cos\nsystem\n(" + f"V{touch}\nt}}\x92.".encode()
    files["persid"] = b"Pos.system\n."
    files["ext"] = b"\x80\x02\x82\x01."
    files["build"] = b"\x80\x02cbuiltins\nprint\n}b."
    return files


def bombs(kind: str, valid: bytes) -> dict[str, Bomb]:
    """Return files of a kind with a well-formed bomb in each place of a pickle."""
    plain = {**plain_bombs(), **number_bombs()}
    if kind in ("vec_normalize", "rllib"):
        return plain
    if kind in ARCHIVES:
        inner = saved_part(kind, valid)
        parts = parts_of(inner)
        storages = [part for part in parts if "/data/" in part]
        largest = max(storages, key=lambda part: len(parts[part]))
        numbers = len(parts[largest]) // 4
        kind_of = name("torch", "FloatStorage")
        key = largest.rpartition("/")[2]
        identity = text("storage") + kind_of + text(key) + text("cpu")
        of = b"(" + identity + integer(numbers) + b"tQ"
        inside = {**plain, **tensor_bombs(of, numbers)}
        if kind != "checkpoint":
            # Their storages are so small that a thousand of them are not much.
            del inside["one_storage_for_a_thousand_tensors"]
        result = {
            key: Bomb(with_saved_pickle(kind, valid, bomb.content), bomb.reason)
            for key, bomb in inside.items()
        }
        for key, bomb in tricks(inner).items():
            content = with_saved_part(kind, valid, bomb.content)
            result[key] = Bomb(content, bomb.reason)
        return result | (model_bombs(valid, plain) if kind == "sb3" else {})
    of = storage(storage_bytes(5000))
    return {**plain, **tensor_bombs(of, 5000), **storage_bombs(plain_bombs())}


def model_bombs(valid: bytes, plain: dict[str, Bomb]) -> dict[str, Bomb]:
    """Return models of Stable-Baselines3 with bombs in their parameters."""
    parts = parts_of(valid)
    # Found by fuzzing: a line break became part of the message.
    odd = {**json.loads(parts["data"]), "action_space": {":type:": "a\nb"}}
    texts = {
        "line_break": (json.dumps(odd).encode(), r"its actions are 'a\\nb'"),
        "empty": (b"", "damaged"),
        "list": (b"[]", "not a mapping"),
        "deep": (b"[" * 200_000, "damaged"),
        "digits": (b"[" + b"9" * 100_000 + b"]", "damaged"),
        "encoding": (b"\xff\xfe{}", "damaged"),
        "large": (b" " * (16 * 2**20) + b"{}", "too large"),
        "no_class": (b"{}", "policy_class: it has no pickle"),
        "no_base64": (b'{"policy_class": {":serialized:": "?"}}', "not in base64"),
    }
    result = {
        f"parameters_{key}": Bomb(with_parameters(valid, data), reason)
        for key, (data, reason) in texts.items()
    }
    for key, bomb in plain.items():
        content = with_policy_class(valid, bomb.content)
        result[f"class_{key}"] = Bomb(content, bomb.reason)
    for part in ("data", "policy.pth"):
        others = {key: value for key, value in parts.items() if key != part}
        result[f"without_{part}"] = Bomb(archive(others), f"has no {part}")
    return result


def storage_bombs(plain: dict[str, Bomb]) -> dict[str, Bomb]:
    """Return pickles of tensors whose storage is something else, or two things."""
    legacy, zipped = storage_bytes(), saved(torch.zeros(4).storage())
    start = legacy.index(b"uu.") + 3
    wrapped = {
        "zip_appended": (legacy + zipped, "does not have the announced size"),
        "zip_prepended": (zipped + legacy, NOT_SAVED),
        "more_than_one": (legacy + bytes(4), "does not have the announced size"),
        "other_length": (legacy[:-17] + b"\5" + legacy[-16:], "."),
        "tar": (tar(legacy), "not one that PyTorch wrote"),
        "whole_model": (saved({"a": torch.zeros(4)}), "which no such file needs"),
        "text": (b"storage", "not one that PyTorch wrote"),
    }
    result = {
        f"storage_{key}": Bomb(pickled(storage(data)), reason)
        for key, (data, reason) in wrapped.items()
    }
    result["one_storage_for_a_thousand_loads"] = Bomb(
        pickled(
            blob(storage_bytes(10_000)),
            b"q\x00(",
            call(name("torch.storage", "_load_from_bytes"), b"h\x00") * 1000,
            b"t\x86",
        ),
        "unpacks to much more than its size",
    )
    for key, bomb in plain.items():
        # Inner archives are for one storage: nothing else comes out of them.
        inner = legacy[:start] + bomb.content + legacy[start:]
        result[f"legacy_{key}"] = Bomb(pickled(storage(inner)), ".")
        inner = with_pickle(zipped, bomb.content)
        result[f"zip_{key}"] = Bomb(pickled(storage(inner)), ".")
    for key, trick in tricks(zipped).items():
        result[f"zip_{key}"] = Bomb(pickled(storage(trick.content)), ".")
    return result


def tar(data: bytes) -> bytes:
    """Return a tar archive, the oldest format of torch.load."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("pickle")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def wrong_policies() -> dict[str, Bomb]:
    """Return policy files with a valid format and impossible content."""
    plain = to_plain(small_policy())
    # What files of the first version lack has defaults.
    required = set(plain) - {"notes", "obs_processor", "action_processor"}
    files = {
        f"without_{key}": ({k: v for k, v in plain.items() if k != key}, ".")
        for key in required
    }
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
        "no_axes": [(np.array(1.0), np.array(1.0)), last],
        "text": [("weights", bias), last],
        "integers": [(weight.astype(np.int64), bias), last],
        "complex": [(weight.astype(complex), bias), last],
        "objects": [(weight.astype(object), bias), last],
        "none": [],
        "empty": [(np.zeros((0, 17)), np.zeros(0)), last],
        "half": [(weight,), last],
        "four": [(weight, weight, weight, bias), last],
        "number": [1, last],
    }
    action = plain["action"]
    changes = {
        "mean_nan": {"obs_mean": np.full(17, np.nan)},
        "mean_size": {"obs_mean": np.zeros(3)},
        "mean_list": {"obs_mean": [0.0] * 17},
        "stdev_zero": {"obs_stdev": np.zeros(17)},
        "stdev_negative": {"obs_stdev": -np.ones(17)},
        "stdev_missing": {"obs_stdev": None},
        "bounds_nan": {"action": {**action, "low": np.full(6, np.nan)}},
        "bounds_swapped": {"action": {**action, "low": np.full(6, 2.0)}},
        "bounds_size": {"action": {**action, "high": np.ones(2)}},
        "bounds_bool": {"action": {**action, "high": np.ones(6, bool)}},
        "kind": {"action": {**action, "kind": "text"}},
        "kind_list": {"action": {**action, "kind": ["box"]}},
        "version": {"version": 99},
        "format": {"format": "other"},
        "extra": {"surprise": 1},
        "activation": {"activation": ["tanh"]},
    }
    fields = {f"layers_{key}": {"layers": value} for key, value in layers.items()}
    files |= {
        key: ({**plain, **change}, ".") for key, change in {**fields, **changes}.items()
    }
    files |= {
        f"odd_{key}_{number}": ({**plain, key: value}, key)
        for key, values in ODD_FIELDS.items()
        for number, value in enumerate(values)
    }
    files |= {
        f"odd_note_{key}_{number}": ({**plain, "notes": {key: value}}, key)
        for key, values in ODD_NOTES.items()
        for number, value in enumerate(values)
    }
    return {key: Bomb(pickle.dumps(data, 4), why) for key, (data, why) in files.items()}


ODD_FIELDS: dict[str, list[Any]] = {
    "notes": [3, "text", [1], {1: 2}, {"x": {1, 2}}, {"a\nb": 1}, {"x": b"bytes"}],
    "env_config": [3, "text", [1], {1: 2}, {"x": np.zeros(3)}, {"x": 2**100}],
    "obs_processor": [3, "text", [1], ("a.b", {}), ("A", 3), (3, {}), ("A", {1: 2})],
    "action_processor": [None, ("A", {}, 3)],
}
ODD_NOTES: dict[str, list[Any]] = {
    "generation": ["7", 1.5, -1, [1], True, {}],
    "timesteps": ["many", 1.5],
    "seed": ["0", -1, [0]],
    "role": [0, ["0"], "0\n1"],
    "commit": [3],
    "re_eval_env_name": [3, "a\nb", ["x"]],
    "re_eval_returns": ["1.0", 3.0, [[1.0]], ["1.0"], {"0": 1.0}, [True]],
    "partners": ["Random-v0", [1]],
    "config": [3, "text", {"partners": "Random-v0"}, {"optimizer": ["adam"]}],
    "origin": [3, {}, {"file": "x"}],
    "reference": [3, {}, {"returns": [1.0], "seeds": []}],
}


def wrong_models() -> dict[str, Bomb]:
    """Return POSGGym policy files with all fields, some with impossible values."""
    model = convert(small_policy()).model._asdict()
    weights = model["weights"]
    bias = next(key for key in weights if key.endswith("bias"))
    changes: dict[str, tuple[dict[str, Any], str]] = {
        "huge_layer": ({"trunk_sizes": [10**9]}, "trunk.0.weight"),
        "many_layers": ({"lstm_layers": 10**9}, "more layers than weights"),
        "wide_lstm": ({"lstm_size": 10**9}, "lstm"),
        "no_lstm": ({"lstm_size": 0}, "contradict"),
        "text_sizes": ({"trunk_sizes": "64"}, "trunk_sizes is not"),
        "float_sizes": ({"head_sizes": [64.0]}, "head_sizes is not"),
        "bool_size": ({"lstm_size": True}, "lstm_size is not"),
        "activation": ({"activation": 3}, "activation"),
        "previous_action": ({"lstm_use_prev_action": True}, "lstm_use_prev_action"),
        "list_of_weights": ({"weights": []}, "weights are not named"),
        "no_weights": ({"weights": {}}, "more layers than weights"),
        "nan": ({"weights": {**weights, bias: weights[bias] * torch.nan}}, "NaN"),
        "integers": ({"weights": {**weights, bias: weights[bias].long()}}, bias),
        "extra": ({"weights": {**weights, "x": weights[bias]}}, "unexpected x"),
    }
    return {
        key: Bomb(
            model_file_bytes(PPOTorchModelSaveFileFormat(**{**model, **change})), why
        )
        for key, (change, why) in changes.items()
    }


def others() -> dict[str, bytes]:
    """Return files of other formats with the right name."""
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
    }


class Case(NamedTuple):
    """A file that must be refused.

    Parameters
    ----------
    name, content
        What it is.
    reason
        What the message matches.
    """

    name: str
    content: bytes
    reason: str = "."


def corpus(kind: str, folder: Path, marker: Path) -> Iterator[Case]:
    """Yield the files that the reader of a kind must refuse.

    Parameters
    ----------
    kind
        One of `KINDS`.
    folder
        A folder to work in.
    marker
        A file that attacks would create.
    """
    valid = valid_files(folder)
    rng = np.random.default_rng(0)
    for key, bomb in bombs(kind, valid[kind]).items():
        yield Case(f"bomb_{key}", *bomb)
    for key, content in attacks(marker).items():
        yield Case(f"attack_{key}", content)
        if kind in ARCHIVES:
            inside = with_saved_pickle(kind, valid[kind], content)
            yield Case(f"attack_inside_{key}", inside, "which no such file needs|names")
        if kind == "sb3":
            inside = with_policy_class(valid[kind], content)
            yield Case(f"attack_class_{key}", inside, "which no such file needs|names")
    for key, content in others().items():
        yield Case(f"other_{key}", content)
    for cut in sorted(rng.choice(len(valid[kind]) - 1, 25, replace=False)):
        yield Case(f"cut_{cut}", valid[kind][:cut])
    for other in KINDS:
        if other != kind:
            yield Case(f"is_{other}", valid[other])
    # Found by fuzzing.
    for path in sorted((FOUND / kind).glob("*")):
        yield Case(f"found_{path.name}", path.read_bytes())
    makers = {"policy": wrong_policies, "model": wrong_models}
    for key, bomb in makers.get(kind, dict)().items():
        yield Case(f"wrong_{key}", *bomb)


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
