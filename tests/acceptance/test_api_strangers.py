"""What the API tells strangers: the same about what is hidden and what is not there, and no tag or key is another's."""

import gzip
import json
from io import BytesIO
from typing import Any, cast
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern

from chat_memory import Message, conversation
from chat_memory.api import urls
from chat_memory.models import Message as MessageRow, Session, WorkspaceMember
from tests.acceptance.api_support import Caller, caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

SAID = {"role": "user", "content": "x"}
BODIES: dict[str, Any] = {"messages": SAID, "message": {"content": "y"}, "fork": {"name": "b"}}
WANTED = {"draft-by-id": "id=a", "draft-by-id-stop": "id=a"}
"""What a route does not do without, in its query."""
JSON_TYPE = "application/json"


def routes_of_a_session() -> list[URLPattern]:
    """The routes that name a session, as the API has them."""
    return [each for each in urls.urlpatterns if "session_id" in each.pattern.converters]


def told(me: Caller, method: str, address: str, body: Any) -> tuple[Any, ...]:
    """All that a stranger can learn from an answer: status, body, headers and the work that it was."""
    with CaptureQueriesContext(connection) as seen:
        answer = me.client.generic(method, address, json.dumps(body), JSON_TYPE)
    return answer.status_code, answer.content, sorted(answer.items()), len(seen)


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "HEAD"])
@pytest.mark.parametrize("route", routes_of_a_session(), ids=lambda route: route.name)
def test_a17_what_is_hidden_is_told_as_what_is_not_there(route: URLPattern, method: str) -> None:
    """Somebody else's, another workspace's under either address, unknown ones: one answer, and the same statements."""
    me, other = caller("member"), caller("member")
    theirs = stored("theirs", user=other.user, messages=1)
    theirs.history().fork("branch", at=1)
    elsewhere = stored("k", workspace="elsewhere", user=me.user, messages=1)
    unknown = uuid4()
    places = [
        ("acme", theirs.pk, ""),
        ("acme", theirs.pk, "?branch=branch"),
        ("acme", theirs.pk, "?branch=unknown"),
        ("acme", unknown, ""),
        ("acme", unknown, "?branch=branch"),
        ("acme", elsewhere.pk, ""),
        ("elsewhere", elsewhere.pk, ""),
        ("elsewhere", unknown, ""),
        ("unknown", theirs.pk, ""),
    ]
    template, body = f"/api/{route.pattern}", BODIES.get(str(route.name), {"title": "t"})
    wanted = WANTED.get(str(route.name), "")
    before = list(MessageRow.objects.values()), list(Session.objects.values())
    for with_query in (True, False):
        answers = [
            told(
                me, method, address.replace("<str:seq>", "1") + (f"{query or '?'}&{wanted}" if wanted else query), body
            )
            for slug, session_id, query in places
            if bool(query) is with_query
            for address in [template.replace("<str:slug>", slug).replace("<str:session_id>", str(session_id))]
        ]
        assert {status for status, *_rest in answers} <= {404, 405} | ({400} if with_query else set())
        assert all(answer == answers[0] for answer in answers), answers
    assert (list(MessageRow.objects.values()), list(Session.objects.values())) == before


def test_a18_a_tag_is_of_one_session_and_one_state() -> None:
    """Of two sessions of the same changes, of another user's, of a branch, of a session before it was made again."""
    me, other = caller("admin"), caller("admin")
    sessions = [
        stored(f"k{number}", user=user, messages=1) for number, user in enumerate((me.user, me.user, other.user))
    ]
    fork = me.post(f"{me.session(sessions[0])}fork/", {"name": "b"})
    assert fork.status_code == 201
    addresses = [me.session(sessions[0]), f"{me.messages(sessions[0])}?branch=b", *map(me.session, sessions[1:])]
    tags = [str(me.get(address)["ETag"]) for address in addresses]
    assert len(set(tags)) == len(tags)
    for address, own in zip(addresses, tags, strict=True):
        others = {"If-None-Match": ", ".join(tag for tag in tags if tag != own)}
        assert me.get(address, **others).status_code == 200
        for tag in tags:
            if tag != own and "?" not in address:
                assert me.patch(address, {"title": "t"}, **{"If-Match": tag}).status_code == 412
    sessions[0].history().delete()
    again = stored("k0", user=me.user, messages=1)
    assert me.get(me.session(again), **{"If-None-Match": tags[0]}).status_code == 200
    assert me.post(me.messages(again), SAID, **{"If-Match": tags[0]}).status_code == 412


def test_a18_an_idempotency_key_is_of_one_user_one_session_and_one_branch() -> None:
    """The same key by two users, in two sessions, on two branches: nobody gets another's answer, or a conflict.

    But a branch that shows the message which the key made has it already.
    """
    me, other = caller("admin"), caller("admin")
    first, second = stored("k1", messages=1), stored("k2")
    once = {"Idempotency-Key": "once"}
    places = [(user, session) for user in (me, other) for session in (first, second)]
    chat = conversation("k1", "acme")
    chat.fork("beside", at=1)
    answers = [
        user.post(user.messages(session), {"role": "user", "content": f"{number}"}, **once)
        for number, (user, session) in enumerate(places)
    ]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["id"] for answer in answers}) == 4
    there = {"role": "user", "content": "there"}
    assert me.post(f"{me.messages(first)}?branch=beside", there, **once).status_code == 201
    beside = conversation("k1", "acme", branch="beside")
    assert [message.content for message in beside.messages()] == ["1", "there"]
    chat.fork("behind")
    assert me.post(f"{me.messages(first)}?branch=behind", there, **once).json()["code"] == "message_conflict"
    again = me.post(f"{me.messages(first)}?branch=behind", {"role": "user", "content": "0"}, **once)
    assert (again.status_code, again.json()["id"]) == (200, answers[0].json()["id"])
    made = [user.post(user.sessions, {"title": user.user.username}, **once) for user in (me, other)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert len({answer.json()["id"] for answer in made}) == 2


def test_c11_a_body_of_unknown_length_is_not_read() -> None:
    """Over WSGI a chunked request has none, however much comes."""
    me, session = caller(), stored()
    for headers in ({"HTTP_TRANSFER_ENCODING": "chunked"}, {}):
        body = BytesIO(json.dumps(SAID).encode() + b" " * 1_000_000)
        environ: dict[str, Any] = {"wsgi.input": body, "CONTENT_LENGTH": "", **headers}
        answer = me.client.generic("POST", me.messages(session), content_type=JSON_TYPE, **environ)
        assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
        assert body.tell() == 0
    assert conversation("k", "acme").count() == 0


@pytest.mark.parametrize(
    ("sent", "status"), [(15, 400), (len(json.dumps(SAID)) - 1, 400), (len(json.dumps(SAID)), 201)]
)
def test_c13_half_a_body_is_no_message(sent: int, status: int) -> None:
    """The client closes early: what came is stored only where it is whole."""
    me, session = caller(), stored()
    environ: dict[str, Any] = {"wsgi.input": BytesIO(json.dumps(SAID).encode()[:sent]), "CONTENT_LENGTH": "100"}
    answer = me.client.generic("POST", me.messages(session), content_type=JSON_TYPE, **environ)
    assert answer.status_code == status
    assert conversation("k", "acme").count() == (status == 201)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("APPLICATION/JSON", 201),
        ("application/json;", 201),
        ("application/json; charset=utf-8", 201),
        ("application/json, text/plain", 415),
        ("application/merge-patch+json", 415),
        ("text/json", 415),
        ("", 415),
    ],
)
def test_c14_json_is_read_as_what_it_is(content_type: str, status: int) -> None:
    me, session = caller(), stored()
    answer = me.raw(
        me.messages(session), json.dumps({"role": "user", "content": "é"}, ensure_ascii=False), content_type
    )
    assert answer.status_code == status
    assert [message.content for message in conversation("k", "acme").messages()] == ["é"] * (status == 201)


def test_c14_nothing_is_unpacked() -> None:
    """A small body that would become a large one."""
    me, session = caller(), stored()
    packed = gzip.compress(json.dumps(SAID).encode())
    answer = me.client.generic(
        "POST", me.messages(session), cast("str", packed), JSON_TYPE, headers={"Content-Encoding": "gzip"}
    )
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "CONNECT", "PUT", "QUERY", "x"])
def test_c17_other_methods_are_refused(method: str) -> None:
    me, session = caller("admin"), stored(messages=1)
    for address in (me.sessions, me.session(session), me.messages(session)):
        answer = me.client.generic(method, address, "{}", JSON_TYPE)
        assert (answer.status_code, answer["Content-Type"]) == (405, "application/problem+json")


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_c17_a_method_is_not_overridden(header: str) -> None:
    me, session = caller("admin"), stored(messages=1)
    me.post(me.messages(session), SAID, **{header: "DELETE"})
    me.get(f"{me.session(session)}?_method=DELETE", **{header: "DELETE"})
    assert conversation("k", "acme").count() == 2


def test_c18_links_name_no_other_host() -> None:
    me = caller("admin")
    for number in range(3):
        stored(f"k{number}")
    foreign = me.client.get(me.sessions, {"page_size": 1}, headers={"Host": "elsewhere.invalid"})
    assert foreign.status_code == 400
    forwarded = {"X-Forwarded-Host": "elsewhere.invalid", "Forwarded": "host=elsewhere.invalid"}
    for address in ("/api/", me.sessions):
        assert "elsewhere.invalid" not in me.client.get(address, {"page_size": 1}, headers=forwarded).text


@pytest.mark.parametrize(
    "content_type", [JSON_TYPE, "application/x-www-form-urlencoded", "text/plain", "multipart/form-data"]
)
def test_c19_a_cookie_alone_writes_nothing(content_type: str) -> None:
    """What another site's form can send with it."""
    me, session = caller("admin"), stored(messages=1)
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(me.user)
    calls = [
        ("POST", me.messages(session)),
        ("POST", me.sessions),
        ("PATCH", me.session(session)),
        ("DELETE", me.session(session)),
    ]
    for method, address in calls:
        answer = browser.generic(method, address, json.dumps(SAID), content_type)
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
    assert (Session.objects.count(), conversation("k", "acme").count()) == (1, 1)


def test_c20_nothing_is_kept_or_lent_to_other_sites() -> None:
    """Lists, single rows and refusals: no shared cache keeps them, no other site's script reads them."""
    me, session = caller("member"), stored(user=caller("member").user, messages=1)
    browser = Client()
    browser.force_login(me.user)
    for address in (
        "/api/",
        "/api/workspaces/",
        me.sessions,
        me.session(session),
        me.session("x"),
        "/api/workspaces/x/",
    ):
        answer = browser.get(address, headers={"Origin": "https://elsewhere.invalid"})
        assert answer["Cache-Control"] == "private, no-cache", address
        assert "cookie" in answer["Vary"].lower(), address
        assert not any(name.lower().startswith("access-control") for name in answer.headers), address


@pytest.mark.parametrize(
    "query",
    [
        *(f"page_size={value}" for value in ("0", "-1", "9" * 20, "1e3", "", "%00", "1&page_size=2")),
        *(f"key={value}" for value in ("k" * 300, "%00", "%ff")),
        *(f"cursor={value}" for value in ("x" * 8_000, "%00", "next.", "next.0.x")),
        "unknown=1",
        "&".join(f"p{number}=1" for number in range(2_000)),
        "format=api",
    ],
    ids=lambda query: query[:20],
)
def test_c21_odd_parameters_have_a_problem_document(query: str) -> None:
    me = caller("admin")
    stored("hidden", workspace="elsewhere")
    for address in (me.sessions, me.messages(stored())):
        answer = me.get(f"{address}?{query}")
        assert answer.status_code in {200, 400, 404}
        assert "hidden" not in answer.text
        if answer.status_code != 200:
            assert answer["Content-Type"] == "application/problem+json"


def test_c21_a_path_that_is_no_text_is_not_there() -> None:
    me = caller("admin")
    for address in (
        "/api/workspaces/%ff%fe/",
        f"{me.sessions}%ff/",
        f"{me.sessions}%c0%ae%c0%ae/",
        f"{me.sessions}{'x' * 8_000}/",
    ):
        answer = me.get(address)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")


def test_c21_a_cursor_of_ones_own_making_shows_own_rows_alone() -> None:
    me, other = caller("member"), caller("member")
    for number in range(3):
        stored(f"theirs-{number}", user=other.user)
        stored(f"mine-{number}", user=me.user)
    assert WorkspaceMember.objects.count() == 2
    following = other.get(other.sessions, {"page_size": 1}).json()["next"]
    page = me.get(following).json()
    assert {each["key"] for each in page["results"]} <= {f"mine-{number}" for number in range(3)}
    conversation("mine-0", "acme").append(Message.user("x"))
