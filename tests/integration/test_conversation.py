"""The conversation over Django's models: receipts, replays, versions, users, databases, and who sees the queries."""

import asyncio
import uuid
from typing import Any

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError, connection, connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils.connection import ConnectionDoesNotExist

from chat_memory import (
    BranchNotFound,
    Message,
    MessageConflict,
    NotFound,
    SessionNotFound,
    ValidationError,
    VersionConflict,
    WorkspaceNotFound,
    aappend_many,
    append_many,
    conversation,
)
from chat_memory.models import Message as MessageRow, Session, Workspace
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.tenancy import across_workspaces
from tests.payloads import FIELDS, MESSAGES

pytestmark = pytest.mark.django_db(transaction=True)


def row_counts() -> tuple[int, int, int]:
    """How many rows there are of each kind."""
    with across_workspaces():
        return Workspace.objects.count(), Session.objects.count(), MessageRow.objects.count()


def test_receipt_says_what_was_stored() -> None:
    chat = conversation("k")
    receipt = chat.append(Message.user("Hi", id="a"), Message.assistant("Hello!"))
    assert (receipt.first_seq, receipt.last_seq, receipt.version, receipt.replayed) == (1, 2, 1, False)
    assert [message.seq for message in receipt.messages] == [1, 2]
    assert receipt.messages[0].id == "a"
    assert uuid.UUID(receipt.messages[1].id).version == 7
    assert all(message.created_at and message.created_at.utcoffset() is not None for message in receipt.messages)
    assert list(receipt.messages) == chat.messages()


def test_history_is_the_same_from_every_handle() -> None:
    """FEATURES N01, N48, S0.34."""
    one, other = conversation("k", "acme"), conversation("k", "acme")
    one.append(Message.user("1"))
    other.append(Message.assistant("2"))
    one.append(Message.user("3"), Message.assistant("4"))
    for chat in (one, other, conversation("k", "acme")):
        assert [message.content for message in chat.messages()] == ["1", "2", "3", "4"]
        assert [message.content for message in chat.tail(2)] == ["3", "4"]
        assert [message.content for message in chat.head(2)] == ["1", "2"]
        assert [message.content for message in chat.since(3)] == ["4"]
        assert chat.count() == 4


def test_nothing_is_read_as_nothing_and_nothing_is_made() -> None:
    chat = conversation("k", "acme")
    assert (chat.messages(), chat.tail(5), chat.head(5), chat.since(0), chat.count()) == ([], [], [], [], 0)
    assert (chat.session(), chat.delete()) == (None, False)
    chat.clear()
    with pytest.raises(SessionNotFound):
        chat.update(title="t")
    with pytest.raises(BranchNotFound):
        conversation("k", "acme", branch="draft").append(Message.user("x"))
    assert row_counts() == (0, 0, 0)


def test_append_of_nothing_writes_nothing() -> None:
    """FEATURES S0.8."""
    chat = conversation("k")
    empty = chat.append()
    assert (empty.first_seq, empty.last_seq, empty.version, empty.replayed, empty.messages) == (
        None,
        None,
        0,
        False,
        (),
    )
    assert row_counts() == (0, 0, 0)
    chat.append(Message.user("x"))
    assert chat.append(if_version=1).version == 1
    with pytest.raises(VersionConflict):
        chat.append(if_version=0)


def test_replay_partial_replay_and_conflict() -> None:
    """FEATURES E11."""
    chat = conversation("k")
    first = chat.append(Message.user("a", id="a"), Message.user("b", id="b"))
    replay = conversation("k").append(Message.user("a", id="a"), Message.user("b", id="b"))
    assert replay.replayed
    assert (replay.messages, replay.version) == (first.messages, first.version)
    partial = chat.append(Message.user("b", id="b"), Message.user("c", id="c"))
    assert not partial.replayed
    assert (partial.first_seq, partial.last_seq) == (2, 3)
    with pytest.raises(MessageConflict, match="'b'"):
        chat.append(Message.user("d", id="d"), Message.user("other", id="b"))
    assert [message.id for message in chat.messages()] == ["a", "b", "c"]


def test_optimistic_writer() -> None:
    chat = conversation("k")
    version = chat.append(Message.user("a", id="a"), if_version=0).version
    chat.append(Message.user("b", id="b"), if_version=version)
    with pytest.raises(VersionConflict, match="at version 2, not 1"):
        chat.append(Message.user("c"), if_version=version)
    assert chat.append(Message.user("b", id="b"), if_version=version).replayed
    assert chat.count() == 2


def test_append_many_is_all_or_nothing() -> None:
    a, b, c = (conversation(key) for key in "abc")
    receipts = append_many({b: [Message.user("1", id="1")], a: [Message.user("1"), Message.user("2")], c: []})
    assert list(receipts) == [b, a, c]
    assert [receipts[chat].last_seq for chat in (a, b, c)] == [2, 1, None]
    with pytest.raises(MessageConflict):
        append_many({a: [Message.user("3")], c: [Message.user("new")], b: [Message.user("other", id="1")]})
    assert [chat.count() for chat in (a, b, c)] == [2, 1, 0]
    assert c.session() is None


def test_append_many_takes_each_conversation_once_and_of_one_store() -> None:
    with pytest.raises(ValidationError, match="once"):
        append_many({conversation("k"): [Message.user("x")], conversation("k"): [Message.user("y")]})
    with pytest.raises(ValidationError, match="one back end"):
        append_many(
            {conversation("k"): [Message.user("x")], conversation("l", adapter=MemoryAdapter()): [Message.user("y")]}
        )
    assert row_counts() == (0, 0, 0)
    assert append_many({}) == {}


async def test_async_calls_are_the_same_calls() -> None:
    chat = conversation("k")
    receipt = await chat.aappend(Message.user("a"), Message.user("b"), if_version=0)
    assert (receipt.last_seq, await chat.acount(), len(await chat.amessages())) == (2, 2, 2)
    assert [message.seq for message in await chat.atail(1) + await chat.ahead(1) + await chat.asince(1)] == [2, 1, 2]
    assert (await chat.aupdate(title="t")).title == (await chat.aopen(title="u")).title == "t"
    assert [receipt.last_seq for receipt in (await aappend_many({chat: [Message.user("c")]})).values()] == [3]
    await chat.aclear()
    assert (await chat.asession() is not None, await chat.acount(), await chat.adelete()) == (True, 0, True)


def test_two_handles_after_delete_and_a_new_beginning() -> None:
    """FEATURES N05, N09: ids remembered from the deleted session never reach the new one."""
    old, other = conversation("k"), conversation("k")
    old.append(Message.user("secret", id="a"))
    assert other.count() == 1
    assert other.delete()
    assert old.messages() == []
    assert other.append(Message.user("new", id="a")).first_seq == 1
    assert [message.content for message in old.messages()] == ["new"]
    assert old.append(Message.user("more")).first_seq == 2
    assert [message.content for message in other.messages()] == ["new", "more"]
    assert row_counts() == (1, 1, 2)


def test_clear_works_on_the_store() -> None:
    """FEATURES N32: whatever process opened the session."""
    conversation("k").append(Message.user("a"), Message.user("b"))
    conversation("k").clear()
    chat = conversation("k")
    assert (chat.messages(), chat.count()) == ([], 0)
    assert chat.append(Message.user("c")).first_seq == 3
    assert [message.seq for message in chat.tail(10)] == [3]


def test_user_object_becomes_owner_and_key() -> None:
    user = get_user_model().objects.create_user("bob")
    conversation("k", user=user).append(Message.user("x"))
    with across_workspaces():
        session = Session.objects.get()
    assert (session.user, session.user_key) == (user, str(user.pk))
    key = str(user.pk)
    user.delete()
    with across_workspaces():
        session.refresh_from_db()
    assert (session.user, session.user_key) == (None, key)


def test_owner_is_the_first_who_is_known() -> None:
    """FEATURES J05, E07."""
    conversation("k").append(Message.user("x"))
    conversation("k", user=AnonymousUser()).append(Message.user("x"))
    for owner in ("outside", "late"):
        conversation("k", user=owner, any_owner=True).append(Message.user("x"))
        record = conversation("k").session()
        assert record is not None
        assert (record.user_key, record.user_id) == ("outside", None)


def test_unsaved_user_is_refused() -> None:
    with pytest.raises(ValidationError, match="user: has no primary key yet: save it first"):
        conversation("k", user=get_user_model()(username="bob"))
    with pytest.raises(ValidationError, match="user: is not in the database yet: save it first"):
        conversation("k", user=get_user_model()(pk=7, username="bob"))
    with pytest.raises(ValidationError, match="user: must be a saved user or text"):
        conversation("k", user=7)


def test_session_of_a_row_has_the_same_history() -> None:
    chat = conversation("k", "acme", user="bob")
    chat.append(Message.user("x"))
    with across_workspaces():
        session = Session.objects.get()
    assert session.history().messages() == chat.messages()
    assert session.history().append(Message.user("y")).first_seq == 2
    assert repr(session.history()) == repr(chat) == "<Conversation acme/k>"


@override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False, "DEFAULT_WORKSPACE": "known"})
def test_workspaces_are_made_only_where_allowed() -> None:
    with pytest.raises(WorkspaceNotFound) as caught:
        conversation("k").append(Message.user("x"))
    assert isinstance(caught.value, NotFound | LookupError)
    assert row_counts() == (0, 0, 0)
    Workspace.objects.create(slug="known")
    conversation("k").append(Message.user("x"))
    assert row_counts() == (1, 1, 1)


@pytest.mark.parametrize("name", [*MESSAGES])
def test_bad_message_writes_nothing(name: str) -> None:
    """FEATURES J35, N06: one rule on every back end, before anything is written."""
    bad, _field = MESSAGES[name]
    with pytest.raises(ValidationError), CaptureQueriesContext(connection) as queries:
        conversation("k").append(Message.user("good"), bad)
    assert len(queries) == 0


@pytest.mark.parametrize("name", [*FIELDS])
def test_bad_session_field_writes_nothing(name: str) -> None:
    fields, _field = FIELDS[name]
    with pytest.raises(ValidationError), CaptureQueriesContext(connection) as queries:
        conversation("k").open(**fields)
    assert len(queries) == 0


@pytest.mark.postgresql
@pytest.mark.parametrize("raw_cursor", [True, False])
def test_append_and_tail_are_one_statement_each(django_assert_num_queries: Any, raw_cursor: bool) -> None:
    """Whoever watches sees them, on the driver's own cursor as on Django's."""
    with override_settings(CHAT_MEMORY={"CACHE": "off", "RAW_CURSOR": raw_cursor}):
        chat = conversation("k")
        chat.append(Message.user("x"))
        for handle in (chat, conversation("k")):
            with django_assert_num_queries(1):
                handle.append(Message.user("x"), Message.assistant("y"))
            with django_assert_num_queries(1):
                handle.tail(20)


@pytest.mark.parametrize("raw_cursor", [True, False])
def test_both_cursors_store_and_read_the_same(raw_cursor: bool) -> None:
    messages = [
        Message.user([{"text": "%s %(x)s é"}], metadata={"%": 2**70}, name="100%"),
        Message.assistant(None, tool_calls=[{"id": "c"}]),
        Message.tool("", tool_call_id="c"),
    ]
    with override_settings(CHAT_MEMORY={"CACHE": "off", "RAW_CURSOR": raw_cursor}):
        chat = conversation("k")
        receipt = chat.append(*messages)
        assert chat.messages() == list(receipt.messages)
    assert conversation("k").messages() == list(receipt.messages)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_drivers_cursor_outlives_what_happens_to_connections() -> None:
    """A thread keeps one: across long answers, a connection that was closed, and one that the server ended."""
    with override_settings(CHAT_MEMORY={"CACHE": "off"}):
        chat = conversation("k")
        chat.append(*(Message.user(str(number)) for number in range(200)))
        assert [len(chat.messages()), len(chat.tail(1)), len(chat.messages())] == [200, 1, 200]
        connection.close()
        assert len(chat.tail(3)) == 3
        with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        with pytest.raises(OperationalError):
            chat.tail(3)
        connection.close()
        assert len(chat.tail(3)) == 3


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_back_end_that_prepares_its_cursors_is_asked_for_one(monkeypatch: Any) -> None:
    """As that of django-tenants, which sets the tenant's schema there: past it reads would be another tenant's."""
    made: list[object] = []

    class Tenants(type(connections["default"])):  # type: ignore[misc]
        def _cursor(self, name: Any = None) -> Any:
            made.append(name)
            return super()._cursor(name)

    with override_settings(CHAT_MEMORY={"CACHE": "off"}):
        chat = conversation("k")
        monkeypatch.setattr(connections["default"], "__class__", Tenants)
        for call in (lambda: chat.append(Message.user("x")), lambda: chat.tail(5), lambda: chat.context(turns=1)):
            made.clear()
            call()
            assert made


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_connection_that_died_between_two_requests_is_replaced(monkeypatch: Any) -> None:
    """With CONN_HEALTH_CHECKS, as by any other statement of Django."""
    with override_settings(CHAT_MEMORY={"CACHE": "off"}):
        chat = conversation("k")
        chat.append(Message.user("x"))
        with psycopg.connect(connection.connection.info.dsn, password=connection.settings_dict["PASSWORD"]) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
        monkeypatch.setitem(connection.settings_dict, "CONN_HEALTH_CHECKS", True)
        monkeypatch.setattr(connections["default"], "health_check_enabled", True)
        monkeypatch.setattr(connections["default"], "health_check_done", False)
        assert len(chat.tail(3)) == 1


def test_execute_wrappers_see_every_statement() -> None:
    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        conversation("k").append(Message.user("x"))
        written = len(seen)
        conversation("k").tail(1)
    assert any("INSERT" in sql for sql in seen[:written])
    assert any("FROM chat_memory_message" in sql for sql in seen[written:])


class ElsewhereRouter:
    """Sends everything of ours to an alias that has no database."""

    def db_for_write(self, model: type, **_hints: object) -> str | None:
        return "elsewhere" if model is Session else None


def test_database_is_where_the_router_writes_sessions() -> None:
    """Reads too, so that a history is never behind itself; ``using`` goes before the router."""
    with override_settings(DATABASE_ROUTERS=[f"{__name__}.ElsewhereRouter"]):
        for call in (lambda chat: chat.messages(), lambda chat: chat.append(Message.user("x"))):
            with pytest.raises(ConnectionDoesNotExist, match="elsewhere"):
                call(conversation("k"))
        conversation("k", using="default").append(Message.user("x"))
    assert conversation("k").count() == 1


@pytest.mark.parametrize("call", ["append", "tail", "messages"])
def test_a_synchronous_call_in_a_coroutine_names_the_twin(call: str) -> None:
    """Django says that it is not allowed, and we say what is."""
    given = [Message.user("x")] if call == "append" else [5] if call == "tail" else []

    async def calls() -> None:
        getattr(conversation("k"), call)(*given)

    with pytest.raises(SynchronousOnlyOperation) as caught:
        asyncio.run(calls())
    assert any("await the async twin" in note for note in caught.value.__notes__)
