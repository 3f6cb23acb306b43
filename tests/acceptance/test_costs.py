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
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import resolve

from chat_memory.admin.base import AT_ONCE
from chat_memory.admin.presentation import SECTIONS
from chat_memory.api.urls import urlpatterns
from tests.acceptance.costs_states import World

MIB = 1024 * 1024
IDLE, TIMES = 64 * MIB, 3
"""An answer may take so much memory beside so many times its own length."""
PROCESSOR = 1.5
"""Seconds of the processor's time, for a processor that does the worker's measured work in PACE seconds. On a machine
that is slower, or has much else to do, as many times more as that work takes longer there, up to SLOWEST times."""
PACE, SLOWEST = 0.012, 2.5
LONGEST = 8 * MIB
"""No answer is longer, unless its row says so."""
ROOT = Path(__file__).resolve().parents[2]


class Row(NamedTuple):
    """A request, with two addresses of it; what stands in braces is an id of the world's."""

    name: str
    many: str
    few: str | None = None
    method: str = "GET"
    body: Any = None
    status: int = 200
    form: bool = False
    most: int = LONGEST
    refused: int = 0
    """The status where the most is stored, if that is too much: then the statements are fewer."""
    more: int = 0
    """How many statements more the most may take, a number that does not grow with it."""

    def request(self, world: "World", of: str) -> dict[str, Any]:
        """What the worker is told."""
        path = (self.many if of == "many" or self.few is None else self.few).format(of=of, **world.ids)
        body = self.body(of, world) if callable(self.body) else self.body
        request = {"method": self.method, "path": path, "session": world.ids["session"]}
        if body is not None:
            request |= {"body": body if self.form else json.dumps(body)}
        if self.form:
            request |= {"content_type": "application/x-www-form-urlencoded"}
        return request


ADMIN = "/admin/chat_memory"
API = "/api/workspaces/{of}/sessions"
AUTOCOMPLETE = "/admin/autocomplete/?app_label=chat_memory&model_name=workspacemember&field_name=workspace&term="
ACROSS = "action=delete_selected&select_across=1&index=0&_selected_action={}"
OF_A_WORKSPACE = "slug=few&name=x&metadata={}&members-TOTAL_FORMS=2000&members-INITIAL_FORMS=0"


def messages_to_store(of: str, _world: World) -> Any:
    """As many as fit into one call."""
    return [{"role": "user", "content": "x"}] * (10_000 if of == "many" else 1)


def bytes_to_store(of: str, _world: World) -> Any:
    """As many as fit into a body, as a text of JSON."""
    return "x" * (2_500_000 if of == "many" else 1)


def deepest(of: str, world: World) -> Any:
    """The branch that is made of all the others."""
    return {"branch": unquote(world.ids[f"{of}_deep_name"])}


def every_session(of: str, world: World) -> str:
    """The form of the list, with every row of it selected."""
    return ACROSS.format(world.ids[f"{of}_flood"])


def page_of_sessions(of: str, world: World) -> str:
    """The form of the list, with as many rows selected as an action takes."""
    selected = world.listed[:AT_ONCE] if of == "many" else [world.ids["few_flood"]]
    return "&".join(["action=delete_selected", "index=0", *(f"_selected_action={pk}" for pk in selected)])


def form_of_session(of: str, _world: World) -> str:
    """A form that comes back with an error at the metadata, which are as long as Django takes them."""
    metadata = "'" * (2_400_000 if of == "many" else 1)
    return f"title=x&tags=&metadata={metadata}&archived_at_0=&archived_at_1=&expires_at_0=&expires_at_1="


ADMIN_ROWS = [
    Row("workspaces", f"{ADMIN}/workspace/", f"{ADMIN}/workspace/?slug=few"),
    Row("workspaces searched", f"{ADMIN}/workspace/?q=w", f"{ADMIN}/workspace/?q=few"),
    Row("workspace to make", f"{ADMIN}/workspace/add/"),
    Row("workspace", f"{ADMIN}/workspace/{{many}}/change/", f"{ADMIN}/workspace/{{few}}/change/"),
    Row("workspace to delete", f"{ADMIN}/workspace/{{many}}/delete/", f"{ADMIN}/workspace/{{few}}/delete/"),
    Row("log of a workspace", f"{ADMIN}/workspace/{{many}}/history/", f"{ADMIN}/workspace/{{few}}/history/"),
    Row("workspace sent back", f"{ADMIN}/workspace/{{few}}/change/", method="POST", body=OF_A_WORKSPACE, form=True),
    Row("workspaces found while typing", f"{AUTOCOMPLETE}w", f"{AUTOCOMPLETE}few"),
    Row("members", f"{ADMIN}/workspacemember/?workspace={{of}}"),
    Row("member to make", f"{ADMIN}/workspacemember/add/"),
    *(
        Row(
            f"member: {page}",
            f"{ADMIN}/workspacemember/{{many_membership}}/{page}/",
            f"{ADMIN}/workspacemember/{{few_membership}}/{page}/",
        )
        for page in ("change", "delete", "history")
    ),
    Row("sessions", f"{ADMIN}/session/?workspace={{of}}"),
    Row("sessions, all on a page", f"{ADMIN}/session/?workspace={{of}}&all="),
    Row("sessions searched", f"{ADMIN}/session/?workspace={{of}}&q=" + "o+" * 500),
    Row("sessions to delete", f"{ADMIN}/session/?workspace={{of}}", method="POST", body=page_of_sessions, form=True),
    Row(
        "sessions to delete, every one",
        f"{ADMIN}/session/?workspace={{of}}",
        method="POST",
        body=every_session,
        form=True,
        refused=302,
    ),
    Row("session to make", f"{ADMIN}/session/add/", status=403),
    Row("session", f"{ADMIN}/session/{{many_listed}}/change/", f"{ADMIN}/session/{{few_flood}}/change/"),
    Row(
        "session sent back",
        f"{ADMIN}/session/{{many_flood}}/change/",
        f"{ADMIN}/session/{{few_flood}}/change/",
        method="POST",
        body=form_of_session,
        form=True,
        most=16 * MIB,
    ),
    Row("session to delete", f"{ADMIN}/session/{{many_wide}}/delete/", f"{ADMIN}/session/{{few_wide}}/delete/"),
    Row("log of a session", f"{ADMIN}/session/{{many_flood}}/history/", f"{ADMIN}/session/{{few_flood}}/history/"),
    *(
        Row(
            f"transcript: {kind}",
            f"{ADMIN}/session/{{many_{kind}}}/transcript/",
            f"{ADMIN}/session/{{few_{kind}}}/transcript/",
        )
        for kind in (
            "flood",
            "parts",
            "marks",
            "bomb",
            "turn",
            "former",
            "wide",
            "wide_branch",
            "deep",
            "deep_branch",
            "drafted",
        )
    ),
    Row(
        "transcript: main",
        f"{ADMIN}/session/{{many_wide}}/transcript/main/",
        f"{ADMIN}/session/{{few_wide}}/transcript/main/",
    ),
    Row("messages", f"{ADMIN}/message/?workspace={{of}}"),
    Row("messages, all on a page", f"{ADMIN}/message/?workspace={{of}}&all="),
    Row("messages searched", f"{ADMIN}/message/?workspace={{of}}&q=" + "x+" * 500),
    Row("message to make", f"{ADMIN}/message/add/", status=403),
    *(
        Row(
            f"message: {kind}",
            f"{ADMIN}/message/{{many_{kind}_message}}/change/",
            f"{ADMIN}/message/{{few_{kind}_message}}/change/",
        )
        for kind in ("flood", "parts", "marks", "bomb", "former", "longest")
    ),
    *(
        Row(
            f"message that is long everywhere: {section}",
            f"{ADMIN}/message/{{many_longest_message}}/change/?first={section}",
            f"{ADMIN}/message/{{few_longest_message}}/change/?first={section}",
        )
        for section in SECTIONS
    ),
    Row("message to delete", f"{ADMIN}/message/{{few_flood_message}}/delete/", status=403),
    Row("feedback", f"{ADMIN}/feedback/?workspace={{of}}"),
    Row("feedback, all on a page", f"{ADMIN}/feedback/?workspace={{of}}&all="),
    Row("feedback searched", f"{ADMIN}/feedback/?workspace={{of}}&q=" + "m+" * 500, refused=200),
    Row("feedback to make", f"{ADMIN}/feedback/add/", status=403),
    Row(
        "feedback: change", f"{ADMIN}/feedback/{{many_feedback}}/change/", f"{ADMIN}/feedback/{{few_feedback}}/change/"
    ),
    Row("feedback to delete", f"{ADMIN}/feedback/{{few_feedback}}/delete/", status=403),
    Row(
        "log of feedback",
        f"{ADMIN}/feedback/{{many_feedback}}/history/",
        f"{ADMIN}/feedback/{{few_feedback}}/history/",
    ),
    Row(
        "transcript: rated", f"{ADMIN}/session/{{many_rated}}/transcript/", f"{ADMIN}/session/{{few_rated}}/transcript/"
    ),
    Row(
        "message: rated",
        f"{ADMIN}/message/{{many_rated_message}}/change/",
        f"{ADMIN}/message/{{few_rated_message}}/change/",
    ),
    Row(
        "log of a message",
        f"{ADMIN}/message/{{many_flood_message}}/history/",
        f"{ADMIN}/message/{{few_flood_message}}/history/",
    ),
]


def of_session(kind: str, rest: str = "") -> tuple[str, str]:
    """The addresses of a session in the API, or below it."""
    return f"{API}/{{many_{kind}}}/{rest}", f"{API}/{{few_{kind}}}/{rest}"


def of_branch(rest: str) -> tuple[str, str]:
    """The addresses of the deepest branch."""
    many, few = of_session("deep", rest)
    return many + "{many_deep_name}", few + "{few_deep_name}"


BUDGETS = (("turns", 10_000), ("tokens", 1_000_000_000), ("messages", 10_000))
API_ROWS = [
    Row("root", "/api/"),
    Row("workspaces", "/api/workspaces/?page_size=500", "/api/workspaces/?page_size=1"),
    Row("workspace", "/api/workspaces/{of}/"),
    Row("sessions", f"{API}/?page_size=500"),
    Row("session to make", f"{API}/", method="POST", body={"key": "made"}, status=201),
    Row("session", *of_session("marks")),
    Row("session to change", *of_session("changed"), method="PATCH", body={"title": "new"}),
    Row("session to delete", *of_session("gone"), method="DELETE", status=204),
    *(
        Row(f"messages: {kind}", *of_session(kind, "messages/?page_size=500"))
        for kind in ("flood", "allowed", "marks", "bomb", "turn")
    ),
    Row("messages: deep", *of_branch("messages/?page_size=500&branch=")),
    Row("messages from the beginning", *of_session("flood", "messages/?page_size=500&after_seq=0")),
    Row("messages to store", *of_session("filled", "messages/"), method="POST", body=messages_to_store, status=201),
    *(Row(f"message: {kind}", *of_session(kind, "messages/1/")) for kind in ("flood", "bomb")),
    Row("message of many parts", *of_session("allowed", "messages/2/")),
    Row("message to change", *of_session("changed", "messages/1/"), method="PATCH", body={"metadata": {"a": 1}}),
    Row("message to redact", *of_session("changed", "messages/2/"), method="DELETE", status=204),
    *(
        # A context that is too large is asked for once more, in bounded steps.
        Row(f"context: {kind} by {budget}", *of_session(kind, f"context/?{budget}={size}"), more=3)
        for kind in ("flood", "allowed", "turn", "former")
        for budget, size in BUDGETS
    ),
    *(Row(f"context: deep by {budget}", *of_branch(f"context/?{budget}={size}&branch=")) for budget, size in BUDGETS),
    Row("branches", *of_session("wide", "branches/")),
    Row("branches", *of_session("deep", "branches/")),
    Row("siblings", *of_session("wide", "messages/1/siblings/")),
    Row(
        "question to ask again",
        *of_session("changed", "messages/1/siblings/"),
        method="POST",
        body={"content": "in other words"},
        status=201,
    ),
    *(
        Row(
            f"answer to make again: {kind}",
            *of_session(kind, "messages/1/regenerate/"),
            method="POST",
            body={},
            status=201,
            more=more,
        )
        # What follows is read in bounded steps.
        for kind, more in (("flood", 25), ("turn", 20), ("allowed", 1))
    ),
    Row(
        "answer to make again: too many",
        *of_session("wide", "messages/1/regenerate/"),
        method="POST",
        body={},
        status=201,
        refused=409,
    ),
    Row("switch", *of_session("deep", "switch/"), method="POST", body=deepest),
    Row("changes: flood", *of_session("flood", "changes/?page_size=500")),
    Row("changes: deep", *of_branch("changes/?page_size=500&branch=")),
    Row("changes of sessions", "/api/workspaces/{of}/changes/?page_size=500"),
    Row("fork", *of_branch("fork/?branch="), method="POST", body={"name": "new"}, status=201),
    Row("fork of too many", *of_session("wide", "fork/"), method="POST", body={"name": "n"}, status=201, refused=409),
    Row("attachment to add", *of_session("filled", "attachments/"), method="POST", body=bytes_to_store, status=201),
    Row(
        "attachment",
        f"{API}/{{many_attached}}/attachments/{{many_hash}}/",
        f"{API}/{{few_attached}}/attachments/{{few_hash}}/",
        most=32 * MIB,
    ),
    Row("drafts", *of_session("drafted", "drafts/")),
    Row("draft", *of_session("drafted", "drafts/d0/")),
    Row("draft that has ended", *of_session("flood", "drafts/m1/")),
    Row("draft to stop", *of_session("drafted", "drafts/d0/stop/"), method="POST", body={}),
    Row("draft by its id", *of_session("drafted", "draft/?id=d0")),
    Row("draft by its id, ended", *of_session("flood", "draft/?id=m1")),
    Row("draft by its id to stop", *of_session("drafted", "draft/stop/?id=d0"), method="POST", body={}),
    Row("feedback of a session", *of_session("rated", "feedback/?page_size=500")),
    Row("feedback on a message", *of_session("rated", "messages/1/feedback/?page_size=500")),
    Row("feedback to give", *of_session("rated", "messages/1/feedback/"), method="PUT", body={"vote": 1}),
    Row("feedback to remove", *of_session("rated", "messages/1/feedback/"), method="DELETE", status=204),
    *(Row(f"feedback by {by}", f"/api/workspaces/{{of}}/feedback/?by={by}") for by in ("day", "model")),
    Row("search without an index", "/api/workspaces/{of}/search/?q=" + "x+" * 30, status=501),
    Row("unknown", "/api/workspaces/{of}/no/such/", status=404),
]
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
