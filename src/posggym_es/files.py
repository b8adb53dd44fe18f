"""Atomic writing, re-exported for the pipeline (one implementation: pgpelib.files)."""

from pgpelib.files import (
    atomic_directory,
    atomic_path,
    read_json,
    write_bytes,
    write_json,
    write_text,
)

__all__ = [
    "atomic_directory",
    "atomic_path",
    "read_json",
    "write_bytes",
    "write_json",
    "write_text",
]
