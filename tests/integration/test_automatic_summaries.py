"""Summaries made by themselves: told when one is due, made at once where the settings name a summarizer."""

import threading
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from chat_memory import Conversation, Message, Summary, conversation, signals
from chat_memory.history.automatic import summarise_when_due
from chat_memory.history.selection import SUMMARY_PREFIX
from chat_memory.records import Address
from chat_memory.storage.memory import MemoryAdapter
from tests.conversations import contents, say
from tests.integration.summarizers import counting
from tests.waiting import PATIENCE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def due() -> Any:
    """What ``summary_due`` told, without the receiver of the package."""
    told: list[dict[str, Any]] = []

    def note(**said: Any) -> None:
        told.append(said)

    assert signals.summary_due.disconnect(summarise_when_due)
    signals.summary_due.connect(note)
    yield told
    signals.summary_due.disconnect(note)
    signals.summary_due.connect(summarise_when_due)


@pytest.mark.parametrize("name", ["counting", "counting_async"])
def test_a_conversation_that_grows_is_summarised_by_itself(chats, settings, name: str) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 4, "SUMMARIZER": f"tests.integration.summarizers.{name}"}
    chat = chats()
    say(*"abc", to=chat)
    assert chat.summaries() == []
    say("d", to=chat)
    assert [made.last_seq for made in chat.summaries()] == [2]
    assert contents(chat.context(turns=9)) == [f"{SUMMARY_PREFIX}2 from a", "c", "d"]
    say("e", to=chat)
    async_to_sync(chat.aappend)(Message.user("f"))
    assert [made.last_seq for made in chat.summaries()] == [2, 4]
    assert contents(chat.messages()) == list("abcdef")


def test_two_workers_at_the_threshold_make_one_summary(settings) -> None:
    """Also where the second has seen that one is due, and comes to it when the first is done."""
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 4, "SUMMARIZER": "tests.integration.summarizers.counting"}
    say(*"abc", to=conversation("k"))
    seen: list[int] = []

    def first(conversation: Conversation, unsummarised: int, **_said: Any) -> None:
        seen.append(unsummarised)
        if unsummarised == 4:
            say("e", to=conversation)
            say("f", to=conversation)

    # Receivers are called in the order they were connected: these appends are whole before the package's looks.
    signals.summary_due.disconnect(summarise_when_due)
    signals.summary_due.connect(first)
    signals.summary_due.connect(summarise_when_due)
    try:
        say("d", to=conversation("k"))
    finally:
        signals.summary_due.disconnect(first)
    assert seen == [4, 5]
    assert [made.last_seq for made in conversation("k").summaries()] == [3]


def test_workers_in_threads_make_one_summary(settings) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 4, "SUMMARIZER": "tests.integration.summarizers.counting"}
    for number in range(6):
        key, together = f"k{number}", threading.Barrier(2)
        say(*"abc", to=conversation(key))

        def append(key: str = key, together: threading.Barrier = together) -> None:
            together.wait(PATIENCE)
            say("more", to=conversation(key))
            connections.close_all()

        threads = [threading.Thread(target=append) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert len(conversation(key).summaries()) == 1


def test_a_failing_model_does_not_fail_the_append(chats, settings, caplog) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 2, "SUMMARIZER": "tests.integration.summarizers.failing"}
    chat = chats()
    say("a", "b", to=chat)
    assert contents(chat.messages()) == ["a", "b"]
    assert [record.name for record in caplog.records] == ["django.dispatch"]
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 2, "SUMMARIZER": "tests.integration.summarizers.counting"}
    say("c", to=chat)
    assert [made.last_seq for made in chat.summaries()] == [2]


def test_what_is_due_is_not_known_without_the_store_and_the_append_stands(settings, caplog, monkeypatch) -> None:
    def gone(_at: Address) -> list[Summary]:
        raise ConnectionError("gone")

    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 1}
    adapter = MemoryAdapter()
    monkeypatch.setattr(adapter.summaries, "all", gone)
    chat = conversation("k", adapter=adapter)
    say("secret", to=chat)
    assert contents(chat.messages()) == ["secret"]
    assert [record.name for record in caplog.records] == ["chat_memory.history"]
    assert "secret" not in caplog.text


def test_a_threshold_alone_summarises_nothing(chats, settings) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 1}
    say("a", to=chats())
    assert chats().summaries() == []


def test_a_host_that_queues_summaries_is_told_when_one_is_due(chats, settings, due) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 3}
    chat = chats()
    say(*"ab", to=chat)
    assert due == []
    say(*"cd", to=chat)
    told = due.pop()
    assert (told["workspace"], told["key"], told["branch"], told["unsummarised"]) == ("acme", "k", "main", 4)
    told["conversation"].summarize(counting, keep=1)
    say("e", to=chat)
    assert due == []
    draft = chat.fork("draft")
    say("f", to=draft)
    assert [(one["branch"], one["unsummarised"]) for one in due] == [("draft", 3)]


def test_nothing_is_due_for_what_is_rolled_back(settings, due) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 1}
    with transaction.atomic():
        say("a", to=conversation("k"))
        assert due == []
        transaction.set_rollback(True)
    assert due == []
    with transaction.atomic():
        say("a", to=conversation("k"))
    assert [one["unsummarised"] for one in due] == [1]


def test_without_the_settings_nothing_is_asked(due) -> None:
    say(*"abcdef", to=conversation("k"))
    assert due == []
