"""Streaming over a real database: what is written on the way, what becomes of it, and what others see meanwhile."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from chat_memory import (
    DraftNotFound,
    NotSupported,
    TransactionOpen,
    conversation,
)
from chat_memory.exceptions import NotOwner
from chat_memory.history.streaming import Streaming
from chat_memory.models import Draft
from chat_memory.records import NewDraft
from chat_memory.storage.redis import RedisAdapter
from tests.conversations import all_contents, chat, say
from tests.integration.streams import broken_off, states
from tests.rollback import undone

pytestmark = pytest.mark.django_db(transaction=True)


class StillClock:
    """A clock that goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def streamed(clock: StillClock, **bounds: Any) -> Streaming:
    """A stream by a clock that is handed in; the conversation gives it no other."""
    return Streaming(chat().place, NewDraft("a", "assistant"), clock=clock, **bounds)


def test_a_stream_becomes_a_message_like_any_other() -> None:
    say("q")
    with chat().streaming(id="a", name="Bot", metadata={"model": "m-1"}) as stream:
        for chunk in ("Hel", "lo", ", wörld \U0001f600"):
            stream.write(chunk)
        assert (stream.id, stream.message) == ("a", None)
        stored = stream.finish(usage={"total_tokens": 7}, metadata={"x": 1}, extra={"refusal": None, "z": 1})
    assert stored == stream.message == chat().messages()[-1]
    assert (stored.seq, stored.id, stored.role, stored.name, stored.state) == (2, "a", "assistant", "Bot", "complete")
    assert stored.content == "Hello, wörld \U0001f600"
    assert stored.metadata == {"model": "m-1", "x": 1, "usage": {"total_tokens": 7}}
    assert stored.extra == {"refusal": None, "z": 1}
    assert (Draft.objects.count(), chat().drafts.entries()) == (0, [])


def test_a_block_that_ends_is_complete_without_finish() -> None:
    with chat("new").streaming() as stream:
        stream.write("hello")
    assert stream.message is not None
    assert [(m.content, m.id) for m in chat("new").messages()] == [("hello", stream.id)]


def test_tool_calls_at_the_end_need_no_text() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    with chat().streaming() as stream:
        stream.finish(tool_calls=calls)
    (message,) = chat().messages()
    assert (message.content, message.tool_calls) == (None, calls)


def test_others_read_it_while_it_grows_and_no_version_moves() -> None:
    version = say("q")
    with chat().streaming(id="a") as stream:
        (listed,) = chat().drafts.entries()
        assert (listed.id, listed.role, listed.state, listed.length) == ("a", "assistant", "streaming", 0)
        stream.write("Hello")
        stream.flush()
        seen = chat().drafts.get("a")
        assert (seen.text, seen.length, seen.state, seen.seq) == ("Hello", 5, "streaming", None)
        stream.write(" wörld")
        stream.flush()
        assert chat().drafts.get("a", after=seen.length).text == " wörld"
        assert chat().drafts.get("a", after=10**15).text == ""
        assert all_contents() == ["q"]
        session = chat().session()
        assert session is not None
        assert session.version == version
    end = chat().drafts.get("a", after=5)
    assert (end.text, end.length, end.state, end.seq) == (" wörld", 11, "complete", 2)
    assert chat().session().version == version + 1  # type: ignore[union-attr]
    for unknown in ("b", "\x00"):
        with pytest.raises(DraftNotFound):
            chat().drafts.get(unknown)
        with pytest.raises(DraftNotFound):
            chat().drafts.stop(unknown)


def test_a_stop_reaches_the_writer_within_a_flush() -> None:
    say("q")
    with chat().streaming(id="a") as stream:
        stream.write("So far")
        assert not stream.stopped
        assert chat().drafts.stop("a") is True
        assert not stream.stopped
        stream.flush()
        assert stream.stopped
    assert states() == [("q", "complete"), ("So far", "stopped")]
    assert chat().drafts.stop("a") is False
    assert chat().drafts.get("a").state == "stopped"


def test_a_writer_that_does_not_look_is_complete() -> None:
    with chat().streaming(id="a") as stream:
        chat().drafts.stop("a")
        stream.flush()
        stream.write("all of it")
    assert states() == [("all of it", "complete")]


def test_a_stopped_writer_still_says_what_it_used() -> None:
    with chat().streaming(id="a") as stream:
        chat().drafts.stop("a")
        stream.flush()
        assert stream.stopped
        stream.finish(usage={"n": 1})
    (message,) = chat().messages()
    assert (message.state, message.metadata) == ("stopped", {"usage": {"n": 1}})


def test_an_error_keeps_what_was_written_and_goes_on() -> None:
    say("q")
    broken_off("So ", "far")
    assert states() == [("q", "complete"), ("So far", "failed")]
    assert Draft.objects.count() == 0
    assert [m.content for m in chat().window(turns=1)] == ["q", "So far"]


def test_what_broke_off_before_its_first_word_is_no_part_of_a_prompt() -> None:
    say("q")
    broken_off()
    assert states()[-1] == ("", "failed")
    assert [m.content for m in chat().window(turns=1)] == ["q"]


def test_a_generator_whose_reader_goes_is_broken_off() -> None:
    def answer() -> Iterator[str]:
        with chat().streaming() as stream:
            for chunk in "abc":
                stream.write(chunk)
                yield chunk

    reader: Any = answer()
    assert [next(reader), next(reader)] == ["a", "b"]
    reader.close()
    assert states() == [("ab", "failed")]


async def cancelled_in(block: Any) -> None:
    """A task that streams is cancelled once its first chunk is written."""
    reached = asyncio.Event()
    task = asyncio.create_task(block(reached))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_task_that_is_cancelled_is_broken_off() -> None:
    async def stream(reached: asyncio.Event) -> None:
        async with chat().streaming(id="a") as stream:
            await stream.awrite("So far")
            await stream.aflush()
            reached.set()
            await asyncio.Event().wait()

    async_to_sync(cancelled_in)(stream)
    assert states() == [("So far", "failed")]
    assert Draft.objects.count() == 0


def test_a_task_that_is_cancelled_while_it_ends_ends() -> None:
    """The work in the thread goes on to its end, and only then the cancellation does."""

    async def stream(reached: asyncio.Event) -> None:
        async with chat().streaming(id="a") as stream:
            await stream.awrite("all of it")
            asyncio.get_running_loop().call_soon(reached.set)

    with contextlib.suppress(asyncio.CancelledError):
        async_to_sync(cancelled_in)(stream)
    assert states() == [("all of it", "complete")]


def test_an_asynchronous_generator_that_is_closed_is_broken_off() -> None:
    async def answer() -> AsyncIterator[str]:
        async with chat().streaming() as stream:
            for chunk in "abc":
                await stream.awrite(chunk)
                yield chunk

    async def read() -> None:
        reader: Any = answer()
        assert await anext(reader) == "a"
        await reader.aclose()

    async_to_sync(read)()
    assert states() == [("a", "failed")]


def test_async_twins_do_the_same() -> None:
    async def stream() -> Any:
        async with chat().streaming(id="a") as stream:
            await stream.awrite("Hel")
            await stream.aflush()
            seen = [await chat().drafts.aget("a"), *await chat().drafts.aentries()]
            stopped = await chat().drafts.astop("a")
            await stream.awrite("lo")
            return seen, stopped, await stream.afinish(usage={"n": 1})

    (got, listed), stopped, message = async_to_sync(stream)()
    assert (got.text, listed.text, listed.length, stopped) == ("Hel", "", 3, True)
    assert (message.content, message.metadata) == ("Hello", {"usage": {"n": 1}})


def test_a_chunk_that_is_not_flushed_needs_no_hop_and_no_statement() -> None:
    async def stream() -> int:
        async with chat().streaming(id="a", flush_seconds=60) as stream:
            for _chunk in range(1_000):
                coroutine: Any = stream.awrite("x")
                with pytest.raises(StopIteration):
                    coroutine.send(None)
        return len(stream.text)

    assert async_to_sync(stream)() == 1_000
    assert states() == [("x" * 1_000, "complete")]


def test_a_flush_is_one_statement() -> None:
    with chat().streaming() as stream:
        stream.write("x")
        with CaptureQueriesContext(connection) as asked:
            stream.flush()
    assert len(asked) == 1


def test_a_thousand_chunks_are_ten_writes_a_second_at_most() -> None:
    """Two seconds of a model that is faster than the bounds, by the clock of this test."""
    clock = StillClock()
    moments: list[float] = []
    with CaptureQueriesContext(connection) as asked, streamed(clock, seconds=0.125, size=1) as stream:
        for _chunk in range(1_000):
            clock.now += 0.002
            before = len(asked)
            stream.write("chunk ")
            moments += [clock.now] * (len(asked) - before)
    assert 10 <= len(moments) <= 16
    assert all(later - earlier >= 0.125 for earlier, later in pairwise(moments))
    assert all_contents() == ["chunk " * 1_000]


def test_a_draft_stays_on_its_branch() -> None:
    say("q")
    chat().fork("b", at=1)
    with chat().streaming(id="a") as stream:
        chat().switch("b")
        stream.write("on main")
        stream.flush()
        assert chat().drafts.get("a").branch == "main"
        assert chat(branch="b").drafts.stop("a")
    assert all_contents(chat(branch="main")) == ["q", "on main"]
    assert all_contents() == ["q"]
    with chat().streaming() as stream:
        stream.write("on b")
    assert all_contents() == ["q", "on b"]


def test_nothing_is_streamed_inside_of_a_transaction() -> None:
    """Nobody would see it, and a rollback would take what the writer takes for written."""
    with transaction.atomic(), pytest.raises(TransactionOpen), chat().streaming():
        pass
    with chat().streaming() as stream:
        stream.write("x")
        with transaction.atomic(), pytest.raises(TransactionOpen):
            stream.flush()
    assert all_contents() == ["x"]


def test_a_conversation_of_somebody_else_shows_and_takes_no_drafts() -> None:
    mine, other = chat(user="anna"), chat(user="ben")
    with mine.streaming(id="a") as stream:
        stream.write("secret")
        stream.flush()
        for call in (other.drafts.entries, lambda: other.drafts.get("a"), lambda: other.drafts.stop("a")):
            with pytest.raises(NotOwner):
                call()
        with pytest.raises(NotOwner), other.streaming():
            pass
    assert chat("k", "other").drafts.entries() == []


def test_a_stop_that_is_rolled_back_reaches_nobody() -> None:
    with chat().streaming(id="a") as stream:
        with undone():
            chat().drafts.stop("a")
        stream.flush()
        assert not stream.stopped


def test_a_back_end_without_drafts_says_so(redis_client: Any) -> None:
    bare = conversation("k", adapter=RedisAdapter(redis_client))
    for call in (bare.drafts.entries, bare.streaming().__enter__):
        with pytest.raises(NotSupported, match="keeps no drafts"):
            call()


def test_a_stop_from_another_thread_reaches_a_task() -> None:
    async def stream() -> str:
        async with chat().streaming(id="a") as stream:
            await sync_to_async(chat().drafts.stop)("a")
            while not stream.stopped:
                await stream.awrite("x")
                await stream.aflush()
        return stream.message.state if stream.message else ""

    assert async_to_sync(stream)() == "stopped"
