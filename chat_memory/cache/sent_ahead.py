"""Owns one command that is on its way while its sender does something else; it must not know what is asked."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from redis import BlockingConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

MOST = 16
"""How many connections are lent at a time: a sender holds one for as long as the database takes."""


class Sent:
    """A command that was sent, over a connection that is its own until ``close``."""

    def __init__(self, redis: Any, command: tuple[Any, ...], returned: Callable[[], object]) -> None:
        self._returned = returned
        self._pool = redis.connection_pool
        self._connection = self._pool.get_connection()
        self._is_due = True
        try:
            self._connection.send_command(*command)
        except BaseException:
            self._give_back()
            raise

    def answer(self) -> Any:
        """Wait for the reply; what this raises is the client library's."""
        try:
            reply = self._connection.read_response()
        except ResponseError:
            self._is_due = False
            raise
        self._is_due = False
        return reply

    def close(self) -> None:
        """Give the connection back."""
        try:
            self._give_back()
        finally:
            self._returned()

    def _give_back(self) -> None:
        """Close the socket if its reply was not read; else the next borrower would read it."""
        try:
            if self._is_due:
                self._connection.disconnect()
        finally:
            with suppress(RedisError, OSError):  # the caller has the answer
                self._pool.release(self._connection)


class Unsent:
    """A command that is sent when its answer is wanted."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def close(self) -> None:
        """Nothing is open."""


class AheadSender:
    """Sends ahead where the client has a connection to spare for that; else the command waits for ``answer``."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._start_over()

    def _start_over(self) -> None:
        """Have all connections to spare: those that a parent process had lent as it forked come back to it alone."""
        self._process = os.getpid()
        self._spare = deque(range(_spare(self._redis)))  # whose ends any thread takes from and adds to at once

    def send(self, command: tuple[Any, ...], call: Callable[[], Any]) -> Sent | Unsent:
        """Send a command and do not wait for its reply, or keep ``call``, which asks the client for the same."""
        if self._process != os.getpid():
            self._start_over()
        try:
            one = self._spare.pop()
        except IndexError:
            return Unsent(call)
        give_back = partial(self._spare.append, one)
        try:
            return Sent(self._redis, command, give_back)
        except BaseException:
            give_back()
            raise


def _spare(redis: Any) -> int:
    """How many connections of a client may be lent.

    None of a Cluster's, of a client that has a single connection, of a pool whose callers wait for each other, or where
    a class of the host's wants to see every command.
    """
    plain = isinstance(redis, Redis) and all(
        getattr(type(redis), name) is getattr(Redis, name) and name not in vars(redis)
        for name in ("execute_command", "parse_response", "lrange")
    )
    if not plain or redis.connection is not None or isinstance(redis.connection_pool, BlockingConnectionPool):
        return 0
    return min(MOST, getattr(redis.connection_pool, "max_connections", 0) // 4)
