"""Owns the records of drafts: messages that are being streamed, as far as they were written."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat_memory.records.message import Message


class Draft(msgspec.Struct, frozen=True):
    """A message that is being streamed, or one that it became.

    Attributes:
        id: the id of the message that becomes of it.
        role: who writes.
        state: ``streaming`` while it grows; then the state of the message: complete, stopped, failed (broken off),
            abandoned or redacted.
        text: what was written, from the character on that the call names; "" in a list.
        length: how many characters were written: who reads on says it, in the next call, as ``after``.
        branch: the branch that the message will be on, or is on.
        name: the name of the author.
        stop_asked: whether somebody asked for a stop.
        begun_at: when it was begun, by the clock of the database; of a message, its time.
        touched_at: when it was last written, by the same clock.
        seq: the position of the message; None as long as there is none.
        metadata: what the application gave when it was begun.
        number: tells it from every other draft.
        lapsed: whether nobody has written to it for DRAFT_LAPSE_SECONDS.
        turn: the number of the turn that it answers in; None: it is of no turn that somebody has taken. Of a message,
            its turn.
    """

    id: str
    role: str
    state: str
    text: str
    length: int
    branch: str
    name: str | None = None
    stop_asked: bool = False
    begun_at: datetime | None = None
    touched_at: datetime | None = None
    seq: int | None = None
    metadata: dict[str, Any] | None = None
    number: int = 0
    lapsed: bool = False
    turn: int | None = None


class NewDraft(NamedTuple):
    """What is to be streamed.

    Attributes:
        id: the id of the message.
        role: who writes.
        name: the name of the author.
        metadata: the application's own.
        place: the position or the id of a partial message in whose place this comes; None: it is a new one.
        goes_on: whether it begins with the text of that message.
    """

    id: str
    role: str
    name: str | None = None
    metadata: dict[str, Any] | None = None
    place: int | str | None = None
    goes_on: bool = False


class Lease(msgspec.Struct, frozen=True):
    """The right to write a draft, which lasts until the draft is settled by anybody.

    Attributes:
        draft: the draft as it begins; its text is that of the message it goes on from.
        workspace_id: the id of the workspace.
        session_id: the id of the row of its branch.
        replaced: the message in whose place it comes; None: it is a new one.
    """

    draft: Draft
    workspace_id: int
    session_id: UUID
    replaced: Message | None = None
