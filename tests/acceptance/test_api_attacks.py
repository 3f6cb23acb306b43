"""What hostile or careless clients send to the API: one clear refusal each, never a traceback, nothing half-written."""

import json
import runpy
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.test import Client

from chat_memory import Message, conversation
from chat_memory.api import lookup, urls
from chat_memory.models import Session, Workspace, WorkspaceMember
from chat_memory.storage.listing import Cursor
from chat_memory.storage.orm.removal import remove_workspace
from tests.acceptance.api_support import Caller, SlowBody, caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

ONCE = {"Idempotency-Key": "once"}


@pytest.mark.parametrize("at", ["session", "sessions"])
def test_lone_surrogate_in_the_name_of_a_member_is_named(at: str) -> None:
    """A refusal names the member, and half a character cannot be sent back as it came."""
    me, session = caller(), stored()
    address, method = (me.session(session), "PATCH") if at == "session" else (me.sessions, "POST")
    answer = me.client.generic(method, address, '{"\\ud800": 1}', "application/json")
    assert (answer.status_code, answer.json()["field"]) == (422, "\\ud800")
    assert Session.objects.count() == 1


@pytest.mark.parametrize("direction", ["next", "previous"])
@pytest.mark.parametrize(
    "moment",
    [
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_forged_cursor_beyond_every_storable_time_is_refused(moment: datetime, direction: str) -> None:
    me = caller()
    stored()
    for place in (str(Cursor(moment, uuid4())), f"{10**18 - 1}.{uuid4().hex}", f"-{10**18 - 1}.{uuid4().hex}"):
        answer = me.get(me.sessions, {"cursor": f"{direction}.{place}"})
        assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


@pytest.mark.parametrize("method", ["append", "patch", "open", "fork"])
@pytest.mark.parametrize("ended", ["membership", "user"])
def test_a7_rights_that_end_while_the_body_arrives_are_gone(method: str, ended: str) -> None:
    """A slow client does not choose how long it keeps them."""
    me, session = caller("admin"), stored(messages=1)
    browser = Client()
    browser.force_login(me.user)
    ends = {
        "membership": lambda: WorkspaceMember.objects.filter(user=me.user).delete(),
        "user": lambda: get_user_model().objects.filter(pk=me.user.pk).update(is_active=False),
    }
    verb, address, body = {
        "append": ("POST", me.messages(session), {"role": "user", "content": "late"}),
        "patch": ("PATCH", me.session(session), {"title": "late"}),
        "open": ("POST", me.sessions, {"key": "late"}),
        "fork": ("POST", f"{me.session(session)}fork/", {"name": "late"}),
    }[method]
    raw = json.dumps(body).encode()
    environ: dict[str, Any] = {"wsgi.input": SlowBody(raw, ends[ended]), "CONTENT_LENGTH": str(len(raw))}
    answer = browser.generic(verb, address, CONTENT_TYPE="application/json", **environ)
    assert answer.status_code in {"membership": {404}, "user": {401, 403}}[ended]
    assert Session.objects.count() == 1
    assert (Session.objects.get().title, conversation("k", "acme").count()) == ("1", 1)


MEANWHILE = (
    "append",
    "patch",
    "delete",
    "get",
    "messages",
    "ask again",
    "regenerate",
    "fork",
    "edit",
    "redact",
    "rate",
)


@pytest.mark.parametrize("method", MEANWHILE)
@pytest.mark.parametrize("again", [True, False])
def test_session_deleted_meanwhile_is_not_found(method: str, again: bool, monkeypatch) -> None:
    """Deleted between the look-up and the work, also where another one has its key by then."""
    me = caller("admin")
    session = stored(messages=1)
    find = lookup.find_session

    def find_and_lose(*names: Any) -> Any:
        found = find(*names)
        conversation("k", "acme").delete()
        if again:
            conversation("k", "acme").append(Message.user("another"))
        return found

    unknown = me.get(me.session(uuid4())).json()
    monkeypatch.setattr(lookup, "find_session", find_and_lose)
    first = f"{me.messages(session)}1/"
    answer = {
        "append": lambda: me.post(me.messages(session), {"role": "user", "content": "x"}),
        "patch": lambda: me.patch(me.session(session), {"title": "x"}),
        "delete": lambda: me.delete(me.session(session)),
        "get": lambda: me.get(me.session(session)),
        "messages": lambda: me.get(me.messages(session)),
        "ask again": lambda: me.post(f"{first}siblings/", {"content": "x"}),
        "regenerate": lambda: me.post(f"{first}regenerate/", {}),
        "fork": lambda: me.post(f"{me.session(session)}fork/", {"name": "x"}),
        "edit": lambda: me.patch(first, {"content": "x"}),
        "redact": lambda: me.delete(first),
        "rate": lambda: me.client.put(f"{first}feedback/", {"vote": 1}, format="json"),
    }[method]()
    assert (answer.status_code, answer.json()) == (404, unknown)
    assert [message.content for message in conversation("k", "acme").messages()] == ["another"] * again
    assert Session.objects.count() == again


def of_another_tenant() -> None:
    """Another tenant has the slug "acme", and says something there."""
    Workspace.objects.create(slug="acme")
    chat = conversation("theirs", "acme", user="them")
    chat.open(title="theirs")
    chat.append(Message.user("theirs"))
    chat.feedback.give(1, 1, "theirs", by="them")


def lose_workspace(monkeypatch: pytest.MonkeyPatch, end: str, *, taken: bool) -> None:
    """From now on a workspace ends as soon as it was looked up; ``taken``: then another tenant has its slug."""
    find = lookup.find_workspace

    def find_and_lose(*names: Any) -> Any:
        found = find(*names)
        if end == "removed":
            remove_workspace("default", found[0].pk)
        else:
            Workspace.objects.filter(pk=found[0].pk).update(slug="former")
        if taken:
            of_another_tenant()
        return found

    monkeypatch.setattr(lookup, "find_workspace", find_and_lose)


@pytest.mark.parametrize("body", [{}, {"key": "theirs"}])
@pytest.mark.parametrize("end", ["removed", "renamed"])
@pytest.mark.parametrize("taken", [True, False])
def test_workspace_that_ends_meanwhile_is_neither_made_anew_nor_another_tenants(
    body: dict[str, Any], end: str, taken: bool, monkeypatch
) -> None:
    """The API makes no workspace, and a membership of one that had the slug before opens nothing in the next one."""
    me = caller("admin")
    stored(messages=1)
    unknown = me.get(me.session(uuid4())).json()
    lose_workspace(monkeypatch, end, taken=taken)
    answer = me.post(me.sessions, body)
    assert (answer.status_code, answer.json()) == (404, unknown)
    left = {("former", "k")} if end == "renamed" else set()
    assert set(Session.objects.values_list("workspace__slug", "key")) == left | (
        {("acme", "theirs")} if taken else set()
    )
    assert Workspace.objects.filter(slug="acme").exists() == taken


@pytest.mark.parametrize("end", ["removed", "renamed"])
@pytest.mark.parametrize("listing", ["sessions", "changes", "feedback"])
def test_a_list_shows_nothing_of_the_tenant_that_has_taken_the_slug(listing: str, end: str, monkeypatch) -> None:
    """The membership that was looked up is of the workspace that had the slug until then."""
    me = caller("admin")
    stored(messages=1)
    lose_workspace(monkeypatch, end, taken=True)
    answer = me.get(f"/api/workspaces/acme/{listing}/")
    if listing == "feedback":
        assert answer.status_code == 404
    else:
        assert answer.status_code == 200
        assert answer.json()["results" if listing == "sessions" else "changed"] == []


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "log_in",
    [
        {"HTTP_AUTHORIZATION": f"Basic {b64encode(b'a' + bytes(1) + b'b:password').decode()}"},
        {"HTTP_COOKIE": f"sessionid=a{bytes(1).decode()}bcdefghijklmn"},
        {"HTTP_COOKIE": 'sessionid="\\000abcdefghijklmn"'},
    ],
)
def test_log_in_with_a_nul_is_nobodys(log_in: dict[str, Any], method: str) -> None:
    """PostgreSQL has no text with one, and its driver refuses to ask for it: that was a 500 for whoever sent it."""
    answer = Client().generic(method, "/api/workspaces/", "{}", "application/json", **log_in)
    assert (answer.status_code in (401, 403), answer["Content-Type"]) == (True, "application/problem+json")


@pytest.mark.parametrize("headers", [{}, ONCE])
def test_empty_id_is_refused_with_and_without_an_idempotency_key(headers: dict[str, str]) -> None:
    me, session = caller(), stored()
    answer = me.post(me.messages(session), {"role": "user", "content": "x", "id": ""}, **headers)
    assert (answer.status_code, answer.json()["field"]) == (422, "id")
    assert conversation("k", "acme").count() == 0


def open_session(me: Caller, **body: Any) -> Any:
    return me.post(me.sessions, body, **ONCE)


FIELDS: dict[str, Any] = {
    "title": "T",
    "tags": ["a"],
    "metadata": {"n": [1.5, None]},
    "pinned": True,
    "archived": True,
    "expires_at": "2030-01-31T09:00:00+05:00",
}


@pytest.mark.parametrize("body", [{}, FIELDS, {"user_key": "bob"}, {"title": None}])
def test_same_idempotency_key_and_same_body_open_the_same_session(body: dict[str, Any]) -> None:
    """FEATURES E11: also after messages have come."""
    me = caller("writer")
    first = open_session(me, **body)
    Session.objects.get().history().append(Message.user("x"))
    again = open_session(me, **body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


@pytest.mark.parametrize(
    ("body", "other"),
    [
        *(({}, {name: value}) for name, value in FIELDS.items()),
        *(({name: value}, {}) for name, value in FIELDS.items()),
        ({"title": "a"}, {"title": "b"}),
        ({"user_key": "bob"}, {}),
        ({}, {"user_key": "bob"}),
        ({"user_key": "bob"}, {"user_key": "eve"}),
        ({"archived_at": "2025-01-31T09:00:00Z"}, {"archived_at": "2025-01-31T09:00:01Z"}),
    ],
)
def test_same_idempotency_key_and_another_body_is_a_conflict(body: dict[str, Any], other: dict[str, Any]) -> None:
    """As for messages: the client must not take a session for the one it has just described."""
    me = caller("writer")
    first = open_session(me, **body)
    assert first.status_code == 201
    answer = open_session(me, **other)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
    assert answer.json()["field"] == "Idempotency-Key"
    (differing,) = {"archived_at" if name == "archived" else name for name in body | other}
    assert differing in answer.json()["detail"]
    assert me.get(me.session(first.json()["id"])).json() == first.json()


def test_views_stay_outside_atomic_requests_of_every_database(monkeypatch) -> None:
    """Whichever of them the router names for conversations."""
    other = connections.databases["default"] | {"ATOMIC_REQUESTS": True}
    monkeypatch.setitem(connections.databases, "other", other)
    views = [pattern.callback for pattern in runpy.run_path(urls.__file__)["urlpatterns"]]
    assert [BaseHandler().make_view_atomic(view) for view in views] == views
