"""Owns the deadline of a reply from Redis: a bound on the wait for the whole of it, not for each packet."""

from __future__ import annotations

import time
from functools import cache
from typing import Any


class DeadlineSocket:
    """A connected socket that waits at most ``seconds`` for all that is received after a send.

    The library's timeout is for each packet, so that a link that trickles could hold up a call for ever. Only time
    spent in receiving counts: the caller may do other work between a command and its reply.
    """

    def __init__(self, connected: Any, seconds: float) -> None:
        self._connected = connected
        self._seconds = seconds
        self._left = seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)

    def sendall(self, data: Any) -> None:
        """Send a command; the time for its reply begins anew."""
        self._left = self._seconds
        self._connected.sendall(data)

    def recv(self, size: int, *flags: int) -> bytes:
        """As ``socket.recv``, within the time that is left."""
        received: bytes = self._within(self._connected.recv, size, *flags)
        return received

    def recv_into(self, buffer: Any, size: int = 0) -> int:
        """As ``socket.recv_into``, within the time that is left."""
        received: int = self._within(self._connected.recv_into, buffer, size)
        return received

    def _within(self, receive: Any, *args: Any) -> Any:
        """Receive once.

        Raises:
            TimeoutError: no time is left.
        """
        if self._left <= 0:
            raise TimeoutError("the reply took too long")
        is_later_packet = self._left < self._seconds
        if is_later_packet and self._connected.gettimeout():
            self._connected.settimeout(self._left)
        began = time.monotonic()
        try:
            return receive(*args)
        finally:
            self._left -= time.monotonic() - began
            if is_later_packet and self._connected.gettimeout():
                self._connected.settimeout(self._seconds)


@cache
def with_deadline(connection_class: Any, seconds: float) -> type:
    """A subclass of a connection class of the redis library whose replies have a deadline."""

    class DeadlineConnection(connection_class):  # type: ignore[misc]  # known at run time alone
        def _connect(self) -> Any:
            return DeadlineSocket(super()._connect(), seconds)

    return DeadlineConnection
