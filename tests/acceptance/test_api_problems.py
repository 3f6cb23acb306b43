"""Bad requests to the API: one clear problem document (RFC 9457) each, nothing half-written, never a traceback."""

import json
from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import Any

import pytest
from django.core.cache import cache
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from rest_framework.response import Response
from rest_framework.test import APIClient, force_authenticate

from chat_memory import Message, conversation
from chat_memory.api.resources.messages import MessageViewSet
from tests.acceptance.api_support import caller, stored

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.acceptance.api_urls")]

DEEP = b"[" * 100_000 + b"]" * 100_000


def foreign_handler(error: Exception, context: object) -> Response:
    raise AssertionError("the host's handler is for the host's views")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b'{"role": "user", "content": NaN}', 400, None),
        (b'{"role": "user", "content": "x", "metadata": {"n": -Infinity}}', 400, None),
        (b'{"role": "user", "role": "system", "content": "x"}', 400, None),
        (b'{"role": "user", "content": "x", "metadata": {"a": 1, "a": 2}}', 400, None),
        (DEEP, 400, None),
        (b'{"role": "user", "content": "x", "metadata": {"a": ' + DEEP + b"}}", 400, None),
        (b'{"role": "user", "content": "x", "metadata": {"n": ' + b"9" * 5000 + b"}}", 400, None),
        (b'{"role": "user", "content": "\xff"}', 400, None),
        ("\ufeff{}".encode(), 400, None),
        (json.dumps({"role": "user", "content": "x"}).encode("utf-16"), 400, None),
        (b"5", 422, None),
        (b"null", 422, None),
        (b"[]", 422, None),
        (b"[[]]", 422, "messages[0]"),
        (b"{}", 422, "role"),
        (b'{"content": "x"}', 422, "role"),
        (b'{"role": null, "content": "x"}', 422, "role"),
        (b'{"role": 5, "content": "x"}', 422, "role"),
        (b'{"role": "robot", "content": "x"}', 422, "role"),
        (b'{"role": "user"}', 422, "content"),
        (b'{"role": "user", "content": null}', 422, "content"),
        (b'{"role": "user", "content": 5}', 422, "content"),
        (b'{"role": "user", "content": ["x"]}', 422, "content[0]"),
        (b'{"role": "user", "content": "a\\u0000b"}', 422, "content"),
        (b'{"role": "user", "content": "\\ud800"}', 422, "content"),
        (b'{"role": "user", "content": "x", "id": ""}', 422, "id"),
        (b'{"role": "user", "content": "x", "id": 7}', 422, "id"),
        (b'{"role": "user", "content": "x", "id": "' + b"x" * 513 + b'"}', 422, "id"),
        (b'{"role": "user", "content": "x", "name": {}}', 422, "name"),
        (b'{"role": "user", "content": "x", "metadata": []}', 422, "metadata"),
        (b'{"role": "user", "content": "x", "metadata": {"\\ud800": 1}}', 422, "metadata"),
        (b'{"role": "user", "content": "x", "metadata": {"n": 1e999}}', 422, "metadata.n"),
        (b'{"role": "user", "content": "x", "metadata": {"a":' + b"[" * 200 + b"]" * 200 + b"}}", 422, "metadata"),
        (b'{"role": "user", "content": "x", "tool_calls": [{}]}', 422, "tool_calls"),
        (b'[{"role": "user", "content": "x"}, {"role": "user"}]', 422, "messages[1].content"),
        (b'[{"role": "user", "content": "x"}, {"content": "x"}]', 422, "messages[1].role"),
        (
            b'[{"role": "user", "content": "x", "id": "a"}, {"role": "user", "content": "y", "id": "a"}]',
            422,
            "messages",
        ),
        (b'{"role": "user", "content": "' + b"x" * (1024 * 1024 + 1) + b'"}', 413, "content"),
        (b'{"role": "user", "content": "x", "metadata": {"a": "' + b"x" * 65_536 + b'"}}', 413, "metadata"),
        (b'{"role": "user", "content": "' + b"x" * 10_000_000 + b'"}', 413, None),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, bytes) else None,
)
def test_c15_bad_body(body: bytes, status: int, field: str | None) -> None:
    me, session = caller(), stored()
    answer = me.raw(me.messages(session), body)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem.get("field")) == (status, status, field)
    assert answer["Content-Type"] == "application/problem+json"
    assert problem["detail"]
    assert problem["title"]
    assert problem["type"] == "about:blank"
    assert conversation("k", "acme").count() == 0


BODIES_AND_REASONS = {
    b"": "The body is empty: it must be JSON.",
    b"\xff{}": "The body is not UTF-8: byte 1 begins no character.",
    b'{"role": "user",\n "content" "x"}': "The body is not JSON, at line 2, column 12: expecting ':' delimiter.",
    b'{"role": "user", "content": NaN}': "The body is not JSON: NaN is not a JSON number.",
}


@pytest.mark.parametrize("body", BODIES_AND_REASONS)
def test_body_that_is_no_json_is_told_where(body: bytes) -> None:
    me, session = caller(), stored()
    answer = me.raw(me.messages(session), body)
    assert (answer.status_code, answer.json()["detail"]) == (400, BODIES_AND_REASONS[body])


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("since=yesterday", "Must be a time such as 2025-01-31T12:00:00+00:00."),
        ("archived=maybe", "Must be true or false."),
        ("page_size=x", "Must be a whole number."),
    ],
)
def test_parameter_that_cannot_be_read_is_told_in_words(query: str, reason: str) -> None:
    """Neither the names of Python's types nor those of a parser."""
    me = caller()
    answer = me.get(f"{me.sessions}?{query}")
    assert (answer.status_code, answer.json()["field"]) == (400, query.partition("=")[0])
    assert answer.json()["detail"] == reason


def test_member_of_the_wrong_type_is_told_in_words() -> None:
    me = caller()
    for body, field, reason in (
        ({"title": 5}, "title", "must be text or null, not int"),
        ({"pinned": "x"}, "pinned", "must be true or false"),
        ({"tags": "x"}, "tags", "must be a list"),
        ({"expires_at": "soon"}, "expires_at", "must be a time such as"),
    ):
        problem = me.post(me.sessions, body).json()
        assert (problem["status"], problem["field"]) == (422, field)
        assert "`" not in problem["detail"]
        assert problem["detail"].startswith(reason.partition(" or null")[0])


def test_batch_over_its_size_is_refused_whole(settings) -> None:
    settings.CHAT_MEMORY = {"MAX_BATCH": 2}
    me, session = caller(), stored()
    answer = me.post(me.messages(session), [{"role": "user", "content": "x"}] * 3)
    assert (answer.status_code, answer.json()["field"]) == (413, "messages")
    assert conversation("k", "acme").count() == 0


def test_numbers_of_four_thousand_digits_are_kept() -> None:
    me, session = caller(), stored()
    body = b'{"role": "user", "content": "x", "metadata": {"n": ' + b"7" * 4000 + b"}}"
    assert me.raw(me.messages(session), body).status_code == 201
    assert me.get(me.messages(session)).json()["results"][0]["metadata"]["n"] == int("7" * 4000)


@pytest.mark.parametrize(("size", "status"), [(99, 422), (100, 413)])
def test_c12_body_is_measured_even_where_its_length_is_not_said(settings, size: int, status: int) -> None:
    """A chunked request over ASGI; over WSGI a body of unknown length is none."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    me, session = caller(), stored()
    headers = [(b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    with SpooledTemporaryFile() as body:  # what Django's handler collects a request in
        body.write(b"5" + b" " * size)
        body.seek(0)
        request = ASGIRequest({"method": "POST", "path": "/", "headers": headers}, body)
        force_authenticate(request, me.user)
        answer = MessageViewSet.as_view({"post": "create"})(request, slug="acme", session_id=str(session.id))
    assert answer.status_code == status


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_other_media_types_are_refused(content_type: str) -> None:
    me, session = caller(), stored()
    assert me.raw(me.messages(session), b'{"role": "user", "content": "x"}', content_type).status_code == 415
    assert me.raw(me.messages(session), b'{"role":"user","content":"x"}', "APPLICATION/JSON; x=y").status_code == 201


def reads_forms(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A middleware of a host that looks at every form, after which the body cannot be read."""

    def middleware(request: HttpRequest) -> HttpResponse:
        _read = request.POST
        return get_response(request)

    return middleware


def test_a_form_that_a_middleware_has_read_is_refused_too(settings) -> None:
    settings.MIDDLEWARE = [f"{__name__}.reads_forms", *settings.MIDDLEWARE]
    me, session = caller(), stored()
    assert me.client.post(me.messages(session), {"role": "user"}, format="multipart").status_code == 415


def test_errors_of_the_framework_are_problem_documents_too() -> None:
    me, session = caller(), stored()
    not_allowed = me.client.put(me.session(session), {}, format="json")
    assert (not_allowed.status_code, not_allowed["Content-Type"]) == (405, "application/problem+json")
    assert "PATCH" in not_allowed["Allow"]
    not_acceptable = me.get(me.session(session), Accept="text/csv")
    assert (not_acceptable.status_code, not_acceptable["Content-Type"]) == (406, "application/problem+json")
    assert me.get(me.session(session), {"format": "html"}).status_code == 404


@pytest.mark.parametrize(
    "address", ["x/", "x/y/", "acme/nothing/", "acme/sessions/x/nothing/", "acme/sessions/x/messages/1/y/", "acme/x"]
)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options"])
def test_unknown_addresses_have_the_one_answer_too(address: str, method: str) -> None:
    me = caller()
    answer = getattr(me.client, method)(f"/api/workspaces/{address}")
    known = me.get("/api/workspaces/unknown/")
    if (address, method) == ("x/", "get"):
        assert answer.content == known.content
    elif address == "x/":
        assert answer.status_code == (200 if method == "options" else 405)
    else:
        assert (answer.status_code, answer.content) == (404, known.content)
    assert answer["Content-Type"].startswith("application/")


def test_address_without_its_slash_is_led_on_or_told() -> None:
    """A redirect would lose the body of a POST."""
    me = caller()
    assert me.get(me.sessions.rstrip("/"), {"key": "k"})["Location"] == f"{me.sessions}?key=k"
    refused = me.post(me.sessions.rstrip("/"), {})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert "slash" in refused.json()["detail"]


def test_hosts_own_addresses_are_left_alone() -> None:
    """Only what begins with workspaces/ is ours, so that a host may put its own API under the same prefix."""
    answer = caller().get("/api/elsewhere/")
    assert (answer.status_code, answer["Content-Type"]) == (404, "text/html; charset=utf-8")


@pytest.mark.parametrize("name", ["org", "slug", "session_id"])
def test_what_the_hosts_prefix_captures_is_ignored_and_kept_in_links(settings, name: str) -> None:
    settings.ROOT_URLCONF = (path(f"<str:{name}>/api/", include("chat_memory.api.urls")),)
    me, session = caller("admin"), stored(messages=2)
    other = stored("other")
    one = f"/globex{me.session(session)}"
    for address in ("/globex/api/", "/globex/api/workspaces/acme/", one, f"{one}branches/", f"{one}messages/2/"):
        assert me.get(address).status_code == 200
    assert me.get(me.get("/globex/api/").json()["workspaces"]).json()["results"][0]["slug"] == "acme"
    for first in (f"{one}messages/", f"/globex{me.sessions}"):
        page = me.get(first, {"page_size": 1}).json()
        following = page["next"] or page["previous"]
        assert following.startswith(f"http://testserver{first}")
        assert me.get(following).status_code == 200
    assert me.post(f"{one}messages/", {"role": "user", "content": "3"}).status_code == 201
    assert me.post(f"{one}fork/", {"name": "n"}).status_code == 201
    assert me.patch(one, {"title": "t"}).status_code == 200
    assert me.delete(f"/globex{me.session(other)}").status_code == 204
    assert me.get("/globex/api/workspaces/acme/nothing/").status_code == 404


def test_hosts_exception_handler_is_left_alone(settings) -> None:
    settings.REST_FRAMEWORK = {"EXCEPTION_HANDLER": f"{__name__}.foreign_handler"}
    me = caller()
    assert me.get(me.session("x")).status_code == 404


REST: dict[str, dict[str, Any]] = {
    "nobody signed in is None": {"UNAUTHENTICATED_USER": None},
    "versions in the Accept header": {"DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.AcceptHeaderVersioning"},
    "versions in the query": {"DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.QueryParameterVersioning"},
    "forms alone": {"DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.FormParser"]},
    "pages of HTML alone": {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.BrowsableAPIRenderer"]},
    "admins alone": {"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"]},
    "pages of its own": {
        "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.LimitOffsetPagination",
        "PAGE_SIZE": 1,
    },
    "a form of times": {"DATETIME_FORMAT": "%d/%m/%Y"},
}


@pytest.mark.parametrize("name", REST)
def test_r41_the_hosts_settings_of_rest_framework_change_nothing(settings, name: str) -> None:
    me, session = caller(), stored(messages=2)
    before = me.get(me.session(session)).json(), me.get(me.messages(session)).json()
    settings.REST_FRAMEWORK = REST[name]
    assert (me.get(me.session(session)).json(), me.get(me.messages(session)).json()) == before
    assert me.post(me.messages(session), {"role": "user", "content": "3"}).status_code == 201
    assert APIClient().get(me.session(session)).status_code in {401, 403}


def test_rates_are_off_until_the_host_sets_them(settings) -> None:
    cache.clear()
    me, other = caller(), caller()
    assert {me.get(me.sessions).status_code for _ in range(5)} == {200}
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"chat_memory_read": "2/hour", "chat_memory_write": None}}
    assert [me.get(me.sessions).status_code for _ in range(3)] == [200, 200, 429]
    throttled = me.get(me.sessions)
    assert (throttled["Content-Type"], throttled.json()["code"]) == ("application/problem+json", "throttled")
    assert int(throttled["Retry-After"]) > 3000
    assert me.post(me.sessions, {}).status_code == 201
    assert other.get(other.sessions).status_code == 200


REFUSED = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": "redis://127.0.0.1:1/0"}}


def test_c1_rates_do_not_fail_with_the_cache_that_counts(settings, caplog) -> None:
    """Nobody listens on that port; rates are off meanwhile, and one line of the log says so."""
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_RATES": {"chat_memory_read": "2/hour", "chat_memory_write": "2/hour"}}
    settings.CACHES, settings.CHAT_MEMORY = REFUSED, {"CACHE": "off"}
    me = caller()
    with caplog.at_level("WARNING", logger="chat_memory.api"):
        assert {me.get(me.sessions).status_code for _ in range(4)} == {200}
        assert {me.post(me.sessions, {}).status_code for _ in range(4)} == {201}
    (line,) = [record.getMessage() for record in caplog.records if record.name == "chat_memory.api"]
    assert line.startswith("chat_memory limits no rates, since the cache fails: Connection")


def test_answers_stay_out_of_shared_caches() -> None:
    me = caller()
    for address in (me.sessions, me.session(stored()), me.session("x")):
        assert me.get(address)["Cache-Control"] == "private, no-cache"


def test_options_describe_the_view() -> None:
    me = caller()
    answer = me.client.options(me.sessions)
    assert (answer.status_code, answer.json()["parses"]) == (200, ["application/json"])


def test_history_written_by_python_is_shown_as_it_is() -> None:
    """Content that only Python may leave out is null here."""
    me, session = caller(), stored()
    conversation("k", "acme").append(Message.assistant(tool_calls=[{"id": "c"}]), Message.system("s"))
    shown = me.get(me.messages(session)).json()["results"]
    assert [(message["role"], message["content"]) for message in shown] == [("assistant", None), ("system", "s")]
