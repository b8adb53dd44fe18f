"""Recording runs in MongoDB with Sacred; needs the pymongo package."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import Any
from urllib.parse import quote_plus

import pymongo
import pymongo.errors
import pymongo.uri_parser
from sacred.observers import MongoObserver
from sacred.observers.mongo import parse_mongo_db_arg

logger = logging.getLogger(__name__)

# Milliseconds to wait for a server.
SERVER_TIMEOUT = 5000

# Seconds until a server that did not answer is tried again. Training continues
# meanwhile.
RETRY_INTERVAL = 30.0

_URL_PREFIXES = ("mongodb://", "mongodb+srv://")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class DatabaseError(ValueError):
    """The database cannot be used; the message never contains credentials."""


class PatientMongoObserver(MongoObserver):
    """Sacred's observer, for servers that may be unavailable for a while.

    Sacred drops its own observer for the rest of the run at the first metric or
    artifact that cannot be stored. This one queues them, and stores them in order as
    soon as the server answers again.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []
        self._ask_again = 0.0
        # Heartbeats come from a separate thread.
        self._lock = threading.Lock()

    def log_metrics(
        self, metrics_by_name: dict[str, Any], info: dict[str, Any]
    ) -> None:
        """Store metrics, now or later."""
        # One by one, so that nothing is stored twice if the server stops answering.
        self._store(
            [
                ("log_metrics", ({name: values}, info))
                for name, values in metrics_by_name.items()
            ]
        )

    def artifact_event(
        self,
        name: str,
        filename: str,
        metadata: dict[str, Any] | None = None,
        content_type: str | None = None,
    ) -> None:
        """Store a file, now or later."""
        # Without a type, Sacred guesses one and prints whether it succeeded.
        kind = content_type or "application/octet-stream"
        self._store([("artifact_event", (name, filename, metadata, kind))])

    def heartbeat_event(self, *args: Any, **kwargs: Any) -> None:
        """Store queued records and the state of the run."""
        self._store([])
        super().heartbeat_event(*args, **kwargs)

    def save(self) -> None:
        """Store the state of the run, unless the server recently did not answer."""
        if time.monotonic() >= self._ask_again:
            super().save()

    def final_save(self, attempts: int) -> None:
        """Store queued records and the end of the run, or log that they are missing.

        Sacred's own method is meant to save the end of the run to a file if the server
        does not answer, but fails.
        """
        try:
            self._client.admin.command("ping")
        except pymongo.errors.ConnectionFailure as error:
            logger.error(
                "the database does not answer at the end of the run (%s); it lacks %d "
                "records and the end of the run, which are in the run folder",
                type(error).__name__,
                len(self._waiting),
            )
            return
        self._ask_again = 0.0
        self._store([])
        # The server has just answered, so Sacred's ten attempts would only cost time.
        super().final_save(min(attempts, 2))

    def _store(self, events: list[tuple[str, tuple[Any, ...]]]) -> None:
        with self._lock:
            self._waiting += events
            while self._waiting and time.monotonic() >= self._ask_again:
                method, arguments = self._waiting[0]
                try:
                    getattr(super(), method)(*arguments)
                except pymongo.errors.ConnectionFailure as error:
                    self._ask_again = time.monotonic() + RETRY_INTERVAL
                    logger.warning(
                        "the database does not answer (%s); training continues with %d "
                        "records queued",
                        type(error).__name__,
                        len(self._waiting),
                    )
                    return
                del self._waiting[0]


def open_observer(argument: str) -> PatientMongoObserver:
    """Connect to the database given to Sacred's option `-m`.

    Parameters
    ----------
    argument
        `IP:PORT:DATABASE` or another of Sacred's forms, or a `mongodb://` URL whose
        path is the database. `$NAME` and `${NAME}` in a URL are replaced by environment
        variables, which keeps credentials off the command line.

    Raises
    ------
    DatabaseError
        If the argument cannot be parsed, or no server answers.
    """
    if argument.startswith(_URL_PREFIXES):
        settings = _settings_of_url(argument)
    else:
        try:
            settings = parse_mongo_db_arg(argument)
        except (ValueError, AttributeError) as error:
            raise DatabaseError(
                f"-m: {argument!r} is not IP:PORT:DATABASE or a mongodb:// URL"
            ) from error
    url = settings.pop("url", "localhost:27017")
    server = re.sub(r"^.*//|[^/]*@|[/?].*$", "", url)
    try:
        client = pymongo.MongoClient(
            url,
            serverSelectionTimeoutMS=SERVER_TIMEOUT,
            connectTimeoutMS=SERVER_TIMEOUT,
            socketTimeoutMS=4 * SERVER_TIMEOUT,
        )
        client.admin.command("ping")
    except pymongo.errors.PyMongoError as error:
        if isinstance(error, pymongo.errors.OperationFailure):
            reason = "does not accept the credentials"
        else:
            reason = "does not answer"
        raise DatabaseError(
            f"-m: no MongoDB server answers at {server}: it {reason} "
            f"({type(error).__name__}); start it, or leave -m out"
        ) from error
    return PatientMongoObserver(client=client, **settings)


def _settings_of_url(template: str) -> dict[str, Any]:
    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise DatabaseError(f"-m: the environment variable {name} is not set")
        return quote_plus(os.environ[name])

    url = _VARIABLE.sub(value_of, template)
    try:
        database = pymongo.uri_parser.parse_uri(url)["database"]
    except (pymongo.errors.PyMongoError, ValueError) as error:
        # Neither the URL nor the driver's message, which may contain the password.
        raise DatabaseError(
            f"-m: not a valid mongodb:// URL ({type(error).__name__})"
        ) from None
    if database is None:
        raise DatabaseError(
            "-m: the URL does not name a database: write mongodb://HOST/DATABASE"
        )
    return {"url": url, "db_name": database}
