"""The API while the database lets it wait: 503 as a problem document, nothing stored, and the next request is right."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import close_old_connections, connection, connections
from django.test import Client

from chat_memory import conversation
from tests.acceptance.api_support import Caller, caller, stored
from tests.integration.streams import lapse
from tests.locks import ROW, TABLE, another_connection, locked_by_another
from tests.waiting import eventually, places_taken

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("tests.acceptance.api_urls"),
    pytest.mark.postgresql,
]

LONG = 300.0
WRITES = (
    *("post", "patch", "delete", "delete if", "fork", "edit", "redact"),
    *("switch", "ask again", "regenerate", "attach", "rate", "unrate"),
)
READS = ("list", "session", "messages", "context", "branches", "workspaces")


def answer_to(me: Caller, session: Any, what: str) -> Any:
    """The answer to one request."""
    one = me.session(session)
    return {
        "post": lambda: me.post(me.messages(session), {"role": "user", "content": "new"}),
        "patch": lambda: me.patch(one, {"title": "new"}),
        "delete": lambda: me.delete(one),
        "delete if": lambda: me.delete(one, **{"If-Match": me.get(one).get("ETag", '"unknown"')}),
        "fork": lambda: me.post(f"{one}fork/", {"name": "new"}),
        "edit": lambda: me.patch(f"{one}messages/1/", {"content": "new"}),
        "redact": lambda: me.delete(f"{one}messages/1/"),
        "switch": lambda: me.post(f"{one}switch/", {"branch": "other"}),
        "ask again": lambda: me.post(f"{one}messages/1/siblings/", {"content": "new"}),
        "regenerate": lambda: me.post(f"{one}messages/1/regenerate/", {}),
        "attach": lambda: me.raw(f"{one}attachments/", b"bytes", "text/plain"),
        "rate": lambda: me.client.put(f"{one}messages/1/feedback/", {"vote": 1}, format="json"),
        "unrate": lambda: me.delete(f"{one}messages/1/feedback/"),
        "stop": lambda: me.post(f"{one}drafts/streamed/stop/", {}),
        "open": lambda: me.post(me.sessions, {"key": "new"}),
        "drafts": lambda: me.get(f"{one}drafts/"),
        "draft": lambda: me.get(f"{one}drafts/streamed/"),
        "draft by id": lambda: me.get(f"{one}draft/", {"id": "streamed"}),
        "list": lambda: me.get(me.sessions),
        "session": lambda: me.get(one),
        "messages": lambda: me.get(me.messages(session)),
        "context": lambda: me.get(f"{one}context/", {"turns": 5}),
        "branches": lambda: me.get(f"{one}branches/"),
        "workspaces": lambda: me.get("/api/workspaces/"),
    }[what]()


def check_refused(answer: Any, code: str) -> None:
    """503, as the reference says."""
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json"), answer.content
    problem = answer.json()
    assert (problem["status"], problem["title"], problem["code"]) == (503, "Service Unavailable", code)
    assert int(answer["Retry-After"]) >= 1
    assert answer["Cache-Control"] == "private, no-cache"


def prepared() -> Any:
    """A session that every request finds what it needs in."""
    session = stored(messages=2)
    chat = conversation("k", "acme")
    chat.fork("other")
    stream = chat.streaming(id="streamed")
    stream.__enter__()
    return session


def whole_conversation() -> list[Any]:
    """The conversation as it is stored, with what hangs on it."""
    chat = conversation("k", "acme")
    beside = [chat.drafts.entries(), chat.feedback.entries(), chat.attachments.entries()]
    return [chat.session(), chat.messages(), chat.branches(), beside]


@contextmanager
def set_on_the_connection(name: str, value: str) -> Iterator[None]:
    """As a role or the alias' OPTIONS would."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"RESET {name}")


CAUSES: dict[str, tuple[Any, str, str]] = {
    "LOCK_TIMEOUT": (0.05, "lock_timeout", "5min"),
    "lock_timeout": (LONG, "lock_timeout", "50ms"),
    "lock_timeout alone": (None, "lock_timeout", "50ms"),
    "statement_timeout": (LONG, "statement_timeout", "200ms"),
}


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("what", WRITES)
def test_c9_c10_a_write_to_a_locked_session(settings, cause: str, what: str) -> None:
    ours, name, value = CAUSES[cause]
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": ours, "LOCK_WAITERS": None}
    me, session = caller("admin"), prepared()
    before = whole_conversation()
    with locked_by_another():
        with set_on_the_connection(name, value):
            check_refused(answer_to(me, session, what), "unavailable" if name == "statement_timeout" else "busy")
        assert whole_conversation() == before
        assert answer_to(me, session, "messages").status_code == 200
    assert answer_to(me, session, what).status_code < 300


@pytest.mark.parametrize("what", ["post", "attach"])
def test_c9_a_write_that_has_waited_in_a_place_is_done(settings, what: str) -> None:
    """Also one that nobody may take back, as an upload: the transaction that holds the place ends with it."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG, "LOCK_WAITERS": 1}
    me, session = caller("admin"), prepared()
    answers: list[Any] = []

    def wait() -> None:
        try:
            answers.append(answer_to(me, session, what))
        finally:
            connections.close_all()

    waiting = threading.Thread(target=wait, daemon=True)
    with locked_by_another():
        waiting.start()
        eventually(places_taken)
    waiting.join(60)
    assert [answer.status_code < 300 for answer in answers] == [True]


@pytest.mark.parametrize("what", [*READS, *WRITES, "stop", "open"])
def test_c10_the_look_up_may_wait_as_well(settings, what: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("admin"), prepared()
    table = "LOCK TABLE chat_memory_workspace" if what == "workspaces" else TABLE
    with locked_by_another(table), set_on_the_connection("statement_timeout", "50ms"):
        check_refused(answer_to(me, session, what), "unavailable")
    assert answer_to(me, session, what).status_code < 300


@pytest.mark.parametrize("what", [*WRITES, "stop", "open"])
def test_c10_a_server_that_only_reads(settings, what: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("admin"), prepared()
    with set_on_the_connection("default_transaction_read_only", "on"):
        check_refused(answer_to(me, session, what), "unavailable")
        assert answer_to(me, session, "messages").status_code == 200
    assert answer_to(me, session, what).status_code < 300


@pytest.mark.parametrize("what", ["post", "open"])
def test_c10_the_log_in_may_wait_too(settings, what: str) -> None:
    """The Django session is read by our view, not before it."""
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("admin"), prepared()
    client = Client()
    client.force_login(me.user)
    address = me.messages(session) if what == "post" else me.sessions
    with locked_by_another("LOCK TABLE django_session"), set_on_the_connection("statement_timeout", "50ms"):
        check_refused(client.post(address, b"{}", "application/json"), "unavailable")


@contextmanager
def connected_otherwise(**given: Any) -> Iterator[None]:
    """The connection is closed, and the next one is made with other settings."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(given)
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


@pytest.mark.parametrize("what", ["messages", "post", "workspaces"])
def test_c10_a_pool_whose_connections_are_taken(settings, what: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("admin"), prepared()
    options = {"pool": {"min_size": 1, "max_size": 1, "timeout": 0.2}}
    with connected_otherwise(OPTIONS=options, CONN_MAX_AGE=0):
        pool = connection.pool  # type: ignore[attr-defined]  # PostgreSQL's
        pool.open()
        taken = pool.getconn()
        try:
            check_refused(answer_to(me, session, what), "unavailable")
        finally:
            pool.putconn(taken)
        assert answer_to(me, session, what).status_code < 300
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]


@pytest.mark.parametrize("what", ["messages", "post", "workspaces"])
def test_c10_a_database_that_is_away(settings, what: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("admin"), prepared()
    with connected_otherwise(PORT=1):
        check_refused(answer_to(me, session, what), "unavailable")
    assert answer_to(me, session, what).status_code < 300


@pytest.mark.parametrize("what", ["messages", "post", "patch"])
def test_c10_a_connection_that_the_server_ends(settings, what: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("admin"), prepared()
    connection.ensure_connection()
    with another_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s, 60000)", [connection.connection.info.backend_pid])
    check_refused(answer_to(me, session, what), "unavailable")
    close_old_connections()  # as a server does between two requests
    assert answer_to(me, session, what).status_code < 300


def test_c10_what_does_not_pass_stays_an_error(settings) -> None:
    """A column that is missing is no outage."""
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("admin"), prepared()
    me.client.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE chat_memory_message RENAME tokens TO gone")
        try:
            assert answer_to(me, session, "post").status_code == 500
        finally:
            cursor.execute("ALTER TABLE chat_memory_message RENAME gone TO tokens")


def in_the_background(me: Caller, session: Any, answers: list[Any], what: str = "post") -> threading.Thread:
    """A request in a thread of its own."""

    def run() -> None:
        try:
            answers.append(answer_to(me, session, what).status_code)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("what", WRITES)
def test_c9_the_ninth_client_is_answered_at_once(settings, what: str) -> None:
    """One request waits for the lock, and is stored in the end; the others hold up no worker."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG}
    me, session, other = caller("admin"), prepared(), stored("other", messages=2)
    answers: list[int] = []
    with locked_by_another() as holder:
        waits = in_the_background(me, session, answers)
        eventually(places_taken)
        for _ in range(8):
            check_refused(answer_to(me, session, what), "busy")
            assert answer_to(me, other, "post").status_code == 201
        assert (answers, conversation("k", "acme").count()) == ([], 2)
        holder.commit()
        waits.join(60)
    assert (answers, conversation("k", "acme").count()) == ([201], 3)
    assert answer_to(me, session, what).status_code < 300


def test_c9_a_key_that_somebody_is_making_holds_up_one_request(settings) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG}
    me, session = caller("admin"), prepared()
    made = """INSERT INTO chat_memory_session SELECT (jsonb_populate_record(s,
      jsonb_build_object('id', gen_random_uuid(), 'key', 'new'))).* FROM chat_memory_session s WHERE key = 'k'"""
    answers: list[int] = []
    with locked_by_another(made) as holder:
        waits = in_the_background(me, session, answers, "open")
        eventually(places_taken)
        check_refused(answer_to(me, session, "open"), "busy")
        holder.commit()
        waits.join(60)
    assert answers == [200]


@pytest.mark.usefixtures("db")
def test_c24_a_row_that_is_free_again_is_written_to_at_once(settings) -> None:
    """What a process remembers of a stuck session ends with the first write that gets through."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": 0.05, "LOCK_WAITERS": 1}
    me, session = caller("admin"), prepared()
    with locked_by_another(ROW, "k"):
        check_refused(answer_to(me, session, "post"), "busy")
    assert [answer_to(me, session, "post").status_code for _ in range(3)] == [201] * 3


FOLLOWED = ("drafts", "draft", "draft by id")


@pytest.mark.parametrize("what", FOLLOWED)
def test_c9_who_reads_what_nobody_writes_any_more_waits_for_nobody(settings, what: str) -> None:
    """An abandoned draft is stored by who asks for it next: not while others hold the conversation."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG}
    me, session = caller("reader"), prepared()
    lapse()
    with locked_by_another():
        answer = answer_to(me, session, what)
        assert (answer.status_code, state_in(answer)) == (200, "streaming")
    assert state_in(answer_to(me, session, what)) == ("" if what == "drafts" else "abandoned")


@pytest.mark.parametrize("what", FOLLOWED)
def test_c10_what_nobody_writes_any_more_is_read_from_a_server_that_only_reads(settings, what: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    me, session = caller("reader"), prepared()
    lapse()
    with set_on_the_connection("default_transaction_read_only", "on"):
        answer = answer_to(me, session, what)
        assert (answer.status_code, state_in(answer)) == (200, "streaming")
    assert state_in(answer_to(me, session, what)) == ("" if what == "drafts" else "abandoned")


def state_in(answer: Any) -> str:
    """The state of the draft in an answer; "" where none is listed."""
    told = answer.json()
    rows = told.get("results", [told])
    return rows[0]["state"] if rows else ""


DRAFT = "SELECT 1 FROM chat_memory_draft FOR UPDATE"
"""Locks what is being streamed, as whoever stores it in the end does."""


def test_c9_a_locked_draft_holds_up_one_request(settings) -> None:
    """To stop an answer waits for the draft's own row, and for nothing else of the conversation."""
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": LONG}
    me, session = caller("admin"), prepared()
    answers: list[int] = []
    with locked_by_another(DRAFT) as holder:
        waits = in_the_background(me, session, answers, "stop")
        eventually(places_taken)
        for _ in range(3):
            check_refused(answer_to(me, session, "stop"), "busy")
        assert answers == []
        holder.commit()
        waits.join(60)
    assert answers == [200]
    assert conversation("k", "acme").drafts.get("streamed").stop_asked


def test_c9_c10_a_stop_gives_up_too(settings) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off", "LOCK_TIMEOUT": 0.05, "LOCK_WAITERS": None}
    me, session = caller("admin"), prepared()
    with locked_by_another(DRAFT):
        check_refused(answer_to(me, session, "stop"), "busy")
        assert not conversation("k", "acme").drafts.get("streamed").stop_asked
    assert answer_to(me, session, "stop").status_code == 200
