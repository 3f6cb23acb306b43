"""Windows and contexts of a conversation: what a model is shown, over both back ends."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from hypothesis import given, strategies as st

from chat_memory import Conversation, Message, ValidationError, conversation
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.redis import RedisAdapter
from tests.conversations import positions
from tests.histories import calling, histories, refused, without_system

pytestmark = pytest.mark.django_db(transaction=True)

TALK = [
    Message.system("be kind", tokens=5),
    Message.user("one", tokens=10),
    Message.assistant("1", tokens=10),
    Message.user("two", tokens=10),
    calling("c1", "c2", tokens=10),
    Message.tool("a", tool_call_id="c1", tokens=10),
    Message.tool("b", tool_call_id="c2", tokens=10),
    Message.assistant("2", tokens=10),
    Message.user("three", tokens=10),
    Message.assistant("3", tokens=10),
]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        ({"turns": 0}, []),
        ({"turns": 1}, [1, 9, 10]),
        ({"turns": 2}, [1, 4, 5, 6, 7, 8, 9, 10]),
        ({"turns": 99}, list(range(1, 11))),
        ({"turns": 1, "system": False}, [9, 10]),
        ({"messages": 1}, [1]),
        ({"messages": 2}, [1, 9, 10]),
        ({"messages": 6}, [1, 9, 10]),
        ({"messages": 7}, [1, 4, 5, 6, 7, 8, 9, 10]),
        ({"tokens": 4}, []),
        ({"tokens": 5}, [1]),
        ({"tokens": 25}, [1, 9, 10]),
        ({"tokens": 74}, [1, 9, 10]),
        ({"tokens": 75}, [1, 4, 5, 6, 7, 8, 9, 10]),
        ({"tokens": 70, "system": False}, [4, 5, 6, 7, 8, 9, 10]),
    ],
    ids=str,
)
def test_window_takes_whole_turns_within_the_budget(chats, budget: dict[str, Any], expected: list[int]) -> None:
    chat = chats()
    chat.append(*TALK)
    assert positions(chat.window(**budget)) == positions(async_to_sync(chat.awindow)(**budget)) == expected
    assert chat.window(**budget) == [message for message in chat.messages() if message.seq in expected]
    assert chat.context(**budget) == async_to_sync(chat.acontext)(**budget) == chat.window(**budget)


def test_nothing_is_a_window_of_nothing(chats) -> None:
    assert (chats().window(turns=3), chats().context(tokens=3), chats().session()) == ([], [], None)


@pytest.mark.parametrize("view", ["window", "context"])
@pytest.mark.parametrize("budget", [{}, {"turns": -1}, {"tokens": -5}, {"turns": 1, "messages": 1}, {"turns": "1"}])
def test_a_budget_that_is_none_is_refused(chats, view: str, budget: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        getattr(chats(), view)(**budget)


def test_what_was_cleared_is_in_no_window(chats) -> None:
    chat = chats()
    chat.append(*TALK)
    chat.clear()
    chat.append(Message.user("again"))
    assert [message.content for message in chat.window(turns=9)] == ["again"]


def test_a_handle_sees_what_another_stored_meanwhile(chats) -> None:
    one, other = chats(), chats()
    one.append(*TALK)
    assert positions(other.window(turns=1)) == [1, 9, 10]
    one.append(Message.user("four"))
    assert positions(other.window(turns=1)) == [1, 11]


def test_a_back_end_without_summaries_has_windows_and_contexts(redis_client) -> None:
    chat = conversation("k", adapter=RedisAdapter(redis_client))
    chat.append(*TALK)
    assert positions(chat.context(turns=1)) == positions(chat.window(turns=1)) == [1, 9, 10]


def conversation_of(history: list[Message]) -> Conversation:
    chat = conversation("k", adapter=MemoryAdapter())
    chat.append(*history)
    return chat


@given(
    histories.filter(bool),
    st.sampled_from(["turns", "messages", "tokens"]),
    st.integers(1, 60),
    st.integers(0, 40),
    st.booleans(),
)
def test_every_context_is_taken_by_a_provider(
    history: list[Message], unit: str, size: int, keep: int, system: bool
) -> None:
    """With a summary in it, too: within the budget, and all that is neither shown nor summarised is older."""
    chat = conversation_of(history)
    summary = chat.summarize(lambda _messages: "so far", keep=keep)
    context = chat.context(**{unit: size}, system=system)
    assert refused(history, [message for message in context if message.seq]) == []
    dialogue = without_system(context)
    assert dialogue == without_system(chat.messages())[len(without_system(history)) - len(dialogue) :]
    assert unit != "tokens" or sum(message.tokens or 0 for message in context) <= size
    assert unit != "messages" or len(dialogue) <= size
    mine = [message for message in context if message.seq is None]
    assert mine == [] or summary is not None
    assert unit == "tokens" or (summary is not None) == bool(mine)
