"""Starts throw-away PostgreSQL clusters; keeps nothing of them."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import Launch, Server, identity, private_directory, running
from tests.servers.programs import ServerUnavailable, find_postgres

# Nothing here has to survive a power cut, so no write waits for the disk.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "listen_addresses": "127.0.0.1",
    "logging_collector": "off",
    # Nobody waits for ever behind a transaction that a test has left open: the test that waits says so.
    "lock_timeout": "5min",
    "idle_in_transaction_session_timeout": "5min",
}

Make = Callable[[Path, Path, pwd.struct_passwd | None], None]


@contextmanager
def start_postgres(settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A private PostgreSQL with an empty database; `settings` go on top of SETTINGS.

    Raises:
        ServerUnavailable: there is no program to start, or it did not start.
    """
    with _serve(_make_cluster, settings) as server:
        yield server


@contextmanager
def start_replica(primary: Server, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A private replica that follows a primary of `start_postgres`, with the same `settings` as that and more.

    Raises:
        ServerUnavailable: as `start_postgres`.
    """

    def copy(postgres: Path, data: Path, account: pwd.struct_passwd | None) -> None:
        backup = postgres.with_name("pg_basebackup")
        _run([backup, "-d", primary.url, "-D", data, "-R", "-c", "fast", "--no-sync"], data.parent, account)

    with _serve(copy, settings) as server:
        yield server


@contextmanager
def _serve(make: Make, settings: Mapping[str, str] | None) -> Iterator[Server]:
    """A server over a data directory that ``make`` fills."""
    program = find_postgres()
    account = _account()
    with private_directory("chat-memory-postgres-", account) as directory:
        postgres = _usable_by(account, program.path, directory)
        data = directory / "data"
        make(postgres, data, account)
        options = SETTINGS | {"unix_socket_directories": str(directory)} | dict(settings or {})
        launch = Launch(
            name="PostgreSQL",
            command=lambda port: _command(postgres, data, port, options),
            ready=lambda: _is_ready(data),
            directory=directory,
            stop_signal=signal.SIGINT,
            account=account,
            environment=_environment(),
        )
        with running(launch) as (process, port):
            url = f"postgres://postgres@127.0.0.1:{port}/postgres"
            yield Server("PostgreSQL", program.origin, url, port, process)


def _account() -> pwd.struct_passwd | None:
    """Whom to run it as: PostgreSQL refuses root, which therefore hands it to an account that owns nothing of ours."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ServerUnavailable("PostgreSQL cannot run as root, and there is no account 'postgres' or 'nobody' to run it.")


def _usable_by(account: pwd.struct_passwd | None, postgres: Path, directory: Path) -> Path:
    """The program itself, or a copy where the account cannot reach it, as in a virtual environment under /root."""
    if account is None or _runs(account, postgres):
        return postgres
    install = postgres.parent.parent
    package = install.parent
    copy = directory / package.name / install.name
    shutil.copytree(install, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    # The wheel's shared libraries lie beside the package and are found by a relative path, which the copy keeps.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    return copy / "bin" / "postgres"


def _runs(account: pwd.struct_passwd, postgres: Path) -> bool:
    try:
        probe = subprocess.run([postgres, "--version"], cwd="/", capture_output=True, check=False, **identity(account))
    except PermissionError:
        return False
    return probe.returncode == 0


def _make_cluster(postgres: Path, data: Path, account: pwd.struct_passwd | None) -> None:
    initdb = postgres.with_name("initdb")
    options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    _run([initdb, "-D", data, *options], data.parent, account)


def _run(command: Sequence[str | Path], folder: Path, account: pwd.struct_passwd | None) -> None:
    ended = subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, check=False, text=True, **identity(account)
    )
    if ended.returncode != 0:
        raise ServerUnavailable(f"{command[0]} failed:\n{ended.stdout}{ended.stderr}")


def _environment() -> dict[str, str]:
    """Ours without PGDATA, PGPORT and the like, which are meant for somebody else's server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C.UTF-8"}


def _command(postgres: Path, data: Path, port: int, options: Mapping[str, str]) -> list[str]:
    pairs = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    return [str(postgres), "-D", str(data), "-p", str(port), *pairs]


def _is_ready(data: Path) -> bool:
    """The eighth line of the server's pid file is its state: no client is needed to read it."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"
