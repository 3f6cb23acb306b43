"""Servers that do not answer: frozen ones, and addresses where there is none; and the settings that name a server."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.servers.process import Server

SLACK = 3.0
"""Seconds that a busy machine may add."""


def redis_at(url: str) -> dict[str, Any]:
    """CACHES whose one alias is the Redis at an address."""
    return {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": url}}


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """A server that takes calls in and answers none."""
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


@contextmanager
def refusing() -> Iterator[str]:
    """An address where nobody listens, and nobody else can meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"
