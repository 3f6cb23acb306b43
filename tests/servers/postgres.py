"""Starts throw-away PostgreSQL clusters; keeps nothing of them."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.process import Launch, Server, identity, private_directory, running, started_again
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


class MortalPostgres:
    """A private PostgreSQL that is killed and comes back over the same data, at the same address."""

    def __init__(self, server: Server, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.url = server.url
        self._process, self._start = server.process, start

    def crash(self, pids: Sequence[int]) -> None:
        """Kill the postmaster and its children, of these numbers, at once."""
        self._process.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def come_back(self) -> None:
        """Start it again, which replays its log, and wait until it takes connections."""
        self._process = self._start()

    def end(self) -> None:
        """Stop it for good."""
        self._process.kill()
        self._process.wait()


@contextmanager
def start_mortal_postgres() -> Iterator[MortalPostgres]:
    """A private PostgreSQL with an empty database, for a test that kills it.

    Its commits are in the log, in the memory of the system, before they are acknowledged: no kill of processes loses
    them, and none waits for the disk as only a power cut would need it to.

    Raises:
        ServerUnavailable: as `start_postgres`.
    """
    with _launched(_make_cluster, {"synchronous_commit": "on"}) as (origin, launch), running(launch) as (process, port):
        server = Server("PostgreSQL", origin, _url(port), port, process)
        mortal = MortalPostgres(server, lambda: started_again(launch, port))
        try:
            yield mortal
        finally:
            mortal.end()


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
    with _launched(make, settings) as (origin, launch), running(launch) as (process, port):
        yield Server("PostgreSQL", origin, _url(port), port, process)


def _url(port: int) -> str:
    return f"postgres://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def _launched(make: Make, settings: Mapping[str, str] | None) -> Iterator[tuple[str, Launch]]:
    """Where the program is from, and how it starts over a data directory that ``make`` fills."""
    program = find_postgres()
    account = _account()
    with private_directory("chat-memory-postgres-", account) as directory:
        postgres = _usable_by(account, program.path, directory)
        data = directory / "data"
        make(postgres, data, account)
        options = SETTINGS | {"unix_socket_directories": str(directory)} | dict(settings or {})
        yield (
            program.origin,
            Launch(
                name="PostgreSQL",
                command=lambda port: _command(postgres, data, port, options),
                ready=lambda: _is_ready(data),
                directory=directory,
                stop_signal=signal.SIGINT,
                account=account,
                environment=_environment(),
            ),
        )


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
    # After a kill the file is that of the killed server, until the new one has written its own.
    return len(lines) >= 8 and lines[7].strip() == "ready" and _is_alive(int(lines[0]))


def _is_alive(pid: int) -> bool:
    """Whether there is such a process, which may belong to another account."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
