"""Owns what is asked of Redis and what counts as down, with a breaker before it; it must not know what is cached."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache, cached_property
from hashlib import sha1
from importlib.resources import files
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
from chat_memory.cache.question import Asker
from chat_memory.cache.quiet import Quiet

Result = TypeVar("Result")

logger = logging.getLogger("chat_memory.cache")

NO_ANSWER = (RedisConnectionError, RedisTimeoutError, RedisClusterException, OSError)
"""What tells that Redis is not there; any other error of the library is an answer, if only a refusal."""
UNKNOWN = "Protocol error"
"""How Redis begins what it says to who asks at length before any password."""
LEASE_MS = 300
"""How long whoever missed may take to read the database and fill, in milliseconds."""
SCRIPTS = ("lease", "fill", "push", "count", "probe")
LAYOUT = 1
"""Which layout the entries have; raised with every change of it. An older release leaves newer entries alone."""


class Unavailable(Exception):
    """Redis cannot serve this call; the database must."""


class CacheClient:
    """The scripts over one Redis, with a breaker before them; every failure is an Unavailable."""

    def __init__(self, make: Callable[[], Redis]) -> None:
        self._make = make
        self.breaker = Breaker()
        self._quiet = Quiet()
        self._scripts = {name: _script(name) for name in SCRIPTS}

    @cached_property
    def redis(self) -> Redis:
        """The client library's own client, made at the first call that needs it: a Cluster's asks its nodes then."""
        return self._make()

    @cached_property
    def _asker(self) -> Asker:
        return Asker(self.redis)

    def run(self, script: str, key: str, args: Sequence[Any], *others: str, aloud: bool = True) -> Any:
        """Run a script on a key, and on others that lie in its slot; ``aloud``: trouble is worth a line in the log.

        Raises:
            Unavailable: Redis is down, slow, refuses, or holds another type under the key.
        """
        sha, source = self._scripts[script]

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
        """What a call returns, and beside it what ``newest`` does: Redis is asked before and heard after.

        Raises:
            Unavailable: as ``run``; where Redis cannot even be asked, before the call.
        """
        self._may_try()
        was_open = self.breaker.is_open
        command = ("LRANGE", key, -number, -1)
        question = self._tried(lambda: self._asker.ask(command, lambda: self.redis.lrange(*command[1:])))
        try:
            result = call()
            found = _elements(self._tried(question.answer))
        finally:
            question.close()
        if was_open or not self.breaker.is_open:  # an answer from before the trouble does not end it
            self._has_answered()
        return result, found

    def drop(self, key: str) -> None:
        """Remove a key, whatever it holds.

        Raises:
            Unavailable: as ``run``.
        """
        self._guarded(lambda: self.redis.delete(key))

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
        found: dict[str, Any] = self._guarded(lambda: self.redis.info())  # noqa: PLW0108
        return found

    def configured(self, pattern: str) -> dict[str, str]:
        """The server's own settings whose names match.

        Raises:
            Unavailable: as ``run``, or it may not be asked.
        """
        found: dict[str, str] = self._guarded(lambda: self.redis.config_get(pattern))
        return found

    def complain(self, trouble: str) -> None:
        """One line per kind of trouble and minute, not one per call; never a key or a value."""
        if self._quiet.tells(trouble):
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
        """Which closes the breaker; that something could be sent does not, for a frozen server takes it too."""
        if self.breaker.succeeded():
            logger.info("chat_memory has its cache again")

    def _tried(self, call: Callable[[], Result], *, aloud: bool = True) -> Result:
        try:
            return call()
        except MaxConnectionsError as error:  # of our own pool, which tells nothing of Redis
            raise self._unavailable(error, aloud=aloud) from error
        except (RedisError, *NO_ANSWER) as error:
            raise self._told(error, aloud=aloud) from error
        except (ValueError, TypeError, AttributeError, LookupError) as error:  # what clients make of names and bytes
            raise self._unavailable(error, aloud=aloud) from error

    def _told(self, error: Exception, *, aloud: bool) -> Unavailable:
        """What an error of the library is worth."""
        if str(error).startswith(UNKNOWN):
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
        # A ResponseError is many things; the first word of what Redis says tells which.
        trouble = str(error).partition(" ")[0] if type(error) is ResponseError else type(error).__name__
        if aloud:
            self.complain(trouble)
        return Unavailable(trouble)


def _elements(answer: Any) -> list[bytes]:
    """A list's elements; an answer of another kind is one to somebody else's question.

    Raises:
        Unavailable: it is that.
    """
    if not isinstance(answer, list):
        raise Unavailable("another answer")
    return answer


@cache
def _script(name: str) -> tuple[str, str]:
    """A script's digest and its text, after the constants and the part all scripts share."""
    scripts = files("chat_memory.cache") / "scripts"
    constants = f"local LAYOUT, LEASE_MS = {LAYOUT}, {LEASE_MS}\n"
    source = constants + (scripts / "header.lua").read_text() + (scripts / f"{name}.lua").read_text()
    return sha1(source.encode(), usedforsecurity=False).hexdigest(), source
