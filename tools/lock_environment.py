#!/usr/bin/env python
"""Write which packages the environment consists of: versions, hashes, licences.

`requirements.lock` has every package that pip would install for this project, with the
SHA-256 of the file for this platform; `make env` installs these versions.
`docs/licences.md` lists their licences. Run it after changing `pyproject.toml`, in the
environment itself (`make lock`).

Examples
--------
    .venv/bin/python tools/lock_environment.py
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILE = ROOT / "requirements.lock"
LICENCES_FILE = ROOT / "docs" / "licences.md"
EXTRAS = "mongo,ray,slurm,tensorboard,test,quality"
OWN_NAME = "posggym-es"


def resolve() -> list[dict[str, Any]]:
    """Return what pip would install, from its report.

    Raises
    ------
    subprocess.CalledProcessError
        If pip fails; its own message is on the terminal.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["install", "--dry-run", "--ignore-installed", "--quiet"]
        command += ["--report", str(report), "--editable", f"{ROOT}[{EXTRAS}]"]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        items: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    found = [item for item in items if item["metadata"]["name"] != OWN_NAME]
    return sorted(found, key=lambda item: item["metadata"]["name"].lower())


def lock_text(items: list[dict[str, Any]]) -> str:
    """Return the lock file: a package a line, with the hash of its file.

    Builds with a local label (torch 2.13.0+cpu) are locked by version alone: which one
    an index gives depends on the machine.
    """
    lines = [
        "# Written by `make lock`. Versions are for every platform; hashes are of the",
        "# files for Linux on x86_64 and Python 3.11.",
    ]
    for item in items:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        line = f"{name}=={version.partition('+')[0]}"
        if "+" not in version:
            digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
            line += f" --hash=sha256:{digest}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def licence(name: str) -> str:
    """Return the licence that an installed package names."""
    metadata = importlib.metadata.metadata(name)
    fields = {key: metadata[key] for key in set(metadata)}
    if fields.get("License-Expression"):
        return fields["License-Expression"]
    prefix = "License :: "
    classifiers = [
        value.rpartition(" :: ")[2]
        for value in metadata.get_all("Classifier") or []
        if value.startswith(prefix) and value != f"{prefix}OSI Approved"
    ]
    text = fields.get("License", "").strip()
    first = text.splitlines()[0] if text else ""
    return ", ".join(classifiers) or first or "not stated"


def licences_text(items: list[dict[str, Any]]) -> str:
    """Return the page of licences."""
    lines = [
        "# Licences of the packages in the environment",
        "",
        "As the packages state them; written by `make lock`.",
        "",
        "| Package | Version | Licence |",
        "|---|---|---|",
    ]
    for item in items:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        lines.append(f"| {name} | {version.partition('+')[0]} | {licence(name)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    items = resolve()
    LOCK_FILE.write_text(lock_text(items))
    LICENCES_FILE.write_text(licences_text(items))
    print(f"{len(items)} packages in {LOCK_FILE.name} and {LICENCES_FILE.name}")


if __name__ == "__main__":
    main()
