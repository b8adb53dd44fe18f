"""Extracted policies: safetensors for arrays, JSON for everything else.

Neither format can contain code, and other tools can read both. A folder contains
`policy.safetensors` and `policy.json`, which has the SHA-256 of the tensors, so that
files of different policies cannot be mixed up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.partners import is_saved, keep, standard_name
from pgpelib.utils.files import read_json, write_bytes, write_json
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.deterministic import DeterministicPolicy
from posggym_es.policies.foreign import ForeignPolicy
from posggym_es.policies.stochastic import StochasticPolicy

FORMAT_VERSION = 1
TENSORS_FILE = "policy.safetensors"
METADATA_FILE = "policy.json"
# The kinds of policies, keyed by the names of their formats.
_KINDS: dict[str, type[ConvertiblePolicy]] = {
    kind.file_format: kind
    for kind in (DeterministicPolicy, StochasticPolicy, ForeignPolicy)
}


def write_policy(policy: ConvertiblePolicy, folder: Path) -> None:
    """Write a policy to a folder; the same policy always gives the same bytes.

    Saved partners of its training are copied to where the policy then has them.
    """
    partners = [name for name in policy.metadata.partner_ids if is_saved(name)]
    files = {standard_name(Path(name).stem): Path(name) for name in partners}
    keep(files, folder)
    tensors, fields = policy.to_tensors()
    data = save_tensors(tensors)
    write_bytes(folder / TENSORS_FILE, data)
    write_json(
        folder / METADATA_FILE,
        {
            "format": policy.file_format,
            "version": FORMAT_VERSION,
            "tensors_sha256": hashlib.sha256(data).hexdigest(),
            **fields,
            "notes": policy.metadata.to_notes(),
        },
    )


def read_policy(folder: Path, env_modules: Collection[str] = ()) -> ConvertiblePolicy:
    """Read a policy written by `write_policy`.

    Parameters
    ----------
    folder
        Folder with `policy.safetensors` and `policy.json`, which may be untrusted.
    env_modules
        Modules that the policy's environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Raises
    ------
    ValueError
        If a file is missing, damaged or does not belong to the other, or the
        environment is in another module; the message names the file.
    """
    # On demand: the workflow, which only looks for policies, does not need POSGGym.
    from posggym_es.policies.policy_checks import check_modules

    policy = load_extracted(folder)
    try:
        check_modules(policy, env_modules)
    except ValueError as error:
        raise ValueError(f"{folder / METADATA_FILE}: {error}") from error
    return policy


def read_metadata(folder: Path) -> PolicyMetadata:
    """Return the metadata of a policy, without checking its environment.

    Raises
    ------
    ValueError
        See `read_policy`.
    """
    return load_extracted(folder).metadata


def load_extracted(folder: Path) -> ConvertiblePolicy:
    """Read a policy without checking its environment, which must not be created.

    Raises
    ------
    ValueError
        See `read_policy`.
    """
    metadata_path, tensors_path = folder / METADATA_FILE, folder / TENSORS_FILE
    for path in (metadata_path, tensors_path):
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
    fields = read_json(metadata_path)
    kind = _KINDS.get(str(fields.get("format"))) if isinstance(fields, dict) else None
    if kind is None:
        raise ValueError(f"{metadata_path}: not a {next(iter(_KINDS))} file")
    if fields.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"{metadata_path}: version {fields.get('version')} of the format; "
            f"this program reads version {FORMAT_VERSION}"
        )
    data = tensors_path.read_bytes()
    if hashlib.sha256(data).hexdigest() != fields.get("tensors_sha256"):
        raise ValueError(
            f"{tensors_path}: its SHA-256 is not the one in {metadata_path.name}"
        )
    for key in ("format", "version", "tensors_sha256"):
        del fields[key]
    try:
        metadata = PolicyMetadata.from_notes(fields.pop("notes"))
        metadata = metadata.located(folder)
        return kind.from_tensors(load_tensors(data), fields, metadata)
    except (KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{metadata_path}: incomplete or damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"{metadata_path}: {error}") from error
