"""Summaries, branches and memories in front of a history: what the patterns of the documents get wrong."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync

from chat_memory.exceptions import ValidationError
from chat_memory.flow import (
    BranchableHistory,
    CachedHistory,
    InMemoryChatHistory,
    LazyHistory,
    Message,
    SummarizingHistory,
)
from tests.acceptance.seeds.flow_world import CALL, CustomHistory, database_history, texts_of
from tests.cache.caching import statements

pytestmark = pytest.mark.django_db


async def test_a_summarizer_ships() -> None:
    """N44: with all four methods, and any of the forms a summarizer may have."""
    for summarizer in (lambda messages: "short", _Summarizer(), _summarized):
        history = SummarizingHistory(InMemoryChatHistory(), summarizer, max_messages=2)
        await history.add_messages([Message.user("1"), Message.user("2"), Message.user("3")])
        assert await texts_of(history) == ["Previous conversation summary: short", "2", "3"]
        assert history.summary == "short"
        await history.clear()
        assert await history.get_messages() == []
        assert history.summary is None
    for bad in (1, -1, 1.5):
        with pytest.raises(ValueError, match="max_messages"):
            SummarizingHistory(InMemoryChatHistory(), _summarized, max_messages=bad)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="summarizer_node"):
        SummarizingHistory(InMemoryChatHistory(), object())


class _Summarizer:
    async def summarize(self, messages: list[Message]) -> str:
        return "short"


async def _summarized(messages: list[Message]) -> str:
    return "short"


@pytest.mark.parametrize("size", [2, 3, 10])
async def test_a_summary_loses_nothing(any_history: Any, size: int) -> None:
    """N45: the originals stay, and each is either covered once or shown."""
    covered: list[Any] = []

    def summarizer(messages: list[Message]) -> str:
        covered.extend(message.content for message in messages if message.role == "user")
        return f"{len(covered)} so far"

    summarizing = SummarizingHistory(any_history, summarizer, max_messages=size)
    for number in range(3 * size):
        await summarizing.add_message(Message.user(f"{number}"))
    said = [f"{number}" for number in range(3 * size)]
    assert await texts_of(any_history) == said
    summary, *rest = await texts_of(summarizing)
    assert covered + rest == said
    assert summary == f"Previous conversation summary: {len(covered)} so far"
    assert len(rest) <= size


async def test_what_arrives_while_a_summary_is_made_keeps_its_place(any_history: Any) -> None:
    """N45."""

    async def summarizer(messages: list[Message]) -> str:
        await any_history.add_message(Message.user("arrives meanwhile"))
        return "short"

    summarizing = SummarizingHistory(any_history, summarizer, max_messages=4)
    await summarizing.add_messages([Message.user(f"{number}") for number in range(5)])
    assert (await texts_of(summarizing))[-3:] == ["3", "4", "arrives meanwhile"]
    assert await texts_of(any_history) == ["0", "1", "2", "3", "4", "arrives meanwhile"]


async def test_a_summary_keeps_the_system_prompt_and_whole_turns(any_history: Any) -> None:
    """N45, N37."""
    summarizing = SummarizingHistory(any_history, lambda messages: "short", max_messages=4)
    await summarizing.add_messages([Message.system("Be brief."), Message.user("1"), Message.assistant("2")])
    await summarizing.add_messages(
        [
            Message.user("3"),
            Message.assistant(None, tool_calls=[CALL]),
            Message.tool("found", tool_call_id="c1"),
            Message.assistant("4"),
        ]
    )
    assert await texts_of(summarizing) == [
        *("Be brief.", "Previous conversation summary: short", "3", None, "found", "4"),
    ]


async def test_a_summarizer_that_fails_costs_no_message(any_history: Any, caplog: pytest.LogCaptureFixture) -> None:
    """N45: the next message tries again."""
    answers = iter([OSError("down"), "", "short"])

    def summarizer(messages: list[Message]) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    summarizing = SummarizingHistory(any_history, summarizer, max_messages=2)
    for number in range(5):
        await summarizing.add_message(Message.user(f"{number}"))
    assert await texts_of(any_history) == ["0", "1", "2", "3", "4"]
    assert (await texts_of(summarizing))[0] == "Previous conversation summary: short"
    assert [record.message[:32] for record in caplog.records] == [
        "a summary could not be made (OSE",
        "a summary could not be made (Val",
    ]


async def test_a_summary_of_ones_own_goes_with_what_it_covered() -> None:
    """N45: where the store has none, and somebody else clears it."""
    base = CustomHistory()
    summarizing = SummarizingHistory(base, lambda messages: "short", max_messages=2)
    await summarizing.add_messages([Message.user(f"{number}") for number in range(5)])
    await base.clear()
    await base.add_message(Message.user("new"))
    assert await texts_of(summarizing) == ["new"]


async def test_a_remembered_summary_can_be_asked_for_twice(any_history: Any) -> None:
    """N46: and one session's is forgotten without the others'."""
    made = 0

    async def summarizer(messages: list[Message]) -> str:
        nonlocal made
        made += 1
        return f"{len(messages)}"

    cached = CachedHistory(any_history, summarizer)
    await any_history.add_message(Message.user("x"))
    assert [await cached.get_cached_summary("s") for _ in range(2)] == ["1", "1"]
    await any_history.add_message(Message.user("by another object"))
    assert (await cached.get_cached_summary("s"), made) == ("2", 2)
    with pytest.raises(NotImplementedError):
        await CachedHistory(any_history).get_cached_summary("s")


async def test_branches_are_rows_and_main_is_there_from_the_start() -> None:
    """N47: before anything is stored, after a restart, and a merge adds what was said, once."""
    history = BranchableHistory(database_history())
    await history.create_branch("idea")
    await history.switch_branch("idea")
    await history.add_messages([Message.user("1"), Message.assistant("2")])
    restarted = BranchableHistory(database_history())
    assert await restarted.list_branches() == ["main", "idea"]
    for _ in range(2):
        await restarted.merge_branches("idea", "main")
    assert await texts_of(restarted) == ["1", "2"]


async def test_two_lazy_histories_do_not_drift_apart(any_history: Any) -> None:
    """N48."""
    a, b = LazyHistory(any_history), LazyHistory(any_history)
    await a.add_message(Message.user("1"))
    assert (await texts_of(a), await texts_of(b)) == (["1"], ["1"])
    await b.add_message(Message.user("2"))
    assert (await texts_of(a), await texts_of(b)) == (["1", "2"], ["1", "2"])
    await any_history.clear()
    assert (await texts_of(a), await texts_of(b)) == ([], [])


def test_a_lazy_history_reads_again_only_what_has_changed() -> None:
    """N48, S0.38."""
    base = database_history()
    lazy = LazyHistory(base)
    async_to_sync(base.add_message)(Message.user("1"))
    first = statements(async_to_sync(lazy.get_messages))
    again = statements(async_to_sync(lazy.get_messages))
    assert (len(first), len(again)) == (2, 1)
    async_to_sync(lazy.get_messages)().clear()
    assert async_to_sync(texts_of)(lazy) == ["1"]
