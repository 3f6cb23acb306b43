"""Summaries: views of what stays; one at a time, never in a transaction, and a failure costs nothing."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test import TestCase
from django.test.utils import CaptureQueriesContext

from chat_memory import (
    Message,
    NotSupported,
    TransactionOpen,
    ValidationError,
    WindowTooSmall,
    conversation,
    signals,
)
from chat_memory.history.selection import SUMMARY_PREFIX
from chat_memory.records import Address, Budget, Slice, Span
from chat_memory.storage.contract import ALL_MESSAGES
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis import RedisAdapter
from tests.conversations import contents, say
from tests.integration.summarizers import counting, counting_async, failing

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("summarizer", [counting, counting_async], ids=["sync", "async"])
@pytest.mark.parametrize("twin", [False, True], ids=["summarize", "asummarize"])
def test_a_summary_covers_all_but_the_newest_and_changes_nothing(chats, summarizer: Any, twin: bool) -> None:
    chat = chats()
    say(*"abcde", to=chat)
    summarize: Callable[..., Any] = async_to_sync(chat.asummarize) if twin else chat.summarize
    before = chat.messages()
    made = summarize(summarizer, keep=2, model="small-1")
    assert (made.first_seq, made.last_seq, made.text, made.model) == (1, 3, "3 from a", "small-1")
    assert chat.messages() == before
    assert chat.summaries() == async_to_sync(chat.asummaries)() == [made]
    assert made.created_at.utcoffset() is not None
    assert summarize(summarizer, keep=2) is None
    say(*"fg", to=chat)
    later = summarize(summarizer, keep=1)
    assert (later.first_seq, later.last_seq, later.text) == (1, 6, f"4 from {SUMMARY_PREFIX}3 from a")
    assert chat.summaries() == [made, later]


def test_context_shows_the_newest_summary_in_place_of_what_it_covers(chats) -> None:
    chat = chats()
    chat.append(Message.system("be kind"))
    say(*"abcd", to=chat)
    chat.summarize(counting, keep=2)
    assert contents(chat.context(turns=9)) == ["be kind", f"{SUMMARY_PREFIX}3 from be kind", "c", "d"]
    assert contents(chat.context(turns=1)) == ["be kind", f"{SUMMARY_PREFIX}3 from be kind", "d"]
    assert contents(chat.context(turns=9, system=False)) == [f"{SUMMARY_PREFIX}3 from be kind", "c", "d"]
    assert contents(chat.window(turns=9)) == ["be kind", "a", "b", "c", "d"]
    chat.summarize(counting, keep=0)
    assert [message.role for message in chat.context(messages=5)] == ["system", "system"]
    assert chat.count() == 5


def test_a_turn_that_is_covered_in_part_is_shown_whole(chats) -> None:
    chat = chats()
    chat.append(Message.user("a"), Message.assistant("A"), Message.user("b"), Message.assistant("B"))
    chat.summarize(counting, keep=1)
    assert contents(chat.context(turns=9))[1:] == ["b", "B"]


def test_a_summary_counts_in_a_token_budget_or_is_left_out(chats) -> None:
    chat = chats()
    chat.append(Message.system("s", tokens=3), *(Message.user(text, tokens=10) for text in "abcd"))
    made = chat.summarize(counting, keep=1)
    assert made.tokens > 0

    def said(tokens: int) -> list[Any]:
        return [one.seq or "summary" for one in chat.context(tokens=tokens)]

    assert said(made.tokens + 13) == [1, "summary", 5]
    assert said(made.tokens + 12) == [1, 4, 5]
    assert said(13) == [1, 5]
    with pytest.raises(WindowTooSmall, match="13"):
        said(12)
    for tokens in range(13, 60):
        assert sum(one.tokens for one in chat.context(tokens=tokens)) <= tokens
        assert sum(one.tokens for one in chat.context(tokens=tokens, system=False)) <= tokens


def test_summaries_follow_the_branch_and_the_clear(chats) -> None:
    chat = chats()
    say(*"abcd", to=chat)
    made = chat.summarize(counting, keep=2)
    draft, early = chat.fork("draft"), chat.fork("early", at=1)
    assert (draft.summaries(), early.summaries()) == ([made], [])
    own = draft.summarize(counting, keep=0)
    assert (own.last_seq, chat.summaries()) == (4, [made])
    chat.truncate_after(chat.head(1)[0].id)
    assert (chat.summaries(), contents(chat.context(turns=9))) == ([], ["a"])
    draft.clear()
    assert (draft.summaries(), draft.context(turns=9)) == ([], [])


@pytest.mark.parametrize("twin", [False, True], ids=["summarize", "asummarize"])
def test_a_failing_summarizer_loses_and_blocks_nothing(chats, twin: bool) -> None:
    chat = chats()
    say(*"abc", to=chat)
    summarize: Callable[..., Any] = async_to_sync(chat.asummarize) if twin else chat.summarize
    for broken in (failing, lambda _messages: 5, lambda _messages: "  ", lambda _messages: "a\x00b"):
        with pytest.raises((ConnectionError, ValidationError)):
            summarize(broken, keep=1)
    assert (chat.summaries(), contents(chat.context(turns=9))) == ([], ["a", "b", "c"])
    assert summarize(counting, keep=1).last_seq == 2


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"keep": -1}, "keep"),
        ({"keep": True}, "keep"),
        ({"keep": 1, "summarizer": None}, "summarizer"),
        ({"keep": 1, "summarizer": "x"}, "summarizer"),
        ({"keep": 1, "model": None}, "model"),
        ({"keep": 1, "model": "x" * 256}, "model"),
        ({"keep": 1, "model": "a\x00"}, "model"),
    ],
)
def test_what_cannot_be_done_is_refused_before_the_model_is_asked(chats, arguments: Any, field: str) -> None:
    chat = chats()
    say(*"abc", to=chat)
    with pytest.raises(ValidationError) as refusal:
        chat.summarize(**{"summarizer": counting, **arguments})
    assert refusal.value.field == field
    assert chat.summarize(counting, keep=1) is not None


def test_nothing_to_cover_asks_nobody(chats) -> None:
    chat = chats()
    assert (chat.summarize(failing, keep=0), chat.summaries()) == (None, [])
    say("a", to=chat)
    assert chat.summarize(failing, keep=1) is None
    assert chat.summarize(failing, keep=99) is None


def test_of_two_workers_one_summarises(chats) -> None:
    """And meanwhile appends go on; what they bring is not covered."""
    chat = chats()
    say(*"abc", to=chat)
    asked: list[list[Any]] = []

    def summarizer(messages: list[Message]) -> str:
        asked.append(contents(messages))
        assert chats().summarize(failing, keep=1) is None
        say("d", to=chats())
        return "short"

    made = chat.summarize(summarizer, keep=1)
    assert (made.last_seq, asked) == (2, [["a", "b"]])
    assert contents(chat.context(turns=9)) == [f"{SUMMARY_PREFIX}short", "c", "d"]


def test_what_is_cleared_meanwhile_is_not_summarised(chats) -> None:
    chat = chats()
    say(*"abc", to=chat)

    def summarizer(_messages: list[Message]) -> str:
        chats().clear()
        return "they said secrets"

    assert chat.summarize(summarizer, keep=0) is None
    say("d", to=chat)
    assert (chat.summaries(), contents(chat.context(turns=9))) == ([], ["d"])


def test_a_switch_while_the_model_works_leaves_the_summary_with_its_branch(chats) -> None:
    chat = chats()
    say(*"abcd", to=chat)
    chat.fork("draft", at=1)

    def summarizer(_messages: list[Message]) -> str:
        chats().switch("draft")
        return "of main"

    assert chat.summarize(summarizer, keep=1) is not None
    assert chat.summaries() == []
    assert [kept.text for kept in chats(branch="main").summaries()] == ["of main"]
    assert chats(branch="main").summarize(lambda _messages: "again", keep=0) is not None


def test_no_transaction_is_open_while_the_model_is_asked() -> None:
    chat = conversation("k")
    say(*"abc", to=chat)

    def summarizer(_messages: list[Message]) -> str:
        assert not connection.in_atomic_block
        return "short"

    with transaction.atomic(), pytest.raises(TransactionOpen):
        chat.summarize(summarizer, keep=1)
    transaction.set_autocommit(False)
    try:
        with pytest.raises(TransactionOpen):
            chat.summarize(summarizer, keep=1)
        transaction.rollback()
    finally:
        transaction.set_autocommit(True)
    assert chat.summarize(summarizer, keep=1) is not None


def test_what_fails_while_a_summary_is_claimed_is_no_open_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = conversation("k")
    say(*"abc", to=chat)

    def fail(*_args: object, **_options: object) -> None:
        raise RecursionError

    monkeypatch.setattr("django.db.models.query.QuerySet.create", fail)
    with pytest.raises(RecursionError):
        chat.summarize(lambda _messages: "short", keep=1)


class InATestCase(TestCase):
    """The transaction that a host's TestCase opens is nobody's."""

    def test_a_summary_can_be_made(self) -> None:
        chat = conversation("k")
        say(*"abc", to=chat)
        assert chat.summarize(counting, keep=1) is not None
        assert len(chat.context(turns=9)) == 2


def test_an_async_summarizer_holds_no_thread(chats) -> None:
    """While it waits, the thread that all database work of the loop shares is free."""
    chat = chats()
    say(*"abc", to=chat)

    async def both() -> Any:
        answered = asyncio.Event()

        async def summarizer(_messages: list[Message]) -> str:
            await answered.wait()
            return "short"

        async def meanwhile() -> None:
            assert await chats().acount() == 3
            answered.set()

        made, _none = await asyncio.gather(chat.asummarize(summarizer, keep=1), meanwhile())
        return made

    assert async_to_sync(both)().text == "short"


def test_a_sync_summarizer_does_not_hold_the_thread_of_the_database(chats) -> None:
    chat = chats()
    say(*"abc", to=chat)
    answered = threading.Event()

    def summarizer(_messages: list[Message]) -> str:
        assert answered.wait(20)
        return "short"

    async def both() -> Any:
        async def meanwhile() -> None:
            assert await chats().acount() == 3
            await sync_to_async(answered.set)()

        made, _none = await asyncio.gather(chat.asummarize(summarizer, keep=1), meanwhile())
        return made

    assert async_to_sync(both)().text == "short"


def test_a_cancelled_summary_blocks_nobody(chats) -> None:
    chat = chats()
    say(*"abc", to=chat)

    async def cancelled() -> None:
        async def summarizer(_messages: list[Message]) -> str:
            task.cancel()
            await asyncio.sleep(0)
            return "too late"

        task = asyncio.ensure_future(chat.asummarize(summarizer, keep=1))
        with pytest.raises(asyncio.CancelledError):
            await task

    async_to_sync(cancelled)()
    assert chat.summarize(counting, keep=1) is not None


def test_a_store_that_fails_before_the_model_is_asked_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = MemoryAdapter()
    read = adapter.messages.read

    def failing_read(at: Address, span: Span = ALL_MESSAGES) -> Slice:
        if span.before is not None:
            raise ConnectionError("gone")
        return read(at, span)

    chat = conversation("k", adapter=adapter)
    say(*"abc", to=chat)
    with monkeypatch.context() as patched:
        patched.setattr(adapter.messages, "read", failing_read)
        with pytest.raises(ConnectionError):
            chat.summarize(counting, keep=1)
    assert chat.summarize(counting, keep=1) is not None


def test_a_summary_of_what_is_cleared_meanwhile_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the read of the summary and that of the window."""
    adapter = MemoryAdapter()
    window = adapter.messages.window

    def cleared_before(at: Address, budget: Budget) -> Slice:
        adapter.messages.clear(at)
        return window(at, budget)

    monkeypatch.setattr(adapter.messages, "window", cleared_before)
    chat = conversation("k", adapter=adapter)
    say(*"abc", to=chat)
    assert chat.summarize(counting, keep=1) is not None
    assert chat.context(turns=9) == []


def test_a_kept_summary_is_told(chats) -> None:
    told: list[dict[str, Any]] = []

    def note(signal: Any, sender: Any, **said: Any) -> None:
        told.append(said)

    signals.summary_kept.connect(note)
    try:
        say(*"abc", to=chats())
        chats().summarize(counting, keep=1)
        chats().summarize(counting, keep=1)
    finally:
        signals.summary_kept.disconnect(note)
    assert [(one["branch"], one["first_seq"], one["last_seq"]) for one in told] == [("main", 1, 2)]


def test_a_back_end_without_summaries_says_so(redis_client) -> None:
    chat = conversation("k", adapter=RedisAdapter(redis_client))
    say(*"abc", to=chat)
    with pytest.raises(NotSupported):
        chat.summaries()
    with pytest.raises(NotSupported):
        chat.summarize(counting, keep=1)


def test_a_context_costs_two_statements() -> None:
    """What was said so far, and the window; however many summaries there are."""
    chat = conversation("two", "acme")
    chat.append(*(Message.user(str(number)) for number in range(6)))
    for keep in (None, 4, 2):
        if keep is not None:
            chat.summarize(lambda messages: f"{len(messages)} messages", keep=keep)
        with CaptureQueriesContext(connection) as queries:
            shown = conversation("two", "acme").context(turns=9)
        assert len(queries) == 2
        assert len(shown) == (6 if keep is None else keep + 1)
