"""Gives a pytest run its servers before Django's settings are read; loaded with `-p tests.servers.plugin`.

Only the controlling process starts servers: the workers of pytest-xdist inherit its environment. CHAT_MEMORY_TEST_DB
chooses the database of the run. The whole suite is two runs, `sqlite` and then `postgresql`; where the variable is not
set, one run over PostgreSQL has the tests marked `once` too.
"""

import os
import time
from contextlib import ExitStack

import pytest

from tests.servers.environment import redis_url_of_worker, serve
from tests.servers.process import Server
from tests.servers.programs import ServerUnavailable

DATABASE = pytest.StashKey[str]()
HEADER = pytest.StashKey[str]()
ONLY_TALKS = {"-h", "--help", "-V", "--version", "--markers", "--fixtures"}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Names the servers in the environment; a missing one ends the run with exit status 4 and what to do."""
    database = os.environ.get("CHAT_MEMORY_TEST_DB") or "postgresql"
    early_config.stash[DATABASE] = database
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
    """Leaves out the tests of the other database and, in the second of the two runs, those marked `once`."""
    database = config.stash[DATABASE]
    other = {"postgresql": "sqlite", "sqlite": "postgresql"}[database]
    unwanted = {other, "once"} if os.environ.get("CHAT_MEMORY_TEST_DB") == "postgresql" else {other}
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
    begin = time.perf_counter()
    stack = ExitStack()
    config.add_cleanup(stack.close)
    started = stack.enter_context(serve(database))
    config.stash[HEADER] = _header(database, started, time.perf_counter() - begin)


def _header(database: str, started: list[Server], seconds: float) -> str:
    own = ", ".join(f"{server.name} ({server.origin}, port {server.port})" for server in started)
    return f"database: {database}; started in {seconds:.2f} s: {own or 'nothing, the environment names all'}"
