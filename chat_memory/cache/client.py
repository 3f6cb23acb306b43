"""Owns the connection to Redis: pools, timeouts and what counts as down; it must not know what is cached."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, cached_property
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeVar

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from redis import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
    MaxConnectionsError,
    NoScriptError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TimeoutError as RedisTimeoutError,
)
from redis.retry import Retry

from chat_memory import metrics
from chat_memory.cache.breaker import Breaker
from chat_memory.cache.question import Asker
from chat_memory.cache.quiet import Quiet

Result = TypeVar("Result")

logger = logging.getLogger("chat_memory.cache")

TIMEOUT = 0.05
"""Seconds a connect, a send or an answer may take: a database that has answered must not wait for its cache."""
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
        found: list[bytes] = self._guarded(lambda: self.redis.lrange(key, -number, -1))
        return found

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
            found: list[bytes] = self._tried(question.answer)
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
        return self._settled(call, aloud=aloud)

    def _may_try(self) -> None:
        if not self.breaker.allows():
            raise Unavailable("the breaker is open")

    def _settled(self, call: Callable[[], Any], *, aloud: bool = True) -> Any:
        """What Redis answers, which is what closes the breaker: sending to one that is frozen succeeds."""
        answer = self._tried(call, aloud=aloud)
        self._has_answered()
        return answer

    def _has_answered(self) -> None:
        if self.breaker.succeeded():
            logger.info("chat_memory has its cache again")

    def _tried(self, call: Callable[[], Result], *, aloud: bool = True) -> Result:
        try:
            return call()
        except MaxConnectionsError as error:  # of our own pool, which tells nothing of Redis
            raise self._unavailable(error, aloud=aloud) from error
        except _NO_ANSWER as error:
            if self.breaker.failed():
                metrics.add("breaker_openings")
            raise self._unavailable(error, aloud=aloud) from error
        except RedisError as error:
            # It answered, if only to refuse: another type under the key, read-only, out of memory, no EVAL.
            self._has_answered()
            raise self._unavailable(error, aloud=aloud) from error
        except ImproperlyConfigured:
            raise
        except Exception as error:  # whatever else a client makes of names and bytes; the call must go on
            raise self._unavailable(error, aloud=aloud) from error

    def _unavailable(self, error: Exception, *, aloud: bool) -> Unavailable:
        # A ResponseError is many things; the first word of what Redis says tells which.
        trouble = str(error).partition(" ")[0] if type(error) is ResponseError else type(error).__name__
        if aloud:
            self.complain(trouble)
        return Unavailable(trouble)


_NO_ANSWER = (RedisConnectionError, RedisTimeoutError, RedisClusterException, OSError)


def connect(alias: str, factory_path: str | None) -> CacheClient:
    """The client of this process for an alias of CACHES; the same one for the same settings.

    Raises:
        ImproperlyConfigured: there is no such alias, or it makes no client, or REDIS_CLIENT returns none that fits.
    """
    if factory_path:
        return _from_factory(factory_path)
    configured = django_settings.CACHES.get(alias)
    if not configured or not configured.get("LOCATION"):
        raise ImproperlyConfigured(f"CACHES has no {alias!r} with a LOCATION, which CHAT_MEMORY's cache needs.")
    return _from_alias(alias, _Frozen(configured))


@cache
def _from_factory(path: str) -> CacheClient:
    make = import_string(path)
    return _client(lambda: _fit(_made(make, f"REDIS_CLIENT: {path}"), path))


def _client(make: Callable[[], Redis]) -> CacheClient:
    client = CacheClient(make)
    # At once, so that wrong settings show. Some clients connect as they are made; a later call then tries again.
    with suppress(*_NO_ANSWER, RedisError):
        _ = client.redis
    return client


def _fit(redis: Any, path: str) -> Redis:
    """A client as it must be.

    Raises:
        ImproperlyConfigured: it is none, an asynchronous one, or one that decodes what it reads (FEATURES N14, N15); or
            it keeps answers in the process, where none of the rules hold.
    """
    is_client = hasattr(redis, "get_encoder") and not inspect.iscoroutinefunction(redis.execute_command)
    if not is_client or redis.get_encoder().decode_responses:
        raise ImproperlyConfigured(f"REDIS_CLIENT: {path} must return a synchronous redis client that gives bytes.")
    if getattr(redis, "get_cache", lambda: None)() is not None:
        raise ImproperlyConfigured(f"REDIS_CLIENT: {path} must return a client without a cache of its own.")
    client: Redis = redis
    return client


class _Frozen(dict[str, Any]):
    """A configuration as a key of a memo: equal by content."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))


@cache
def _from_alias(alias: str, configured: _Frozen) -> CacheClient:
    location = configured["LOCATION"]
    first = location.split(",")[0] if isinstance(location, str) else location[0]
    options = dict(configured.get("OPTIONS", {}))
    default = getattr(django_settings, "DJANGO_REDIS_CONNECTION_FACTORY", "django_redis.pool.ConnectionFactory")

    def make() -> Any:
        # A subclass of whatever factory the alias has: Sentinel and the host's own topologies keep working.
        factory = type("Impatient", (_Impatient, import_string(options.get("CONNECTION_FACTORY", default))), {})
        return factory(options).connect(first)

    return _client(lambda: _made(make, f"CACHES[{alias!r}]"))


def _made(make: Callable[[], Any], where: str) -> Any:
    """A client as the host's settings make it.

    Raises:
        ImproperlyConfigured: they make none; the text says where and why.
    """
    try:
        return make()
    except (*_NO_ANSWER, RedisError):
        raise
    except Exception as error:
        raise ImproperlyConfigured(f"{where} makes no client ({type(error).__name__}: {error})") from error


class _Impatient:
    """A django-redis connection factory with short timeouts, no retries, and pools that nobody else shares."""

    def __init__(self, options: dict[str, Any]) -> None:
        sentinel = {**options.get("SENTINEL_KWARGS", {}), **_timeouts()}
        given: dict[str, Any] = options.get("CONNECTION_POOL_KWARGS", {})
        pool = {name: value for name, value in given.items() if name not in ("cache", "cache_config")}
        super().__init__({**options, "SENTINEL_KWARGS": sentinel, "CONNECTION_POOL_KWARGS": pool})  # type: ignore[call-arg]

    def get_or_create_connection_pool(self, params: dict[str, Any]) -> Any:
        """A new pool: django-redis would hand out the host's, which is known by its URL alone."""
        pool = self.get_connection_pool(params)  # type: ignore[attr-defined]
        # Now, since what a LOCATION says after its "?" overrides every argument.
        pool.connection_kwargs.update(_timeouts(), decode_responses=False)
        if isinstance(pool, BlockingConnectionPool):
            pool.timeout = TIMEOUT
        return pool


def _timeouts() -> dict[str, Any]:
    return {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0)}


@cache
def _script(name: str) -> tuple[str, str]:
    """A script's digest and its text, after the constants and the part all scripts share."""
    scripts = files("chat_memory.cache") / "scripts"
    constants = f"local LAYOUT, LEASE_MS = {LAYOUT}, {LEASE_MS}\n"
    source = constants + (scripts / "header.lua").read_text() + (scripts / f"{name}.lua").read_text()
    return sha1(source.encode(), usedforsecurity=False).hexdigest(), source
