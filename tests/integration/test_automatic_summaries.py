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
from tests.integration.summarizers import counting

pytestmark = pytest.mark.django_db(transaction=True)


def say(chat: Conversation, *texts: str) -> None:
    chat.append(*(Message.user(text) for text in texts))


def contents(messages: list[Message]) -> list[Any]:
    return [message.content for message in messages]


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


@pytest.mark.parametrize("name", ["counting", "waiting"])
def test_a_conversation_that_grows_is_summarised_by_itself(chats, settings, name: str) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 4, "SUMMARIZER": f"tests.integration.summarizers.{name}"}
    chat = chats()
    say(chat, *"abc")
    assert chat.summaries() == []
    say(chat, "d")
    assert [made.last_seq for made in chat.summaries()] == [2]
    assert contents(chat.context(turns=9)) == [f"{SUMMARY_PREFIX}2 from a", "c", "d"]
    say(chat, "e")
    async_to_sync(chat.aappend)(Message.user("f"))
    assert [made.last_seq for made in chat.summaries()] == [2, 4]
    assert contents(chat.messages()) == list("abcdef")


def test_two_workers_at_the_threshold_make_one_summary(settings) -> None:
    """Also where the second has seen that one is due, and comes to it when the first is done."""
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 4, "SUMMARIZER": "tests.integration.summarizers.counting"}
    say(conversation("k"), *"abc")
    seen: list[int] = []

    def first(conversation: Conversation, unsummarised: int, **_said: Any) -> None:
        seen.append(unsummarised)
        if unsummarised == 4:
            say(conversation, "e")
            say(conversation, "f")

    # Receivers are called in the order they were connected: these appends are whole before the package's looks.
    signals.summary_due.disconnect(summarise_when_due)
    signals.summary_due.connect(first)
    signals.summary_due.connect(summarise_when_due)
    try:
        say(conversation("k"), "d")
    finally:
        signals.summary_due.disconnect(first)
    assert seen == [4, 5]
    assert [made.last_seq for made in conversation("k").summaries()] == [3]


def test_workers_in_threads_make_one_summary(settings) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 4, "SUMMARIZER": "tests.integration.summarizers.counting"}
    for number in range(6):
        key, together = f"k{number}", threading.Barrier(2)
        say(conversation(key), *"abc")

        def append(key: str = key, together: threading.Barrier = together) -> None:
            together.wait(20)
            say(conversation(key), "more")
            connections.close_all()

        threads = [threading.Thread(target=append) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(conversation(key).summaries()) == 1


def test_a_failing_model_does_not_fail_the_append(chats, settings, caplog) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 2, "SUMMARIZER": "tests.integration.summarizers.failing"}
    chat = chats()
    say(chat, "a", "b")
    assert contents(chat.messages()) == ["a", "b"]
    assert [record.name for record in caplog.records] == ["django.dispatch"]
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 2, "SUMMARIZER": "tests.integration.summarizers.counting"}
    say(chat, "c")
    assert [made.last_seq for made in chat.summaries()] == [2]


def test_what_is_due_is_not_known_without_the_store_and_the_append_stands(settings, caplog) -> None:
    class Forgetful(MemoryAdapter):
        def summaries(self, at: Address) -> list[Summary]:
            raise ConnectionError("gone")

    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 1}
    chat = conversation("k", adapter=Forgetful())
    say(chat, "secret")
    assert contents(chat.messages()) == ["secret"]
    assert [record.name for record in caplog.records] == ["chat_memory.history"]
    assert "secret" not in caplog.text


def test_a_threshold_alone_summarises_nothing(chats, settings) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 1}
    say(chats(), "a")
    assert chats().summaries() == []


def test_a_host_that_queues_summaries_is_told_when_one_is_due(chats, settings, due) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 3}
    chat = chats()
    say(chat, *"ab")
    assert due == []
    say(chat, *"cd")
    told = due.pop()
    assert (told["workspace"], told["key"], told["branch"], told["unsummarised"]) == ("acme", "k", "main", 4)
    told["conversation"].summarize(counting, keep=1)
    say(chat, "e")
    assert due == []
    draft = chat.fork("draft")
    say(draft, "f")
    assert [(one["branch"], one["unsummarised"]) for one in due] == [("draft", 3)]


def test_nothing_is_due_for_what_is_rolled_back(settings, due) -> None:
    settings.CHAT_MEMORY = {"SUMMARIZE_AT": 1}
    with transaction.atomic():
        say(conversation("k"), "a")
        assert due == []
        transaction.set_rollback(True)
    assert due == []
    with transaction.atomic():
        say(conversation("k"), "a")
    assert [one["unsummarised"] for one in due] == [1]


def test_without_the_settings_nothing_is_asked(due) -> None:
    say(conversation("k"), *"abcdef")
    assert due == []
