"""Owns commands that are sent before their reply is needed, so that Redis works meanwhile; it must not know which."""

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
"""The maximum number of connections lent at a time; each is held until the database has answered."""


class Sent:
    """A command that was sent, on a connection that no other command uses until ``close``."""

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
        """Wait for the reply and return it; errors of the redis library are not converted."""
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
            with suppress(RedisError, OSError):  # the caller has the reply already
                self._pool.release(self._connection)


class Unsent:
    """A command that is sent only when its reply is requested."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def close(self) -> None:
        """Do nothing: there is no connection to give back."""


class AheadSender:
    """Sends commands ahead while the client has connections to spare; otherwise the command is sent by ``answer``."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._start_over()

    def _start_over(self) -> None:
        """Count all connections as free, also in a forked child: connections lent in the parent return only there."""
        self._process = os.getpid()
        self._spare = deque(range(_spare(self._redis)))  # pop and append of a deque are safe between threads

    def send(self, command: tuple[Any, ...], call: Callable[[], Any]) -> Sent | Unsent:
        """Send a command without waiting for its reply.

        If no connection is free, the result's ``answer`` is ``call``, which must run the same command.
        """
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
    """The number of a client's connections that may be lent.

    It is 0 for a Cluster client, a client with a single connection, a pool whose callers wait for a free connection,
    and a client class of the host that overrides how commands run.
    """
    plain = isinstance(redis, Redis) and all(
        getattr(type(redis), name) is getattr(Redis, name) and name not in vars(redis)
        for name in ("execute_command", "parse_response", "lrange")
    )
    if not plain or redis.connection is not None or isinstance(redis.connection_pool, BlockingConnectionPool):
        return 0
    return min(MOST, getattr(redis.connection_pool, "max_connections", 0) // 4)
