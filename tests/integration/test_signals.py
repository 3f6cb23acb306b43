"""Signals: each committed change is told once, whoever made it; a rollback and a replay are not."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.dispatch import Signal
from django.test.utils import CaptureQueriesContext
from redis import Redis

from chat_memory import Message, append_many, conversation, signals
from chat_memory.history import announcing, automatic
from chat_memory.history.conversation import Conversation
from chat_memory.maintenance import retention
from chat_memory.models import Session
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis import RedisAdapter
from tests.acceptance.command_line import write
from tests.rollback import Undone
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)

SIGNALS = {name: found for name, found in vars(signals).items() if isinstance(found, Signal)}


@pytest.fixture
def signals_sent() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Every signal sent while the test runs, by name, with what it carries."""
    seen: list[tuple[str, dict[str, Any]]] = []
    names = {id(signal): name for name, signal in SIGNALS.items()}

    def note(signal: Signal, sender: object, **said: Any) -> None:
        assert sender is Conversation
        seen.append((names[id(signal)], said))

    with listening(note):
        yield seen


@contextmanager
def listening(receiver: Any) -> Iterator[None]:
    """A receiver of every signal."""
    for signal in SIGNALS.values():
        signal.connect(receiver)
    try:
        yield
    finally:
        for signal in SIGNALS.values():
            signal.disconnect(receiver)


def named(key: str, **said: Any) -> dict[str, Any]:
    return {"workspace": "acme", "key": key, "branch": "main", "using": "default", **said}


def let_idle(key: str) -> None:
    """Have the newest message of a conversation be nine days old."""
    then = datetime.now(UTC) - timedelta(days=9)
    rows = Session.objects.filter(key=key, workspace__slug="acme")
    rows.update(created_at=then, updated_at=then, active_at=then, listed_at=then)


def signal_names(signals_sent: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _said in signals_sent]


@pytest.mark.parametrize("cache", ["off", "strict", "bounded"])
def test_every_change_is_told_once_whatever_the_cache(signals_sent, settings, cache: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": cache}
    chat = conversation("k", "acme")
    chat.append(Message.user("Hi", id="1"), Message.assistant("Hello!", id="2"))
    chat.update(title="Greeting", pinned=True)
    chat.clear()
    chat.delete()
    assert signals_sent == [
        ("session_created", named("k", version=1)),
        ("messages_appended", named("k", version=1, count=2, last_seq=2)),
        ("session_updated", named("k", version=2, fields=("title", "pinned"))),
        ("session_cleared", named("k", version=3)),
        ("session_deleted", named("k")),
    ]


def test_what_changes_nothing_is_not_told(signals_sent) -> None:
    """Replays, an open of what is there, a clear of nothing, a delete of nothing, refusals."""
    chat = conversation("k", "acme")
    chat.open(title="t")
    assert signals_sent == [("session_created", named("k", version=1))]
    chat.append(Message.user("x", id="1"))
    del signals_sent[:]
    chat.append(Message.user("x", id="1"))
    chat.append()
    chat.open(title="other")
    conversation("unknown", "acme").clear()
    assert not conversation("unknown", "acme").delete()
    with pytest.raises(ValueError, match="role"):
        chat.append(Message("robot", "x"))
    assert signals_sent == []
    chat.append(Message.user("x", id="1"), Message.user("y", id="2"))
    assert signals_sent == [("messages_appended", named("k", version=3, count=1, last_seq=2))]


def test_a_rollback_is_never_told_and_a_commit_not_before_it(signals_sent) -> None:
    with suppress(Undone), transaction.atomic():
        conversation("k", "acme").append(Message.user("x"))
        raise Undone
    assert signals_sent == []
    with transaction.atomic():
        conversation("k", "acme").append(Message.user("x"))
        assert signals_sent == []
    assert signal_names(signals_sent) == ["session_created", "messages_appended"]


def test_a_receiver_reads_what_was_appended() -> None:
    """The signal carries no content; it says where to read."""
    read: list[Any] = []

    def receive(workspace: str, key: str, count: int, last_seq: int, **_said: Any) -> None:
        read.extend(message.content for message in conversation(key, workspace).since(last_seq - count))

    signals.messages_appended.connect(receive)
    try:
        chat = conversation("k", "acme")
        chat.append(Message.user("one"))
        chat.append(Message.user("two"), Message.user("three"))
    finally:
        signals.messages_appended.disconnect(receive)
    assert read == ["one", "two", "three"]


def test_a_failing_receiver_is_logged_and_breaks_nothing(signals_sent, caplog) -> None:
    def fail(**_said: Any) -> None:
        raise RuntimeError("no such address")

    with listening(fail):
        receipt = conversation("k", "acme").append(Message.user("secret"))
    assert receipt.last_seq == 1
    assert signal_names(signals_sent) == ["session_created", "messages_appended"]
    assert [record.name for record in caplog.records] == ["django.dispatch"] * 2
    assert "secret" not in caplog.text


async def test_async_callers_and_async_receivers(signals_sent) -> None:
    heard: list[int] = []

    async def receive(count: int = 0, **_said: Any) -> None:
        heard.append(count)

    with listening(receive):
        await conversation("k", "acme").aappend(Message.user("x"))
    assert signal_names(signals_sent) == ["session_created", "messages_appended"]
    assert heard == [0, 1]


def test_several_conversations_at_once(signals_sent) -> None:
    a, b = conversation("a", "acme"), conversation("b", "acme")
    b.open()
    del signals_sent[:]
    append_many({a: [Message.user("x")], b: [Message.user("x"), Message.user("y")]})
    assert signals_sent == [
        ("session_created", named("a", version=1)),
        ("messages_appended", named("a", version=1, count=1, last_seq=1)),
        ("messages_appended", named("b", version=2, count=2, last_seq=2)),
    ]


def test_the_import_and_the_cleanup_tell_too(signals_sent, tmp_path) -> None:
    line = {"key": "k", "messages": [{"role": "user", "content": "x"}]}
    path = write(tmp_path / "chats.jsonl", line)
    for _ in range(2):
        call_command("chat_memory_import", str(path), workspace="acme", stdout=io.StringIO(), stderr=io.StringIO())
    assert signals_sent == [
        ("session_created", named("k", version=1)),
        ("messages_appended", named("k", version=1, count=1, last_seq=1)),
    ]
    del signals_sent[:]
    let_idle("k")
    assert retention.clean_up(days=8).sessions == 1
    assert signals_sent == [("session_deleted", named("k"))]


def test_an_import_tells_of_each_branch(signals_sent, tmp_path) -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("a"), Message.assistant("b"))
    chat.fork("draft", at=1).append(Message.user("c"))
    chat.fork("bare")
    path = str(tmp_path / "chats.jsonl")
    streams = {"stdout": io.StringIO(), "stderr": io.StringIO()}
    call_command("chat_memory_export", path, workspace="acme", **streams)
    del signals_sent[:]
    call_command("chat_memory_import", path, workspace="globex", **streams)
    sent = [(name, said["branch"], said.get("fork_seq"), said.get("last_seq")) for name, said in signals_sent]
    assert sorted(sent, key=str) == [
        ("branch_forked", "bare", 2, None),
        ("branch_forked", "draft", 1, None),
        ("messages_appended", "draft", None, 2),
        ("messages_appended", "main", None, 2),
        ("session_created", "main", None, None),
    ]


@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
def test_every_end_of_a_conversation_is_told_once(signals_sent, way: str) -> None:
    """And not for each of its branches."""
    conversation("k", "acme").append(Message.user("x"))
    conversation("k", "acme").fork("draft")
    del signals_sent[:]
    (WAYS | WAYS_OF_A_WORKSPACE)[way](Session.objects.get(key="k", branch="main"))
    assert signals_sent == [("session_deleted", named("k"))]


def test_the_end_of_a_branch_is_told_by_its_name(signals_sent) -> None:
    conversation("k", "acme").append(Message.user("x"))
    conversation("k", "acme").fork("draft").delete()
    assert signals_sent[-1] == ("session_deleted", named("k") | {"branch": "draft"})


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_other_back_ends_tell_as_well(signals_sent, redis_client: Redis, kind: str) -> None:
    adapter = MemoryAdapter() if kind == "memory" else RedisAdapter(redis_client)
    chat = conversation("k", "acme", adapter=adapter)
    chat.append(Message.user("x", id="1"))
    chat.append(Message.user("x", id="1"), Message.user("y"), Message.user("z"))
    assert [(name, said.get("count"), said["using"]) for name, said in signals_sent] == [
        ("session_created", None, None),
        ("messages_appended", 1, None),
        ("messages_appended", 2, None),
    ]


def test_nothing_is_sent_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object, **_arguments: object) -> None:
        pytest.fail("a signal is sent that has no receiver")

    monkeypatch.setattr(announcing, "send", refuse)
    monkeypatch.setattr(automatic, "on_settings", refuse)
    chat = conversation("k", "acme")
    chat.append(Message.user("x"))
    chat.fork("draft")
    chat.delete()


CHANGES: dict[str, Callable[[Conversation], object]] = {
    "append": lambda chat: chat.append(Message.user("x")),
    "fork": lambda chat: chat.fork("other"),
    "fork at nothing": lambda chat: chat.fork("other", at=0),
    "switch": lambda chat: chat.switch("draft"),
    "edit": lambda chat: chat.edit(1, "y"),
    "clear": lambda chat: chat.clear(),
    "delete": lambda chat: chat.delete(),
    "cleanup": lambda _chat: retention.clean_up(days=8),
}


@pytest.mark.parametrize("name", CHANGES)
def test_who_listens_changes_no_statement(name: str) -> None:
    """What a call does to the database must not depend on who hears of it."""

    def statements(key: str) -> list[str]:
        chat = conversation(key, "acme")
        chat.append(Message.user("x"))
        chat.fork("draft")
        let_idle(key)
        with CaptureQueriesContext(connection) as asked:
            CHANGES[name](conversation(key, "acme"))
        return [query["sql"].split()[0] for query in asked]

    alone = statements("a")

    def hear(**_said: Any) -> None:
        pass

    with listening(hear):
        assert statements("b") == alone
