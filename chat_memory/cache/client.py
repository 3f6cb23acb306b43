"""Owns the calls to Redis and which errors count as an outage, behind a breaker; it must not know what is cached."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    ConnectionError as RedisConnectionError,
    MaxConnectionsError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
)

from chat_memory import metrics
from chat_memory.cache.breaker import Breaker
from chat_memory.cache.lua import SCRIPTS, script
from chat_memory.cache.sent_ahead import AheadSender
from chat_memory.log_limit import LogLimit

Result = TypeVar("Result")

logger = logging.getLogger("chat_memory.cache")

NO_ANSWER = (RedisConnectionError, RedisTimeoutError, RedisClusterException, OSError)
"""The errors that mean Redis is down. Any other error of the client library is a reply: Redis refused the command."""
UNAUTHENTICATED = "Protocol error"
"""Prefix of Redis' reply to a long command on an unauthenticated connection; the fault is a missing password."""


class Unavailable(Exception):
    """Redis cannot serve this call; the caller must ask the database."""


class CacheClient:
    """The commands and scripts for one Redis, behind a breaker; every failure is raised as Unavailable."""

    def __init__(self, make: Callable[[], Redis]) -> None:
        self._make = make
        self.breaker = Breaker()
        self._log_limit = LogLimit()
        self._scripts = {name: script(name) for name in SCRIPTS}

    @cached_property
    def redis(self) -> Redis:
        """The client of the redis library, built on first use: a Cluster client connects to its nodes when built."""
        return self._make()

    @cached_property
    def _ahead(self) -> AheadSender:
        return AheadSender(self.redis)

    def run(self, name: str, key: str, args: Sequence[Any], *others: str, log: bool = True) -> Any:
        """Run a script and return its reply.

        Args:
            name: one of ``lua.SCRIPTS``.
            key: the first key of the script.
            args: the script's arguments.
            others: further keys of the script; they must be in the same Cluster slot as ``key``.
            log: whether a failure is logged.

        Raises:
            Unavailable: Redis is down, too slow or refuses, or the key holds another type.
        """
        sha, source = self._scripts[name]

        def call() -> Any:
            try:
                return self.redis.evalsha(sha, 1 + len(others), key, *others, *args)
            except NoScriptError:
                return self.redis.eval(source, 1 + len(others), key, *others, *args)

        return self._guarded(call, log=log)

    def newest(self, key: str, number: int) -> list[bytes]:
        """The last ``number`` elements of the list under a key, all if it is 0; none where there is no key.

        Raises:
            Unavailable: as for ``run``.
        """
        return _elements(self._guarded(lambda: self.redis.lrange(key, -number, -1)))

    def newest_while(self, key: str, number: int, call: Callable[[], Result]) -> tuple[Result, list[bytes]]:
        """The result of ``call``, and of ``newest``: the command is sent before the call and its reply read after it.

        Raises:
            Unavailable: as for ``run``; if the command cannot be sent, ``call`` is not called.
        """
        self._may_try()
        was_open = self.breaker.is_open
        command = ("LRANGE", key, -number, -1)
        sent = self._tried(lambda: self._ahead.send(command, lambda: self.redis.lrange(*command[1:])))
        try:
            result = call()
            elements = _elements(self._tried(sent.answer))
        finally:
            sent.close()
        # If another thread opened the breaker meanwhile, this reply may be older than the outage and must not close it.
        if was_open or not self.breaker.is_open:
            self._has_answered()
        return result, elements

    def drop(self, *keys: str) -> None:
        """Delete keys, whatever they hold; Redis frees their memory after it has replied.

        Raises:
            Unavailable: as for ``run``.
        """
        self._guarded(lambda: self.redis.unlink(*keys))

    def milliseconds_left(self, key: str) -> int:
        """Milliseconds until a key expires; -1: it never expires, -2: there is no such key.

        Raises:
            Unavailable: as for ``run``.
        """
        return int(self._guarded(lambda: self.redis.pttl(key)))

    def ping(self) -> None:
        """Check that Redis answers.

        Raises:
            Unavailable: as for ``run``.
        """
        self._guarded(lambda: self.redis.ping())  # noqa: PLW0108  # building the client may fail too

    def probe(self, key: str) -> None:
        """Check that Redis runs scripts and accepts writes, with a key that must be used for nothing else.

        Raises:
            Unavailable: as for ``run``.
        """
        self.run("probe", key, ())

    def info(self) -> dict[str, Any]:
        """The reply to Redis' INFO command.

        Raises:
            Unavailable: as for ``run``, or the command is not permitted.
        """
        answer: dict[str, Any] = self._guarded(lambda: self.redis.info())  # noqa: PLW0108
        return answer

    def configured(self, pattern: str) -> dict[str, str]:
        """The settings of the Redis server whose names match a glob pattern.

        Raises:
            Unavailable: as for ``run``, or the command is not permitted.
        """
        answer: dict[str, str] = self._guarded(lambda: self.redis.config_get(pattern))
        return answer

    def log_trouble(self, trouble: str) -> None:
        """Log a kind of trouble, at most once a minute per kind; ``trouble`` must name no key and no value."""
        if self._log_limit.allows(trouble):
            logger.warning("chat_memory works without its cache: %s", trouble)

    def _guarded(self, call: Callable[[], Any], *, log: bool = True) -> Any:
        self._may_try()
        answer = self._tried(call, log=log)
        self._has_answered()
        return answer

    def _may_try(self) -> None:
        if not self.breaker.allows():
            raise Unavailable("the breaker is open")

    def _has_answered(self) -> None:
        """Close the breaker. A sent command is not enough: a frozen server still accepts commands."""
        if self.breaker.succeeded():
            logger.info("chat_memory uses its cache again")

    def _tried(self, call: Callable[[], Result], *, log: bool = True) -> Result:
        try:
            return call()
        except MaxConnectionsError as error:  # our own pool is exhausted, which says nothing about Redis
            raise self._unavailable(error, log=log) from error
        except (RedisError, *NO_ANSWER) as error:
            raise self._judged(error, log=log) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # clients raise these on malformed data
            raise self._unavailable(error, log=log) from error

    def _judged(self, error: Exception, *, log: bool) -> Unavailable:
        """Convert an error of the redis library to Unavailable, and record in the breaker whether Redis answered."""
        if str(error).startswith(UNAUTHENTICATED):
            return self._failed(AuthenticationError(), log=log)
        if isinstance(error, NO_ANSWER):
            return self._failed(error, log=log)
        # Redis answered, but refused: the key has another type, it is read-only or out of memory, or forbids EVAL.
        self._has_answered()
        return self._unavailable(error, log=log)

    def _failed(self, error: Exception, *, log: bool) -> Unavailable:
        if self.breaker.failed():
            metrics.add("breaker_openings")
        return self._unavailable(error, log=log)

    def _unavailable(self, error: Exception, *, log: bool) -> Unavailable:
        _forget_frames(error)
        # ResponseError has many causes; the first word of Redis' reply names the cause.
        trouble = str(error).partition(" ")[0] if type(error) is ResponseError else type(error).__name__
        if log:
            self.log_trouble(trouble)
        return Unavailable(trouble)


def _forget_frames(error: BaseException) -> None:
    """Remove the traceback from an error and from its causes.

    Some frames of the redis library refer to the error, and the error's traceback refers to the frames. Without this,
    that cycle would keep every caller's messages in memory until the garbage collector runs.
    """
    chained: BaseException | None = error
    while chained is not None:
        chained.__traceback__ = None
        chained = chained.__cause__ or chained.__context__


def _elements(answer: Any) -> list[bytes]:
    """The reply to LRANGE.

    Raises:
        Unavailable: it is not a list, so it is the reply to another command.
    """
    if not isinstance(answer, list):
        raise Unavailable("unexpected reply")
    return answer
