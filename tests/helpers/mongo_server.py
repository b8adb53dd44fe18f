"""A small server that speaks MongoDB's protocol, over mongomock's collections.

No package of a registry brings a MongoDB server along, so the real driver talks to this
one: OP_MSG messages, SCRAM-SHA-256 authentication, and the commands that Sacred's
observer and GridFS use. What it does not prove: replica sets, TLS, and the server's own
limits (documents over 16 MB).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import socket
import socketserver
import struct
import threading
from typing import Any

import bson
import mongomock
from pymongo.errors import BulkWriteError
from pymongo.errors import DuplicateKeyError as PymongoDuplicateKeyError

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
ITERATIONS = 4096
UNAUTHENTICATED = {"hello", "ismaster", "isMaster", "saslStart", "saslContinue"}


class MongoServer:
    """A server on a free port of the loopback interface.

    Parameters
    ----------
    user, password
        Credentials that clients have to give; None for a server without.
    port
        Port to listen on; 0 for a free one.
    client
        Databases to serve, e.g. those of a server that was stopped.
    crash_on
        Text that makes the server crash when a command contains it.
    """

    def __init__(
        self,
        user: str | None = None,
        password: str | None = None,
        port: int = 0,
        client: mongomock.MongoClient | None = None,
        crash_on: str | None = None,
    ) -> None:
        self.client = client or mongomock.MongoClient()
        self.crash_on = crash_on
        self.user, self.password = user, password
        self.lock = threading.Lock()
        self.connections: list[Any] = []
        outer = self

        class Handler(_Handler):
            server_state = outer

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", port), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> MongoServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and break all connections, as a crash does."""
        self._server.shutdown()
        self._server.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def command(self, command: dict[str, Any]) -> dict[str, Any]:
        """Do a command of the protocol."""
        name, target = next(iter(command.items()))
        if name in {"hello", "ismaster", "isMaster"}:
            return {
                "helloOk": True,
                "isWritablePrimary": True,
                "ismaster": True,
                "maxBsonObjectSize": 16 * 2**20,
                "maxMessageSizeBytes": 48 * 10**6,
                "maxWriteBatchSize": 100_000,
                "minWireVersion": 0,
                "maxWireVersion": 17,
                "saslSupportedMechs": ["SCRAM-SHA-256"],
            }
        if name in {"ping", "endSessions", "killCursors"}:
            return {}
        if self.crash_on is not None and self.crash_on in repr(command):
            self.stop()
            raise ConnectionAbortedError(f"crashed on {self.crash_on}")
        collection = self.client[command["$db"]][target]
        with self.lock:
            return getattr(self, f"_{name}")(collection, command)

    def _insert(self, collection: Any, command: dict[str, Any]) -> dict[str, Any]:
        for index, document in enumerate(command["documents"]):
            try:
                collection.insert_one(document)
            except (PymongoDuplicateKeyError, BulkWriteError) as error:
                failure = {"index": index, "code": 11000, "errmsg": str(error)}
                return {"n": index, "writeErrors": [failure]}
        return {"n": len(command["documents"])}

    def _update(self, collection: Any, command: dict[str, Any]) -> dict[str, Any]:
        matched, upserted = 0, []
        for index, update in enumerate(command["updates"]):
            result = collection.update_one(
                update["q"], update["u"], upsert=update.get("upsert", False)
            )
            matched += result.matched_count
            if result.upserted_id is not None:
                upserted.append({"index": index, "_id": result.upserted_id})
        reply = {"n": matched + len(upserted), "nModified": matched}
        return reply | ({"upserted": upserted} if upserted else {})

    def _find(self, collection: Any, command: dict[str, Any]) -> dict[str, Any]:
        cursor = collection.find(command.get("filter") or {})
        if command.get("sort"):
            cursor = cursor.sort(list(command["sort"].items()))
        cursor = cursor.skip(command.get("skip", 0)).limit(abs(command.get("limit", 0)))
        return _cursor(collection, list(cursor))

    def _aggregate(self, collection: Any, command: dict[str, Any]) -> dict[str, Any]:
        return _cursor(collection, list(collection.aggregate(command["pipeline"])))

    def _createIndexes(
        self, collection: Any, command: dict[str, Any]
    ) -> dict[str, Any]:
        for index in command["indexes"]:
            keys = list(index["key"].items())
            collection.create_index(keys, unique=index.get("unique", False))
        return {}

    def _listIndexes(self, collection: Any, _: dict[str, Any]) -> dict[str, Any]:
        indexes = collection.index_information().items()
        documents = [{"name": name, "key": dict(i["key"])} for name, i in indexes]
        return _cursor(collection, documents)


def _cursor(collection: Any, documents: list[Any]) -> dict[str, Any]:
    namespace = f"{collection.database.name}.{collection.name}"
    return {"cursor": {"id": bson.Int64(0), "ns": namespace, "firstBatch": documents}}


class _Handler(socketserver.BaseRequestHandler):
    server_state: MongoServer

    def setup(self) -> None:
        self.server_state.connections.append(self.request)
        self._authenticated = self.server_state.user is None
        self._scram: _Scram | None = None

    def handle(self) -> None:
        try:
            while header := self._receive(16):
                length, request, _, opcode = struct.unpack("<iiii", header)
                body = self._receive(length - 16)
                if opcode == OP_QUERY:
                    start = body.index(b"\0", 4) + 1 + 8
                    reply = bson.encode({**self._reply(bson.decode(body[start:]))})
                    payload = struct.pack("<iqii", 8, 0, 0, 1) + reply
                    answer = OP_REPLY
                else:
                    payload = struct.pack("<IB", 0, 0)
                    payload += bson.encode(self._reply(_message(body)))
                    answer = OP_MSG
                head = struct.pack("<iiii", 16 + len(payload), 0, request, answer)
                self.request.sendall(head + payload)
        except OSError:
            pass

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.request.recv(count - len(data))
            if not piece:
                return b""
            data += piece
        return data

    def _reply(self, command: dict[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if not self._authenticated and name not in UNAUTHENTICATED:
            return {"ok": 0.0, "code": 13, "errmsg": "authentication required"}
        if name.startswith("sasl"):
            return self._authenticate(command)
        return {**self.server_state.command(command), "ok": 1.0}

    def _authenticate(self, command: dict[str, Any]) -> dict[str, Any]:
        state = self.server_state
        payload = bytes(command["payload"]).decode()
        if "saslStart" in command:
            self._scram = _Scram(state.user or "", state.password or "")
            answer: str | None = self._scram.first(payload)
        else:
            assert self._scram is not None
            answer = self._scram.final(payload)
        if answer is None:
            return {"ok": 0.0, "code": 18, "errmsg": "Authentication failed."}
        done = "saslContinue" in command
        self._authenticated = self._authenticated or done
        binary = answer.encode()
        return {"conversationId": 1, "done": done, "payload": binary, "ok": 1.0}


def _message(body: bytes) -> dict[str, Any]:
    """Return the command of an OP_MSG body, its document sequences as lists."""
    command: dict[str, Any] = {}
    position = 4
    while position < len(body):
        kind = body[position]
        (size,) = struct.unpack_from("<i", body, position + 1)
        section = body[position + 1 : position + 1 + size]
        if kind == 0:
            command = {**bson.decode(section), **command}
        else:
            end = section.index(b"\0", 4)
            command[section[4:end].decode()] = bson.decode_all(section[end + 1 :])
        position += 1 + size
    # The name of the command comes first again.
    return {**{k: v for k, v in command.items() if not isinstance(v, list)}, **command}


class _Scram:
    """The server's half of SCRAM-SHA-256 (RFC 7677)."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), self._salt, ITERATIONS
        )
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        self._stored_key = hashlib.sha256(client_key).digest()
        self._server_key = hmac.digest(salted, b"Server Key", "sha256")
        self._exchange: list[str] = []

    def first(self, message: str) -> str | None:
        bare = message.split(",", 2)[2]
        fields = dict(part.split("=", 1) for part in bare.split(","))
        salt = base64.b64encode(self._salt).decode()
        nonce = fields["r"] + base64.b64encode(os.urandom(12)).decode()
        answer = f"r={nonce},s={salt},i={ITERATIONS}"
        self._exchange = [bare, answer]
        return answer if fields["n"] == self._user else None

    def final(self, message: str) -> str | None:
        without_proof, _, proof = message.rpartition(",p=")
        signed = ",".join([*self._exchange, without_proof]).encode()
        signature = hmac.digest(self._stored_key, signed, "sha256")
        given = base64.b64decode(proof)
        key = bytes(a ^ b for a, b in zip(given, signature, strict=True))
        if hashlib.sha256(key).digest() != self._stored_key:
            return None
        verifier = hmac.digest(self._server_key, signed, "sha256")
        return f"v={base64.b64encode(verifier).decode()}"
