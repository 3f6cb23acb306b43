"""Gives a pytest run its servers before Django's settings are read; loaded with `-p tests.servers.plugin`.

Only the controlling process starts servers: the workers of pytest-xdist inherit its environment. CHAT_MEMORY_TEST_DB
chooses the database of the run. The whole suite is two runs, `sqlite` and then `postgresql`; where the variable is not
set, one run over PostgreSQL has the tests marked `once` too. A run that names nothing but folders in SERVERLESS starts
no server and is given none, not even those that the environment names.
"""

import os
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.environment import redis_url_of_worker, serve, serve_nothing
from tests.servers.process import Server
from tests.servers.programs import ServerUnavailable

DATABASE = pytest.StashKey[str]()
NO_SERVER = pytest.StashKey[bool]()
HEADER = pytest.StashKey[str]()
ONLY_TALKS = {"-h", "--help", "-V", "--version", "--markers", "--fixtures"}
TESTS = Path(__file__).resolve().parents[1]
SERVERLESS = frozenset({"architecture", "unit"})
"""The folders below `tests/` whose tests use neither a database nor Redis."""


def is_serverless(path: Path) -> bool:
    """Whether a folder or file of tests lies in a folder that needs no server."""
    return any(path.is_relative_to(TESTS / folder) for folder in SERVERLESS)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Names the servers in the environment; a missing one ends the run with exit status 4 and what to do."""
    database = os.environ.get("CHAT_MEMORY_TEST_DB") or "postgresql"
    paths, directory = early_config.known_args_namespace.file_or_dir, early_config.invocation_params.dir
    early_config.stash[DATABASE] = database
    early_config.stash[NO_SERVER] = _needs_no_server(paths, directory)
    if ONLY_TALKS.intersection(args):
        return
    try:
        _set_up(early_config, database, os.environ.get("PYTEST_XDIST_WORKER", ""))
    except ServerUnavailable as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> str | None:
    """One line about what the run talks to."""
    return config.stash.get(HEADER, None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests of the other database and, in the second of the two runs, those marked `once`.

    A run without servers is over no database, and so not the second over anything.
    """
    database = config.stash[DATABASE]
    unwanted = {"postgresql", "sqlite"} - {database}
    if os.environ.get("CHAT_MEMORY_TEST_DB") == "postgresql" and not config.stash[NO_SERVER]:
        unwanted.add("once")
    wanted: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        marked = any(mark.name in unwanted for mark in item.iter_markers())
        (left_out if marked else wanted).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = wanted


def _set_up(config: pytest.Config, database: str, worker: str) -> None:
    if worker:
        os.environ["REDIS_URL"] = redis_url_of_worker(os.environ["REDIS_URL"], int(worker.removeprefix("gw")))
        return
    stack = ExitStack()
    config.add_cleanup(stack.close)
    if config.stash[NO_SERVER]:
        stack.enter_context(serve_nothing())
        config.stash[HEADER] = "database: none, and no server: these tests need none"
        return
    begin = time.perf_counter()
    started = stack.enter_context(serve(database))
    config.stash[HEADER] = _header(database, started, time.perf_counter() - begin)


def _needs_no_server(arguments: Iterable[str], directory: Path) -> bool:
    """Whether pytest is given paths, and all of them lie in folders that need no server."""
    paths = [directory.joinpath(argument.partition("::")[0]).resolve() for argument in arguments]
    return bool(paths) and all(map(is_serverless, paths))


def _header(database: str, started: list[Server], seconds: float) -> str:
    own = ", ".join(f"{server.name} ({server.origin}, port {server.port})" for server in started)
    return f"database: {database}; started in {seconds:.2f} s: {own or 'nothing, the environment names all'}"
