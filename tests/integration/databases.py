"""Further databases for one test: an alias with settings of its own, and a pooler in front of a server."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from django.db import connections

PASSED_ON = 65536
READY = b"Z\x00\x00\x00\x05"
"""PostgreSQL's last message before it waits for the next question, without the state it is in."""
ENCRYPTION = (b"\x04\xd2\x16\x2f", b"\x04\xd2\x16\x30")
GOOD_BYE = b"X"


@contextmanager
def database(alias: str = "other", **given: Any) -> Iterator[None]:
    """An alias with these settings."""
    connections.settings[alias] = {**connections["default"].settings_dict, "OPTIONS": {}, **given}
    try:
        yield
    finally:
        other = connections[alias]
        other.close()
        if other.connection is not None:  # Django leaves a database in memory open
            other.connection.close()
        del connections[alias]
        del connections.settings[alias]


def postgresql(url: str) -> dict[str, Any]:
    """The settings of a database by its address."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": parts.hostname,
        "PORT": parts.port,
        "USER": parts.username,
        "PASSWORD": "",
        "NAME": parts.path.strip("/"),
    }


@contextmanager
def pooler(target: int) -> Iterator[int]:
    """The port of a pooler in transaction mode before a PostgreSQL: all its clients share one connection to it.

    It answers every log-in with what the server said to the first, and leaves the server's connection as it is when a
    client goes, as PgBouncer did before version 1.21.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(("127.0.0.1", target)) as server:
        pool = _Pool(server)
        threading.Thread(target=pool.listen, args=(listening,), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            server.shutdown(socket.SHUT_RDWR)


class _Pool:
    """One connection to a server, asked by one client at a time."""

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._lock = threading.Lock()
        self._greeting = b""

    def listen(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _address = listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            question = client.recv(PASSED_ON)
            while question[4:8] in ENCRYPTION:
                client.sendall(b"N")
                question = client.recv(PASSED_ON)
            with self._lock:
                self._greeting = self._greeting or self._ask(question)
            client.sendall(self._greeting)
            while (question := client.recv(PASSED_ON)) and question[:1] != GOOD_BYE:
                with self._lock:
                    answer = self._ask(question)
                client.sendall(answer)

    def _ask(self, question: bytes) -> bytes:
        self._server.sendall(question)
        answer = b""
        while answer[-6:-1] != READY:
            answer += self._server.recv(PASSED_ON)
        return answer
