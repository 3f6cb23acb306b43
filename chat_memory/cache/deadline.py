"""Owns the deadline of a call to Redis: a bound on the wait for all of its replies, not for each packet."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

CONNECTING = 4
"""A call that has to connect first has this many times as long, for connecting, handshake and reply together."""


class DeadlineSocket:
    """A connected socket that waits at most ``seconds`` for the whole reply to a command.

    The library's timeout is for each packet, so a slow link could delay a call for ever. Only the time spent in
    receiving counts, because the caller may do other work between a command and its reply.

    Args:
        connected: the socket.
        seconds: the time for the reply to a command.
        first: the time for the replies of the handshake and of the first command together.
    """

    def __init__(self, connected: Any, seconds: float, first: float) -> None:
        self._connected = connected
        self._seconds = seconds
        self._left = first
        self._is_new = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected, name)

    def begin(self) -> None:
        """Start the time for the reply to a command about to be sent; the first one has what connecting has left."""
        self._left = min(self._left, self._seconds) if self._is_new else self._seconds
        self._is_new = False

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
        is_short = self._left < self._seconds and self._connected.gettimeout()
        if is_short:
            self._connected.settimeout(self._left)
        began = time.monotonic()
        try:
            return receive(*args)
        finally:
            self._left -= time.monotonic() - began
            if is_short:
                self._connected.settimeout(self._seconds)


@cache
def with_deadline(connection_class: Any, seconds: float) -> type:
    """A subclass of a connection class of the redis library whose calls have a deadline, connecting included."""

    class DeadlineConnection(connection_class):  # type: ignore[misc]  # only known at run time
        _is_connecting = False

        def connect(self, *args: Any, **kwargs: Any) -> None:
            before, self._is_connecting = self._is_connecting, True
            try:
                super().connect(*args, **kwargs)
            finally:
                self._is_connecting = before

        def _connect(self) -> Any:
            began = time.monotonic()
            connected = super()._connect()
            return DeadlineSocket(connected, seconds, CONNECTING * seconds - (time.monotonic() - began))

        def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
            if not self._is_connecting:  # otherwise it is a command of the handshake
                if not self._sock:
                    self.connect()
                self._sock.begin()
            super().send_packed_command(*args, **kwargs)

    return DeadlineConnection
