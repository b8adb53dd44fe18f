"""Policy files of others: downloaded in bounds, and read before POSGGym loads them."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import pickle
import time
from contextlib import AbstractContextManager

import posggym.config
import pytest
from posggym.agents.registration import PolicySpec

from hosts import serving
from pickle_bombs import Executes
from posggym_es.models.model_downloads import DownloadError, download, ensure_model


def answering(answer) -> AbstractContextManager[str]:
    """Serve with a function of the request's handler, which writes the answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            # Clients that had enough go away.
            with contextlib.suppress(ConnectionError):
                answer(self)

        def log_message(self, *_):
            pass

    return serving(Handler)


def body(data: bytes):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(64 * 1024))


def trickling(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"x" * 64 * 1024)
        handler.wfile.flush()
        time.sleep(0.1)


def silent(handler):
    handler.send_response(200)
    handler.end_headers()
    time.sleep(5)


def test_downloads_are_what_was_served():
    with answering(body(b"weights")) as url:
        assert download(url) == b"weights"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (endless, "larger than 1,000,000 bytes"),
        (trickling, "took more than 1 s"),
        (silent, "timed out"),
        (lambda handler: handler.send_error(404), "404"),
    ],
)
def test_downloads_end(answer, message):
    size = 10**12 if answer is trickling else 10**6
    with answering(answer) as url, pytest.raises(DownloadError) as caught:
        download(url, max_bytes=size, max_seconds=1)
    assert str(caught.value).startswith(url)
    assert message in str(caught.value)


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setattr(posggym.config, "AGENT_MODEL_DIR", tmp_path / "agents")
    return tmp_path / "agents"


def spec_of(models) -> PolicySpec:
    path = models / "classic" / "tiger" / "p.pkl"
    return PolicySpec("p", "m:f", 0, "Tiger-v0", kwargs={"policy_file_path": path})


@pytest.fixture
def real(shared_data) -> bytes:
    return next((shared_data / "posggym-agent-models").rglob("*.pkl")).read_bytes()


def test_a_file_that_is_missing_is_downloaded_once(models, real, monkeypatch):
    spec = spec_of(models)
    asked = []

    def answer(handler):
        asked.append(handler.path)
        body(real)(handler)

    with answering(answer) as url:
        monkeypatch.setattr(posggym.config, "AGENT_MODEL_REPO_URL", url)
        ensure_model(spec, hashlib.sha256(real).hexdigest())
        ensure_model(spec)
    # The address that POSGGym's own download takes.
    assert asked == ["/posggym/agents/classic/tiger/p.pkl"]
    assert spec.kwargs["policy_file_path"].read_bytes() == real


@pytest.mark.parametrize("local", [True, False])
def test_files_that_execute_something_are_refused(models, tmp_path, monkeypatch, local):
    spec, marker = spec_of(models), tmp_path / "executed"
    attack = pickle.dumps(Executes("touch", str(marker)))
    path = spec.kwargs["policy_file_path"]
    with answering(body(attack)) as url:
        monkeypatch.setattr(posggym.config, "AGENT_MODEL_REPO_URL", url)
        if local:
            path.parent.mkdir(parents=True)
            path.write_bytes(attack)
        with pytest.raises(ValueError, match=f"^{spec.id}: .*not a policy file"):
            ensure_model(spec)
    assert not marker.exists()
    # POSGGym would load what is there.
    assert path.exists() == local


def test_another_file_than_the_expected_one_is_refused(models, real, monkeypatch):
    spec = spec_of(models)
    with answering(body(real)) as url:
        monkeypatch.setattr(posggym.config, "AGENT_MODEL_REPO_URL", url)
        with pytest.raises(ValueError, match="is not the one that was registered"):
            ensure_model(spec, hashlib.sha256(b"other").hexdigest())
    assert not spec.kwargs["policy_file_path"].exists()


def test_policies_without_files_need_nothing():
    ensure_model(PolicySpec("p", "m:f", 0, "Tiger-v0"))
