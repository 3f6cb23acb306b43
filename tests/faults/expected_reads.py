"""Every kind of read of a conversation, each beside what it must show of the list of all that is shown."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from hypothesis import strategies as st

from chat_memory import Message, WindowTooSmall
from chat_memory.history.conversation import Conversation
from chat_memory.records import Span
from tests.faults.plain_lists import Said, Shown, window

TOKENS_EACH = 3
"""What the budget of a window in tokens is counted in, so that it takes as many messages as other budgets do."""


class Look(NamedTuple):
    """A read: of which kind and size, where, through which handle, and whether one's own writes must be there.

    ``place``: of which branch; None: of the one that was changed last.
    """

    kind: str
    n: int
    back: int
    width: int
    place: int | None
    fresh: bool
    own: bool


Reading = Callable[[Conversation, int], list[Message]]
View = Callable[[Shown], Shown]


def tail(look: Look, _last_seq: int) -> tuple[Reading, View]:
    return lambda chat, least: chat.tail(look.n, min_version=least), lambda full: last(full, look.n)


def tail_json(look: Look, _last_seq: int) -> tuple[Reading, View]:
    def reading(chat: Conversation, least: int) -> list[Message]:
        return [Message.from_dict(data) for data in json.loads(chat.tail_json(look.n, min_version=least))]

    return reading, lambda full: last(full, look.n)


def head(look: Look, _last_seq: int) -> tuple[Reading, View]:
    return lambda chat, least: chat.head(look.n, min_version=least), lambda full: full[: look.n]


def whole(_look: Look, _last_seq: int) -> tuple[Reading, View]:
    return lambda chat, least: chat.messages(min_version=least), lambda full: full


def since(look: Look, last_seq: int) -> tuple[Reading, View]:
    after = max(0, last_seq - look.back)
    return lambda chat, least: chat.since(after, min_version=least), lambda full: between(full, after)


def page_backwards(look: Look, last_seq: int) -> tuple[Reading, View]:
    """The newest before a position, as one turns pages backwards."""
    before = max(0, last_seq + 1 - look.back)
    return spanning(before=before, last=look.n), lambda full: last(between(full, 0, before), look.n)


def newest_between(look: Look, last_seq: int) -> tuple[Reading, View]:
    before = max(0, last_seq + 1 - look.back)
    after = max(0, before - look.width)
    return spanning(after=after, before=before, last=look.n), lambda full: last(between(full, after, before), look.n)


def first_after(look: Look, last_seq: int) -> tuple[Reading, View]:
    after = max(0, last_seq - look.back)
    return spanning(after=after, first=look.n), lambda full: between(full, after)[: look.n]


def first_between(look: Look, last_seq: int) -> tuple[Reading, View]:
    before = max(0, last_seq + 1 - look.back)
    after = max(0, before - look.width)
    return spanning(after=after, before=before, first=look.n), lambda full: between(full, after, before)[: look.n]


def system_messages(_look: Look, _last_seq: int) -> tuple[Reading, View]:
    return spanning(system=True), lambda full: tuple(said for said in full if said.role == "system")


def window_of_turns(look: Look, _last_seq: int) -> tuple[Reading, View]:
    return windowing(look, "turns", look.n)


def window_of_messages(look: Look, _last_seq: int) -> tuple[Reading, View]:
    return windowing(look, "messages", look.n)


def window_of_tokens(look: Look, _last_seq: int) -> tuple[Reading, View]:
    return windowing(look, "tokens", look.n * TOKENS_EACH)


def windowing(look: Look, budget: str, size: int) -> tuple[Reading, View]:
    given: dict[str, Any] = {budget: size, "system": look.width % 2 == 1}

    def read(chat: Any, least: int) -> list[Message]:
        try:
            shown: list[Message] = chat.window(**given, min_version=least)
        except WindowTooSmall:
            return []
        return shown

    return (
        read,
        lambda full: window(full, budget, size, system=given["system"]),
    )


def spanning(**span: Any) -> Reading:
    return lambda chat, least: chat.read(Span(**span, min_version=least)).messages


def between(full: Shown, after: int, before: int = 2**62) -> Shown:
    return tuple(said for said in full if after < said.seq < before)


def last(full: Shown, n: int) -> Shown:
    """The newest n, oldest first."""
    return full[max(0, len(full) - n) :]


def as_shown(messages: list[Message]) -> Shown:
    """What the model knows of messages."""
    return tuple(
        Said(
            message.seq or 0,
            message.id or "",
            message.role,
            str(message.content),
            message.tokens or 0,
            (message.metadata or {}).get("noted"),
        )
        for message in messages
    )


CACHED = (tail, tail_json, head, whole, since, page_backwards, newest_between, first_after, first_between)
"""What Redis may answer in every mode; the others are for the database, or made of these."""
OTHERS = (system_messages, window_of_turns, window_of_messages, window_of_tokens)
VIEWS = {kind.__name__: kind for kind in CACHED + OTHERS}
PLACES = st.sampled_from([0, 0, 0, 1, 2, 3, 4])
LOOKS = st.builds(
    Look,
    st.sampled_from([*["tail"] * 4, *VIEWS, *["tail_json"] * 3]),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(1, 9),
    st.none() | st.none() | st.none() | PLACES,
    st.booleans(),
    st.booleans(),
)
