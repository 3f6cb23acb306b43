"""Starts throw-away Redis servers; keeps nothing of them."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import Launch, Server, private_directory, running
from tests.servers.programs import find_redis

# One database for each worker of a run, and more than anybody has cores for.
DATABASES = 64


@contextmanager
def start_redis(*arguments: str) -> Iterator[Server]:
    """A private Redis that writes nothing to disk; `arguments` are options of redis-server such as `--maxmemory 8mb`.

    Raises:
        ServerUnavailable: there is no program to start, or it did not start.
    """
    program = find_redis()
    with private_directory("chat-memory-redis-") as directory:
        launch = Launch(
            name="Redis",
            command=lambda port: [str(program.path), *_options(port, directory), *arguments],
            ready=lambda: _answers(directory / "redis.sock"),
            directory=directory,
            stop_signal=signal.SIGTERM,
        )
        with running(launch) as (process, port):
            yield Server("Redis", program.origin, f"redis://127.0.0.1:{port}/0", port, process)


@contextmanager
def start_sentinel(primary: Server, name: str) -> Iterator[Server]:
    """A Sentinel that alone decides who is the primary of `name`, now `primary`.

    Raises:
        ServerUnavailable: as `start_redis`.
    """
    program = find_redis()
    with private_directory("chat-memory-sentinel-") as directory:
        settings = directory / "sentinel.conf"

        def command(port: int) -> list[str]:
            settings.write_text(
                f"bind 127.0.0.1\nport {port}\nunixsocket {directory / 'redis.sock'}\ndir {directory}\n"
                f"sentinel monitor {name} 127.0.0.1 {primary.port} 1\n"
                f"sentinel down-after-milliseconds {name} 1000\nsentinel failover-timeout {name} 5000\n"
            )
            return [str(program.path), str(settings), "--sentinel"]

        launch = Launch(
            name="Sentinel",
            command=command,
            ready=lambda: _answers(directory / "redis.sock"),
            directory=directory,
            stop_signal=signal.SIGTERM,
        )
        with running(launch) as (process, port):
            yield Server("Sentinel", program.origin, f"redis://127.0.0.1:{port}/0", port, process)


def _options(port: int, directory: Path) -> list[str]:
    return [
        *("--bind", "127.0.0.1", "--port", str(port)),
        *("--unixsocket", str(directory / "redis.sock")),
        *("--dir", str(directory), "--save", "", "--appendonly", "no"),
        *("--databases", str(DATABASES)),
    ]


def _answers(path: Path) -> bool:
    """Asks on the private socket: behind a port there might be somebody else's server."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
    except OSError:
        return False
