"""Runs one server process that never outlives this one; knows nothing about what the server does."""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from tests.servers.programs import ServerUnavailable

ATTEMPTS = 5
READY_WITHIN = 30.0
STOPPED_WITHIN = 15.0
PR_SET_PDEATHSIG = 1


class Identity(TypedDict, total=False):
    """The arguments with which subprocess runs something as another account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True)
class Server:
    """A running server on 127.0.0.1 and the address its clients use."""

    name: str
    origin: str
    url: str
    port: int
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Launch:
    """How to start a server: `command` is completed with a port, `ready` looks at its private directory."""

    name: str
    command: Callable[[int], Sequence[str]]
    ready: Callable[[], bool]
    directory: Path
    stop_signal: signal.Signals
    account: pwd.struct_passwd | None = None
    environment: dict[str, str] | None = None


@contextmanager
def private_directory(prefix: str, account: pwd.struct_passwd | None = None) -> Iterator[Path]:
    """A temporary directory that belongs to the account, removed at the end."""
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if account is not None:
            os.chown(directory, account.pw_uid, account.pw_gid)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def running(launch: Launch) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The started process and its port; it is stopped at the end.

    Raises:
        ServerUnavailable: it did not start; the message ends with its log.
    """
    process, port = _started(launch)
    try:
        yield process, port
    finally:
        _stop(process, launch.stop_signal)


def started_again(launch: Launch, port: int) -> subprocess.Popen[bytes]:
    """The process of a server that was killed, ready at the same port; what is left of the old one may need to go yet.

    Raises:
        ServerUnavailable: it does not start.
    """
    log = launch.directory / "server.log"
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        process = _spawn(launch, launch.command(port), log)
        if _becomes_ready(process, launch.ready):
            return process
        _stop(process, signal.SIGKILL)
    raise ServerUnavailable(f"{launch.name} did not start again:\n{log.read_text(errors='replace')[-2000:]}")


def identity(account: pwd.struct_passwd | None) -> Identity:
    """What makes subprocess run something as that account, or as ourselves."""
    if account is None:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _started(launch: Launch) -> tuple[subprocess.Popen[bytes], int]:
    log = launch.directory / "server.log"
    for _ in range(ATTEMPTS):
        port = _free_port()
        process = _spawn(launch, launch.command(port), log)
        if _becomes_ready(process, launch.ready):
            return process, port
        _stop(process, signal.SIGKILL)
        # Somebody else may have taken the port since it was seen free; only that is worth another attempt.
        if "Address already in use" not in log.read_text(errors="replace"):
            break
    last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
    raise ServerUnavailable(f"{launch.name} did not start:\n{last_lines}")


def _spawn(launch: Launch, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(
            command,
            cwd=launch.directory,
            env=launch.environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=_stop_with_parent(launch.stop_signal),  # noqa: PLW1509 - one system call, no Python lock
            **identity(launch.account),
        )


def _stop_with_parent(stop_signal: signal.Signals) -> Callable[[], None] | None:
    """On Linux the kernel passes on the signal when this process is killed and cannot clean up."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(PR_SET_PDEATHSIG, int(stop_signal), 0, 0, 0)


def _becomes_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + READY_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(0.01)
    return False


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    process.send_signal(stop_signal)
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
