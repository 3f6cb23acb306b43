"""Histories with tool calls as hypothesis draws them, and what a provider says of what it is shown."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from chat_memory import Message

CALLS = ("c1", "c2", "c3")
RESULTS = ("tool", "function")


def calling(*ids: str, **fields: Any) -> Message:
    """An assistant's message with a call for each id."""
    return Message.assistant(tool_calls=[{"id": call, "type": "function"} for call in ids], **fields)


def numbered(said: Sequence[Message]) -> list[Message]:
    """The messages as they are stored: at positions, with ids and tokens."""
    return [
        msgspec.structs.replace(message, seq=seq, id=f"m{seq}", tokens=message.tokens or seq % 7)
        for seq, message in enumerate(said, 1)
    ]


ids = st.sampled_from(CALLS)
one_message = st.one_of(
    st.just(Message.user("u")),
    st.just(Message.system("s")),
    st.just(Message.assistant("a")),
    st.lists(ids, min_size=1, max_size=3, unique=True).map(lambda called: calling(*called)),
    st.builds(lambda call: Message.tool("r", tool_call_id=call), ids),
    st.just(Message("function", "f", name="clock")),
)
histories = st.lists(one_message, max_size=40).map(numbered)
"""Parallel calls, ids called again, late results, results without any call, system messages anywhere."""


def without_system(messages: Sequence[Message]) -> list[Message]:
    return [message for message in messages if message.role != "system"]


def callers(history: Sequence[Message]) -> dict[int, int | None]:
    """For each result by its position: where it was called; None: nowhere."""
    found: dict[int, int | None] = {}
    for n, message in enumerate(history):
        if message.role in RESULTS and message.tool_call_id:
            made = [
                before.seq
                for before in history[:n]
                if message.tool_call_id in [call["id"] for call in before.tool_calls or []]
            ]
            found[message.seq or 0] = made[-1] if made else None
    return found


def refused(history: Sequence[Message], shown: Sequence[Message]) -> list[int]:
    """The results that a provider, shown a part of a history, does not take: their call is not there.

    And the calls of which it sees some results, not all that there are.
    """
    there = {message.seq for message in shown}
    return [
        result
        for result, call in callers(history).items()
        if (result in there and call not in there) or (result not in there and call is not None and call in there)
    ]
