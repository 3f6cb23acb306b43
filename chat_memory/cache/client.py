"""Owns what is asked of Redis and what counts as down, with a breaker before it; it must not know what is cached."""

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
"""The errors of a Redis that is not there; any other error of the library is an answer, if only a refusal."""
UNAUTHENTICATED = "Protocol error"
"""Prefix of Redis' reply to a long command on an unauthenticated connection: a missing password, no protocol fault."""


class Unavailable(Exception):
    """Redis cannot serve this call; the database must."""


class CacheClient:
    """The scripts over one Redis, with a breaker before them; every failure is an Unavailable."""

    def __init__(self, make: Callable[[], Redis]) -> None:
        self._make = make
        self.breaker = Breaker()
        self._log_limit = LogLimit()
        self._scripts = {name: script(name) for name in SCRIPTS}

    @cached_property
    def redis(self) -> Redis:
        """The client library's own client, made at the first call that needs it: a Cluster's asks its nodes then."""
        return self._make()

    @cached_property
    def _ahead(self) -> AheadSender:
        return AheadSender(self.redis)

    def run(self, name: str, key: str, args: Sequence[Any], *others: str, aloud: bool = True) -> Any:
        """Run a script on a key, and on others that lie in its slot; ``aloud``: trouble is worth a line in the log.

        Raises:
            Unavailable: Redis is down, slow, refuses, or holds another type under the key.
        """
        sha, source = self._scripts[name]

        def call() -> Any:
            try:
                return self.redis.evalsha(sha, 1 + len(others), key, *others, *args)
            except NoScriptError:
                return self.redis.eval(source, 1 + len(others), key, *others, *args)

        return self._guarded(call, aloud=aloud)

    def newest(self, key: str, number: int) -> list[bytes]:
        """The last elements of a key's list, 0: all of them; none where there is no key.

        Raises:
            Unavailable: as ``run``.
        """
        return _elements(self._guarded(lambda: self.redis.lrange(key, -number, -1)))

    def newest_while(self, key: str, number: int, call: Callable[[], Result]) -> tuple[Result, list[bytes]]:
        """What a call returns, and beside it what ``newest`` does: Redis is asked before it and heard after it.

        Raises:
            Unavailable: as ``run``; where Redis cannot even be asked, before the call.
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
        if was_open or not self.breaker.is_open:  # an answer from before the trouble does not end it
            self._has_answered()
        return result, elements

    def drop(self, *keys: str) -> None:
        """Remove keys, whatever they hold; Redis frees what they held after it has answered.

        Raises:
            Unavailable: as ``run``.
        """
        self._guarded(lambda: self.redis.unlink(*keys))

    def life(self, key: str) -> int:
        """Milliseconds until a key goes; -1: it has no end, -2: there is none.

        Raises:
            Unavailable: as ``run``.
        """
        return int(self._guarded(lambda: self.redis.pttl(key)))

    def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            Unavailable: as ``run``.
        """
        self._guarded(lambda: self.redis.ping())  # noqa: PLW0108  # the client itself may be yet to be made

    def probe(self, key: str) -> None:
        """Try what the cache does, run a script and write, under a key that nobody uses.

        Raises:
            Unavailable: as ``run``.
        """
        self.run("probe", key, ())

    def info(self) -> dict[str, Any]:
        """What the server tells of itself.

        Raises:
            Unavailable: as ``run``, or it may not be asked.
        """
        answer: dict[str, Any] = self._guarded(lambda: self.redis.info())  # noqa: PLW0108
        return answer

    def configured(self, pattern: str) -> dict[str, str]:
        """The server's own settings whose names match.

        Raises:
            Unavailable: as ``run``, or it may not be asked.
        """
        answer: dict[str, str] = self._guarded(lambda: self.redis.config_get(pattern))
        return answer

    def complain(self, trouble: str) -> None:
        """One line per kind of trouble and minute, not one per call; never a key or a value."""
        if self._log_limit.allows(trouble):
            logger.warning("chat_memory works without its cache: %s", trouble)

    def _guarded(self, call: Callable[[], Any], *, aloud: bool = True) -> Any:
        self._may_try()
        answer = self._tried(call, aloud=aloud)
        self._has_answered()
        return answer

    def _may_try(self) -> None:
        if not self.breaker.allows():
            raise Unavailable("the breaker is open")

    def _has_answered(self) -> None:
        """Close the breaker: only an answer does, since a frozen server takes commands too."""
        if self.breaker.succeeded():
            logger.info("chat_memory has its cache again")

    def _tried(self, call: Callable[[], Result], *, aloud: bool = True) -> Result:
        try:
            return call()
        except MaxConnectionsError as error:  # of our own pool, which tells nothing of Redis
            raise self._unavailable(error, aloud=aloud) from error
        except (RedisError, *NO_ANSWER) as error:
            raise self._judged(error, aloud=aloud) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # what clients make of names and bytes
            raise self._unavailable(error, aloud=aloud) from error

    def _judged(self, error: Exception, *, aloud: bool) -> Unavailable:
        """An error of the library as ours, once the breaker has been told whether Redis is there."""
        if str(error).startswith(UNAUTHENTICATED):
            return self._failed(AuthenticationError(), aloud=aloud)
        if isinstance(error, NO_ANSWER):
            return self._failed(error, aloud=aloud)
        # It answered, if only to refuse: another type under the key, read-only, out of memory, no EVAL.
        self._has_answered()
        return self._unavailable(error, aloud=aloud)

    def _failed(self, error: Exception, *, aloud: bool) -> Unavailable:
        if self.breaker.failed():
            metrics.add("breaker_openings")
        return self._unavailable(error, aloud=aloud)

    def _unavailable(self, error: Exception, *, aloud: bool) -> Unavailable:
        _forget_frames(error)
        # A ResponseError is many things; the first word of what Redis says tells which.
        trouble = str(error).partition(" ")[0] if type(error) is ResponseError else type(error).__name__
        if aloud:
            self.complain(trouble)
        return Unavailable(trouble)


def _forget_frames(error: BaseException) -> None:
    """Take the traceback from an error and from those behind it.

    The client library has frames that hold the error itself. Its traceback would keep them, and with them the messages
    of every caller, until the garbage collector comes.
    """
    behind: BaseException | None = error
    while behind is not None:
        behind.__traceback__ = None
        behind = behind.__cause__ or behind.__context__


def _elements(answer: Any) -> list[bytes]:
    """A list's elements; an answer of another kind is one to another question.

    Raises:
        Unavailable: it is that.
    """
    if not isinstance(answer, list):
        raise Unavailable("another answer")
    return answer
