"""Regenerating published files from the trained policies, and comparing them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pgpelib.training.run_folder import METRICS_FILE
from posggym_es.config.experiments import Experiments
from posggym_es.config.settings import REGISTRY_GROUP, WorkflowConfig
from posggym_es.registration.spec import SPEC_FILE
from posggym_es.sources.base import CHECKPOINTS

# Files that users load and read. Reports with timings, and images, are not compared.
_PUBLISHED = ("posggym-tree", "posggym-agent-models", "agents", "docs")
_OF_AGENTS = ("converted/policy.pkl", "extracted", SPEC_FILE)


class DerivationError(RuntimeError):
    """The pipeline could not be run again; the message has the end of its output."""


def require_published(experiments: Experiments, folder: Path) -> None:
    """Check that all selected experiments have results.

    Parameters
    ----------
    experiments
        The config's experiments.
    folder
        Working directory of Snakemake.

    Raises
    ------
    DerivationError
        If results are missing; the message names the experiments.
    """
    groups = [*experiments.selected, REGISTRY_GROUP]
    results = folder / experiments.results_root
    missing = [name for name in groups if not (results / name).is_dir()]
    if missing:
        raise DerivationError(
            f"no results of {', '.join(missing)} in {results}: run register_all first, "
            "or choose experiments with --config only=..."
        )


def derive_again(
    snakefile: Path, folder: Path, config: WorkflowConfig, work: Path, cores: int
) -> None:
    """Run the steps after training in another folder, from the same trained policies.

    Parameters
    ----------
    snakefile
        The pipeline's Snakefile.
    folder
        Working directory of the original run.
    config
        Config of the original run.
    work
        The other folder, which gets its own `results` folder.
    cores
        Number of cores for Snakemake.

    Raises
    ------
    DerivationError
        If a trained policy is missing, or a step fails.
    """
    settings = derivation_settings(config, folder)
    experiments = Experiments(WorkflowConfig.from_dict(settings), folder)
    for name in experiments.selected:
        for label in experiments[name].runs:
            run = experiments[name].run_dir(label)
            if not (folder / run / METRICS_FILE).exists():
                raise DerivationError(
                    f"{folder / run}: no trained policies; run {name} first, or leave "
                    "it out with --config only=..."
                )
            shutil.copytree(folder / run / "policies", work / run / "policies")
            shutil.copy2(folder / run / METRICS_FILE, work / run)
    (work / "config").mkdir()
    path = work / "config" / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    for name in experiments.kept:
        kept = experiments.results_root / name
        shutil.copytree(folder / kept, work / kept)
    groups = [*experiments.selected, REGISTRY_GROUP]
    targets = [experiments.results_root / name for name in groups]
    options = ["--snakefile", snakefile, "--directory", work, "--configfile", path]
    result = subprocess.run(
        ["snakemake", *map(str, options), "--cores", str(cores), *map(str, targets)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if result.returncode != 0:
        raise DerivationError(f"the pipeline failed:\n{result.stdout[-3000:]}")


def derivation_settings(config: WorkflowConfig, folder: Path) -> dict[str, Any]:
    """Return the config of a run that only derives published files.

    Parameters
    ----------
    config
        Config of the original run.
    folder
        Working directory of the original run, which paths of policies are relative to.
    """
    settings = config.given()
    for entry in settings.get("experiments", {}).values():
        for key in ("policy_file", "checkpoint_dir", "checkpoint"):
            if entry.get(key) not in (None, *CHECKPOINTS):
                entry[key] = str((folder / entry[key]).resolve())
    for key in ("posggym_repo", "agent_models_repo", "agent_models_url", "crossplay"):
        settings.pop(key, None)
    settings["films"] = False
    return settings


def differences(published: Path, derived: Path, group: str) -> Iterator[str]:
    """Compare two results folders.

    Parameters
    ----------
    published, derived
        Results folders.
    group
        Name of a folder in both: an experiment's, or the registry's.

    Yields
    ------
    str
        One line for each published file that is missing, unexpected or different.
    """
    parts = [derived / group / part for part in _PUBLISHED]
    for spec in sorted((derived / group).glob(f"*/{SPEC_FILE}")):
        parts += [spec.parent / part for part in _OF_AGENTS]
    for part in parts:
        inner = part.relative_to(derived)
        ours, theirs = _files(part), _files(published / inner)
        for name in sorted(ours.keys() | theirs.keys()):
            path = (published / inner / name) if name else published / inner
            if name not in theirs:
                yield f"{path}: missing"
            elif name not in ours:
                yield f"{path}: unexpected"
            elif ours[name] != theirs[name]:
                yield f"{path}: differs"


def _files(root: Path) -> dict[str, bytes]:
    if root.is_file():
        return {"": root.read_bytes()}
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.name != ".snakemake_timestamp"
    }
