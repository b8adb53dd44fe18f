"""Downloads of POSGGym's policy files, with limits, and checks before they are loaded.

POSGGym's own loader executes code in policy files, and its downloads are limited
neither in size nor in time. This module downloads and checks a file first, and puts it
where POSGGym looks for it.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import posggym.config
import requests
from posggym.agents.registration import PolicySpec

from pgpelib.foreign.safe_pickle import ForeignFileError, read_file
from pgpelib.utils.files import write_bytes
from posggym_es.models.posggym_model_file import parse_model_file

# POSGGym's own files have 0.2 to 4 MB.
MAX_BYTES = 64 * 1024 * 1024
MAX_SECONDS = 300.0
_CHUNK = 64 * 1024


class DownloadError(ValueError):
    """A policy file cannot be downloaded; the message names the URL and the reason."""


def download(
    url: str, max_bytes: int = MAX_BYTES, max_seconds: float = MAX_SECONDS
) -> bytes:
    """Download a URL, in bounded time and memory.

    Parameters
    ----------
    url
        The URL.
    max_bytes
        Maximum size of the response.
    max_seconds
        Maximum duration of the download.

    Raises
    ------
    DownloadError
        If the server cannot be reached, answers with an error, or the answer is too
        large or takes too long.
    """
    end = time.monotonic() + max_seconds
    chunks: list[bytes] = []
    try:
        # The timeout applies to each read; the loop below stops slow servers.
        with requests.get(url, stream=True, timeout=min(30, max_seconds)) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(_CHUNK):
                chunks.append(chunk)
                if sum(map(len, chunks)) > max_bytes:
                    raise DownloadError(f"{url}: larger than {max_bytes:,} bytes")
                if time.monotonic() > end:
                    raise DownloadError(f"{url}: took more than {max_seconds:g} s")
    except requests.RequestException as error:
        raise DownloadError(f"{url}: {error}") from error
    return b"".join(chunks)


def ensure_model(spec: PolicySpec, sha256: str | None = None) -> None:
    """Check a policy's file, after downloading it if POSGGym does not have it yet.

    Nothing is done for policies without a file, such as heuristics.

    Parameters
    ----------
    spec
        The policy's spec in POSGGym's registry.
    sha256
        Expected SHA-256 of the file; None to accept any.

    Raises
    ------
    ValueError
        If the file cannot be downloaded, does not have the expected SHA-256, or is not
        a policy file.
    OSError
        If the file cannot be read or written.
    """
    named = spec.kwargs.get("policy_file_path")
    if named is None:
        return
    path = Path(named)
    if path.is_file():
        try:
            _check(str(path), read_file(path), spec, sha256)
        except ForeignFileError as error:
            raise ValueError(f"{spec.id}: {path}: {error}") from error
        return
    parts = path.relative_to(posggym.config.AGENT_MODEL_DIR).as_posix()
    url = f"{posggym.config.AGENT_MODEL_REPO_URL}posggym/agents/{parts}"
    data = download(url)
    _check(url, data, spec, sha256)
    write_bytes(path, data)


def _check(where: str, data: bytes, spec: PolicySpec, sha256: str | None) -> None:
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise ValueError(
            f"{spec.id}: the file is not the one that was registered "
            f"(SHA-256 {digest}, not {sha256})"
        )
    try:
        parse_model_file(data)
    except ValueError as error:
        raise ValueError(f"{spec.id}: {where}: not a policy file: {error}") from error
