"""What the worst that the limits allow costs, for every route of the API and every page of the admin.

Each row is asked for twice, where one of a kind is stored and where the most is, in a fork of an idle worker. A route
or a page that has no row fails.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import resolve

from chat_memory.api.urls import urlpatterns
from tests.acceptance.costs_rows import ADMIN_ROWS, API_ROWS, Row, of_session
from tests.acceptance.costs_states import MIB, World

IDLE, TIMES = 64 * MIB, 3
"""An answer may take so much memory beside so many times its own length."""
PROCESSOR = 1.5
"""Seconds of the processor's time, for a processor that does the worker's measured work in PACE seconds. On a machine
that is slower, or has much else to do, as many times more as that work takes longer there, up to SLOWEST times."""
PACE, SLOWEST = 0.012, 2.5
ROOT = Path(__file__).resolve().parents[2]


CASES = [*(("admin", row) for row in ADMIN_ROWS), *(("api", row) for row in API_ROWS)]


class Worker:
    """A worker process over the database and the Redis of this run."""

    def __init__(self) -> None:
        named = connection.settings_dict
        environment = dict(os.environ) | {"DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE}
        if connection.vendor == "postgresql":
            place = f"{named['HOST']}:{named['PORT']}"
            environment["DATABASE_URL"] = f"postgresql://{named['USER']}:{named['PASSWORD']}@{place}/{named['NAME']}"
        else:
            environment["DATABASE_URL"] = f"sqlite:///{named['NAME']}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.costs_worker"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._told() == "ready"

    def costs(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a request costs."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        costs: dict[str, Any] = json.loads(self._told())
        return costs

    def end(self) -> None:
        """Wait for its end, which comes with that of its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.stdout is not None
        self._process.stdout.close()
        assert self._process.wait(60) == 0

    def _told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def world(transactional_db: None) -> World:  # committed, since another process reads it
    made = World()
    client = Client()
    client.force_login(made.staff)
    made.ids["session"] = client.cookies["sessionid"].value
    return made


@pytest.fixture
def worker(world: World) -> Iterator[Worker]:  # its settings name the database of the world
    process = Worker()
    first = Row("first", *of_session("filled", "messages/"))
    process.costs(first.request(world, "few"))  # the database gets the name that the cache knows it by
    yield process
    process.end()


@pytest.mark.postgresql
def test_every_row_keeps_to_its_budget(world: World, worker: Worker, subtests: pytest.Subtests) -> None:
    for door, row in CASES:
        with subtests.test(f"{door}: {row.name}"):
            least, most = (worker.costs(row.request(world, of)) for of in ("few", "many"))
            assert least["status"] == row.status, least["beginning"]
            assert most["status"] == (row.refused or row.status), most["beginning"]
            assert most["bytes"] <= row.most
            assert most["memory"] <= IDLE + TIMES * most["bytes"]
            assert most["cpu"] <= PROCESSOR * min(max(most["pace"] / PACE, 1), SLOWEST)
            assert row.refused or 0 <= most["statements"] - least["statements"] <= row.more


def test_every_route_of_the_api_has_a_row() -> None:
    routes = {(each.name, method.upper()) for each in urlpatterns for method in each.callback.actions}  # type: ignore[attr-defined]  # DRF's
    routes = {(name, method) for name, method in routes if method != "HEAD" and (name != "unknown" or method == "GET")}
    rows = {(resolve(row.many.format_map(_Anything()).partition("?")[0]).url_name, row.method) for row in API_ROWS}
    assert routes == rows


def test_every_page_of_the_admin_has_a_row() -> None:
    models = apps.get_app_config("chat_memory").get_models()
    pages = [admin.site.get_model_admin(model) for model in models if admin.site.is_registered(model)]
    names = {pattern.name for page in pages for pattern in page.get_urls() if pattern.name} | {"autocomplete"}
    rows = {resolve(row.many.format_map(_Anything()).partition("?")[0]).url_name for row in ADMIN_ROWS}
    assert names == rows


class _Anything(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "1"
