"""Owns the web server of the demo, which listens on the loopback address only; it must not know what it serves."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

HOST = "127.0.0.1"


class PortTaken(Exception):
    """Another program listens on the port."""


class QuietHandler(WSGIRequestHandler):
    """A handler without a log line per request: an open page sends four requests a second while an answer grows."""

    def log_message(self, *_args: Any) -> None:
        """Log nothing."""


def listen(port: int) -> ThreadedWSGIServer:
    """A server that is bound to the port (0: any free one), but does not serve yet.

    Raises:
        PortTaken: another program listens there.
    """
    try:
        server = ThreadedWSGIServer((HOST, port), QuietHandler)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise PortTaken(f"Port {port} of {HOST} is taken by another program.") from error
    server.set_app(StaticFilesHandler(WSGIHandler()))
    return server


def origin(server: ThreadedWSGIServer) -> str:
    """The address of a server, without a slash at its end."""
    return f"http://{HOST}:{server.server_port}"


@contextmanager
def serving_in_background() -> Iterator[str]:
    """The address of a server on a free port, in a thread that ends with the block."""
    with listen(0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield origin(server)
        finally:
            server.shutdown()
            thread.join()
