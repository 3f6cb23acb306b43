"""Runs the benchmarks on a PostgreSQL and prints the table; the exit status is 0 whatever the figures say."""

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from redis import __version__ as redis_version
from redis.utils import HIREDIS_AVAILABLE

from tests.servers.environment import serve

GROUPS = (
    "single",
    "first",
    "narrow",
    "concurrent",
    "threads",
    "writers",
    "stored",
    "changing",
    "growth",
    "views",
    "listing",
    "transfer",
    "removal",
    "cache",
    "outage",
    "waiting",
    "search",
    "relevance",
    "dialects",
    "turns",
)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
MARK = "<!-- figures -->"


def main() -> None:
    """Entry of `python -m tests.benchmarks`."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="group", help=f"some of: {', '.join(GROUPS)}; none: all")
    parser.add_argument("--rounds", type=int, default=15, help="rounds per figure (15)")
    parser.add_argument("--write", action="store_true", help=f"put the table into docs/{PAGE.name}")
    options = parser.parse_args()
    unknown = set(options.groups) - set(GROUPS)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    with serve("postgresql"):
        lines = list(_table(options.groups or GROUPS, options.rounds))
    if options.write:
        before, mark, _ = PAGE.read_text().partition(MARK)
        PAGE.write_text(f"{before}{mark}\n\n" + "\n".join(lines) + "\n")


def _table(groups: list[str] | tuple[str, ...], rounds: int) -> Iterator[str]:
    """The lines of the table, each printed as soon as it is known."""
    django.setup()
    from django.db import connection  # noqa: PLC0415  # Django is ready only now
    from django.test.utils import setup_databases, teardown_databases  # noqa: PLC0415

    cached, changing, listing, outage, stored = map(_module, ("cached", "changing", "listing", "outage", "stored"))
    threads, transfer, views, waiting = map(_module, ("threads", "transfer", "views", "waiting"))
    cases, dialects, searching, writers = map(_module, ("cases", "dialects", "searching", "writers"))
    relevance, turns = map(_module, ("relevance", "turns"))
    places = {
        "writers": writers,
        "threads": threads,
        "stored": stored,
        "changing": changing,
        "cache": cached,
        "search": searching,
        "relevance": relevance,
        "dialects": dialects,
        "turns": turns,
        "listing": listing,
        "outage": outage,
        "views": views,
        "waiting": waiting,
    } | dict.fromkeys(("transfer", "removal"), transfer)
    measures = {group: getattr(places.get(group, cases), group) for group in GROUPS}
    databases = setup_databases(verbosity=0, interactive=False, aliases={"default": False})
    settings = connection.settings_dict
    url = f"postgresql://{settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"
    os.environ["DATABASE_URL"] = url  # what a writer process takes
    closing = ExitStack()
    try:
        bench = cases.Bench(url, rounds, closing)
        with connection.cursor() as cursor:
            cursor.execute("SHOW server_version")
            (version,) = cursor.fetchone()
        for line in (
            _circumstances(version.split()[0], rounds),
            "",
            "| operation | ours / limit | quartiles | goal | ours µs | limit µs |",
            "|---|---|---|---|---|---|",
        ):
            yield _say(line)
        for group in groups:
            with cases.configured(CACHE="off"):
                for result in measures[group](bench):
                    yield _say(result.row)
    finally:
        closing.close()
        teardown_databases(databases, verbosity=0)


def _module(name: str) -> Any:
    return import_module(f"tests.benchmarks.{name}")


def _circumstances(postgresql: str, rounds: int) -> str:
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, PostgreSQL {postgresql}, Python {platform.python_version()}, "
        f"Django {django.__version__}, redis-py {redis_version} {'with' if HIREDIS_AVAILABLE else 'without'} hiredis, "
        f"{os.cpu_count()} cores, {rounds} rounds."
    )


def _say(line: str) -> str:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
    return line


if __name__ == "__main__":
    main()
