"""Owns one command that is on its way while its sender does something else; it must not know what is asked."""

from __future__ import annotations

from typing import Any

from redis import Redis
from redis.exceptions import ResponseError


class Question:
    """A command that was sent, over a connection that is its own until ``close``."""

    def __init__(self, redis: Any, *command: Any) -> None:
        self._pool = redis.connection_pool
        self._connection = self._pool.get_connection()
        self._is_due = True
        try:
            self._connection.send_command(*command, keys=[command[1]])  # as a client with a cache of its own wants it
        except BaseException:
            self.close()
            raise

    def answer(self) -> Any:
        """Wait for it; what it raises is the client library's."""
        try:
            found = self._connection.read_response()
        except ResponseError:
            self._is_due = False
            raise
        self._is_due = False
        return found

    def close(self) -> None:
        """Give the connection back; one whose answer nobody took is cut, so that no other question gets it."""
        if self._is_due:
            self._connection.disconnect()
        self._pool.release(self._connection)


class Unsent:
    """A command that is sent when its answer is wanted: not every client lends its connections."""

    def __init__(self, redis: Any, *command: Any) -> None:
        self._redis = redis
        self._command = command

    def answer(self) -> Any:
        """Ask and wait."""
        return self._redis.execute_command(*self._command)

    def close(self) -> None:
        """Nothing is open."""


def ask(redis: Any, *command: Any) -> Question | Unsent:
    """Send a command whose second word is its key, and do not wait; a Cluster's clients are asked later."""
    lends = isinstance(redis, Redis) and redis.connection is None
    return Question(redis, *command) if lends else Unsent(redis, *command)
