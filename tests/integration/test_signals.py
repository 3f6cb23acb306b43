"""Signals: each committed change is told once, whoever made it; a rollback and a replay are not."""

import io
from collections.abc import Iterator
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
from chat_memory.history.conversation import Conversation
from chat_memory.maintenance import retention
from chat_memory.models import Session
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis import RedisAdapter
from tests.acceptance.command_line import write

pytestmark = pytest.mark.django_db(transaction=True)

SIGNALS = {name: found for name, found in vars(signals).items() if isinstance(found, Signal)}


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
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


class Undone(Exception):
    """Raised to roll back."""


def named(key: str, **said: Any) -> dict[str, Any]:
    return {"workspace": "acme", "key": key, "branch": "main", "using": "default", **said}


def names(told: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _said in told]


@pytest.mark.parametrize("cache", ["off", "strict", "bounded"])
def test_every_change_is_told_once_whatever_the_cache(told, settings, cache: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": cache}
    chat = conversation("k", "acme")
    chat.append(Message.user("Hi", id="1"), Message.assistant("Hello!", id="2"))
    chat.update(title="Greeting", pinned=True)
    chat.clear()
    chat.delete()
    assert told == [
        ("session_created", named("k", version=1)),
        ("messages_appended", named("k", version=1, count=2, last_seq=2)),
        ("session_updated", named("k", version=2, fields=("title", "pinned"))),
        ("session_cleared", named("k", version=3)),
        ("session_deleted", named("k")),
    ]


def test_what_changes_nothing_is_not_told(told) -> None:
    """Replays, an open of what is there, a clear of nothing, a delete of nothing, refusals."""
    chat = conversation("k", "acme")
    chat.open(title="t")
    assert told == [("session_created", named("k", version=1))]
    chat.append(Message.user("x", id="1"))
    del told[:]
    chat.append(Message.user("x", id="1"))
    chat.append()
    chat.open(title="other")
    conversation("unknown", "acme").clear()
    assert not conversation("unknown", "acme").delete()
    with pytest.raises(ValueError, match="role"):
        chat.append(Message("robot", "x"))
    assert told == []
    chat.append(Message.user("x", id="1"), Message.user("y", id="2"))
    assert told == [("messages_appended", named("k", version=3, count=1, last_seq=2))]


def test_a_rollback_is_never_told_and_a_commit_not_before_it(told) -> None:
    with suppress(Undone), transaction.atomic():
        conversation("k", "acme").append(Message.user("x"))
        raise Undone
    assert told == []
    with transaction.atomic():
        conversation("k", "acme").append(Message.user("x"))
        assert told == []
    assert names(told) == ["session_created", "messages_appended"]


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


def test_a_failing_receiver_is_logged_and_breaks_nothing(told, caplog) -> None:
    def fail(**_said: Any) -> None:
        raise RuntimeError("no such address")

    with listening(fail):
        receipt = conversation("k", "acme").append(Message.user("secret"))
    assert receipt.last_seq == 1
    assert names(told) == ["session_created", "messages_appended"]
    assert [record.name for record in caplog.records] == ["django.dispatch"] * 2
    assert "secret" not in caplog.text


async def test_async_callers_and_async_receivers(told) -> None:
    heard: list[int] = []

    async def receive(count: int = 0, **_said: Any) -> None:
        heard.append(count)

    with listening(receive):
        await conversation("k", "acme").aappend(Message.user("x"))
    assert names(told) == ["session_created", "messages_appended"]
    assert heard == [0, 1]


def test_several_conversations_at_once(told) -> None:
    a, b = conversation("a", "acme"), conversation("b", "acme")
    b.open()
    del told[:]
    append_many({a: [Message.user("x")], b: [Message.user("x"), Message.user("y")]})
    assert told == [
        ("session_created", named("a", version=1)),
        ("messages_appended", named("a", version=1, count=1, last_seq=1)),
        ("messages_appended", named("b", version=2, count=2, last_seq=2)),
    ]


def test_the_import_and_the_cleanup_tell_too(told, tmp_path) -> None:
    line = {"key": "k", "messages": [{"role": "user", "content": "x"}]}
    path = write(tmp_path / "chats.jsonl", line)
    for _ in range(2):
        call_command("chat_memory_import", str(path), workspace="acme", stdout=io.StringIO(), stderr=io.StringIO())
    assert told == [
        ("session_created", named("k", version=1)),
        ("messages_appended", named("k", version=2, count=1, last_seq=1)),
    ]
    del told[:]
    Session.objects.filter(key="k", workspace__slug="acme").update(updated_at=datetime.now(UTC) - timedelta(days=9))
    assert retention.clean_up(days=8).sessions == 1
    assert told == [("session_deleted", named("k"))]


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_other_back_ends_tell_as_well(told, redis_client: Redis, kind: str) -> None:
    adapter = MemoryAdapter() if kind == "memory" else RedisAdapter(redis_client)
    chat = conversation("k", "acme", adapter=adapter)
    chat.append(Message.user("x", id="1"))
    chat.append(Message.user("x", id="1"), Message.user("y"), Message.user("z"))
    assert [(name, said.get("count"), said["using"]) for name, said in told] == [
        ("session_created", None, None),
        ("messages_appended", 1, None),
        ("messages_appended", 2, None),
    ]


def test_nothing_is_registered_when_nobody_listens(settings) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    with transaction.atomic():
        chat = conversation("k", "acme")
        chat.append(Message.user("x"))
        chat.delete()
        assert connection.run_on_commit == []


def test_nothing_is_looked_up_when_nobody_listens() -> None:
    """The names of what a cleanup removes are asked for only where somebody wants them."""

    def statements() -> int:
        conversation("k", "acme").append(Message.user("x"))
        Session.objects.filter(key="k", workspace__slug="acme").update(updated_at=datetime.now(UTC) - timedelta(days=9))
        with CaptureQueriesContext(connection) as asked:
            retention.clean_up(days=8)
        return len(asked)

    alone = statements()

    def hear(**_said: Any) -> None:
        pass

    with listening(hear):
        assert statements() == alone + 1
