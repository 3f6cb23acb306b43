"""Owns how a stored message becomes an entry on a page; it must not query or write markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

import msgspec
from django.utils.timezone import localtime

from chat_memory.admin.blocks import Block, Call, Room, calls, content_blocks
from chat_memory.choices import State
from chat_memory.models import Message, Revision

SHOWN = 20_000
"""Characters that the transcript shows of a message's content, its calls, its metadata and its former texts, each."""
SHOWN_FORMER = 2_000_000
"""Characters of former texts on the page of a single message, which shows everything else in full."""

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
        metadata: the metadata; None where there is none.
        extra: what else the provider's message held; None where there is nothing.
        state: the name of the message's state; "" for complete.
        former: its contents before edits, newest first.
        day: the date, if this is the first message of its day on the page.
    """

    row: Message
    name: str
    blocks: list[Block]
    calls: list[Call]
    other_calls: Block | None
    answers: int | None
    metadata: Block | None
    extra: Block | None
    state: str
    former: list[Former]
    day: date | None


def entries_of(rows: Sequence[Message], former: Iterable[Revision] = ()) -> list[Entry]:
    """The entries of a page's messages; a tool result is linked to its call if both are on the page.

    Args:
        rows: the messages, oldest first.
        former: revisions of these messages, newest first.
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
        entries.append(entry)
        day = today
    return entries


def entry_of(
    row: Message,
    callers: Callers | None = None,
    former: Iterable[Revision] = (),
    *,
    day: date | None = None,
    whole: bool = False,
) -> Entry:
    """The entry of one message.

    Args:
        row: the stored message.
        callers: the tool calls earlier on the page.
        former: its revisions, newest first.
        day: see ``Entry.day``.
        whole: whether to show content, calls and metadata in full instead of SHOWN characters each.
    """
    tool, answers = (callers or {}).get(row.tool_call_id or "", ("", None))
    size = None if whole else SHOWN
    shown_calls, other_calls = calls(row.tool_calls, Room(size))
    only_calls = row.tool_calls and row.parts is None and not row.content
    return Entry(
        row=row,
        name=row.name or tool,
        blocks=[] if only_calls else content_blocks(row.role, row.content, row.parts, Room(size)),
        calls=shown_calls,
        other_calls=other_calls,
        answers=answers,
        metadata=Room(size).fit(Block("json", row.metadata)) if row.metadata else None,
        extra=Room(size).fit(Block("json", row.extra)) if row.extra else None,
        state="" if row.state == State.COMPLETE.value else row.get_state_display(),
        former=_former(row.role, former, Room(SHOWN_FORMER if whole else SHOWN)),
        day=day,
    )


def _former(role: str, revisions: Iterable[Revision], room: Room) -> list[Former]:
    return [Former(each.edited_at, content_blocks(role, each.content, each.parts, room)) for each in revisions]
