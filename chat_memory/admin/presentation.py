"""Owns the conversion of a stored message to an entry on a page; it must not query or write markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType

import msgspec
from django.utils.timezone import localtime

from chat_memory.admin.blocks import Block, Call, Room, calls, content_blocks, shortened
from chat_memory.choices import State
from chat_memory.models import Message, Revision
from chat_memory.records import Votes

SHOWN = 20_000
"""The most characters that the transcript shows of each section of a message."""
WHOLE = 1024 * 1024
"""The most characters of the first section on a single message's page, equal to the default of MAX_CONTENT_BYTES.

The other sections share what the first leaves, and have at least SHOWN each."""
SECTIONS = ("content", "calls", "metadata", "extra", "former")
"""The sections of a message, in the order in which a single message's page gives room to them."""

Callers = Mapping[str, tuple[str, int]]
"""The tool's name and the message's position for each tool call, by the call's id."""


class Former(msgspec.Struct, frozen=True):
    """The content a message had until the edit at ``edited_at``."""

    edited_at: datetime
    blocks: list[Block]


class Entry(msgspec.Struct, frozen=True):
    """One message as a page shows it.

    Attributes:
        row: the stored message, for position, time and role.
        name: the author: the message's own name, or else the name of the tool whose call it answers.
        blocks: the content.
        calls: the tool calls.
        other_calls: a block about the calls beyond the first ones; None where there are none.
        answers: the position of the message with the call it answers, if that is on the same page.
        answered_id: the shortened id of the call that it answers; "" where it answers none.
        metadata: the metadata; None where there is none.
        extra: the further members of the provider's message; None where there are none.
        state: the name of the message's state; "" for complete.
        former: its contents before edits, newest first, as many as fit.
        former_number: the number of all its former contents.
        former_before: the id of the oldest revision in ``former``; None where ``former`` is complete.
        day: the date, if this is the first message of its day on the page.
        first: the section of SECTIONS that was given all of the page's room; "" in a transcript.
        votes: the number of votes of each kind; None where there are none.
    """

    row: Message
    name: str
    blocks: list[Block]
    calls: list[Call]
    other_calls: Block | None
    answers: int | None
    answered_id: str
    metadata: Block | None
    extra: Block | None
    state: str
    former: list[Former]
    former_number: int
    former_before: int | None
    day: date | None
    first: str
    votes: Votes | None = None


def entries_of(
    rows: Sequence[Message], former: Iterable[Revision] = (), votes: Mapping[int, Votes] = MappingProxyType({})
) -> list[Entry]:
    """The entries of a page's messages; a tool result is linked to its call if both are on the page.

    Args:
        rows: the messages, oldest first.
        former: revisions of these messages, newest first.
        votes: the votes on these messages, by position.
    """
    callers: dict[str, tuple[str, int]] = {}
    edited: dict[int, list[Revision]] = {}
    for revision in former:
        edited.setdefault(revision.seq, []).append(revision)
    entries: list[Entry] = []
    day: date | None = None
    for row in rows:
        today = localtime(row.created_at).date()
        entry = entry_of(row, callers, edited.get(row.seq, ()), day=None if today == day else today)
        callers |= {call.id: (call.name, row.seq) for call in entry.calls if call.id}
        entries.append(msgspec.structs.replace(entry, votes=votes.get(row.seq)))
        day = today
    return entries


def entry_of(
    row: Message,
    callers: Callers | None = None,
    former: Sequence[Revision] = (),
    *,
    day: date | None = None,
    first: str = "",
) -> Entry:
    """The entry of one message.

    Args:
        row: the stored message.
        callers: the tool calls earlier on the page.
        former: its revisions, newest first.
        day: see ``Entry.day``.
        first: the section that has room for WHOLE characters, on the page of a single message; "": each has SHOWN.
    """
    tool, answers = (callers or {}).get(row.tool_call_id or "", ("", None))
    rooms = _rooms(row, former, first)
    shown_calls, other_calls = calls(row.tool_calls, rooms["calls"])
    number = getattr(former[0], "number", len(former)) if former else 0
    only_calls = row.tool_calls and row.parts is None and not row.content
    return Entry(
        row=row,
        name=row.name or tool,
        blocks=[] if only_calls else content_blocks(row.role, row.content, row.parts, rooms["content"]),
        calls=shown_calls,
        other_calls=other_calls,
        answers=answers,
        answered_id=shortened(row.tool_call_id or ""),
        metadata=rooms["metadata"].fit(Block("json", row.metadata)) if row.metadata else None,
        extra=rooms["extra"].fit(Block("json", row.extra)) if row.extra else None,
        state="" if row.state == State.COMPLETE.value else row.get_state_display(),
        former=_former(row.role, former, rooms["former"]),
        former_number=number,
        former_before=former[-1].pk if len(former) < number else None,
        day=day,
        first=first,
    )


def _rooms(row: Message, former: Sequence[Revision], first: str) -> dict[str, Room]:
    """The room of each section: those after ``first`` have what it leaves of WHOLE, and at least SHOWN each."""
    if not first:
        return {section: Room(SHOWN) for section in SECTIONS}
    stored = {
        "content": _length(row.content, row.parts),
        "calls": _length(row.tool_calls),
        "metadata": _length(row.metadata),
        "extra": _length(row.extra),
        "former": sum(_length(each.content, each.parts) for each in former),
    }
    rooms, left = {}, WHOLE
    for section in sorted(SECTIONS, key=lambda each: each != first):
        rooms[section] = Room(max(left, SHOWN), whole=True)
        left = max(0, left - stored[section])
    return rooms


def _length(*texts: str | None) -> int:
    return sum(len(text) for text in texts if text)


def _former(role: str, revisions: Iterable[Revision], room: Room) -> list[Former]:
    return [Former(each.edited_at, content_blocks(role, each.content, each.parts, room)) for each in revisions]
