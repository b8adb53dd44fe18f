"""A server with the part of Hugging Face's hub that uploads use."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Hub:
    """What the server holds: below `folder`, one folder per repository."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""
        self.tokens: set[str | None] = set()

    def answer(self, path: str, body: bytes) -> dict | None:
        """Return the answer to a request; None if there is nothing at the path."""
        if path == "/api/validate-yaml":
            return {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            asked = json.loads(body)
            repo_id = f"{asked['organization']}/{asked['name']}"
            (self.folder / repo_id).mkdir(parents=True, exist_ok=True)
            return {"url": f"{self.url}/{repo_id}"}
        # /api/models/<user>/<name>/<action>/main
        _, _, _, *names, action, _ = path.split("/")
        repo_id = "/".join(names)
        if not (self.folder / repo_id).is_dir():
            return None
        if action == "preupload":
            names = [file["path"] for file in json.loads(body)["files"]]
            ways = {"uploadMode": "regular", "shouldIgnore": False}
            return {"files": [{"path": name, **ways} for name in names]}
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                target = self.folder / repo_id / line["value"]["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(base64.b64decode(line["value"]["content"]))
        commit = {"commitOid": "0" * 40, "success": True}
        return {**commit, "commitUrl": f"{self.url}/{repo_id}/commit/{'0' * 40}"}


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Hub]:
    """Serve a hub that keeps its repositories in a folder."""
    hub = Hub(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hub.tokens.add(self.headers["Authorization"])
            length = int(self.headers.get("Content-Length") or 0)
            answer = hub.answer(self.path.partition("?")[0], self.rfile.read(length))
            data = json.dumps(answer or {"error": "Repository not found"}).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
