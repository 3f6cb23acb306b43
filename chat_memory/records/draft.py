"""Owns the records of drafts, the texts so far of messages that are being streamed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat_memory.records.message import Message


class Draft(msgspec.Struct, frozen=True):
    """A message that is being streamed, or the stored message that it became.

    Attributes:
        id: the id of the message that becomes of it.
        role: who writes.
        state: ``streaming`` while it grows; then the state of the message: complete, stopped, failed (broken off),
            abandoned or redacted.
        text: the text written so far, after the characters that the call skips; "" in a list.
        length: the number of characters written so far; a reader passes it to the next call as ``after``.
        branch: the branch that the message will be on, or is on.
        name: the name of the author.
        stop_asked: whether somebody asked for a stop.
        begun_at: when it was begun, by the clock of the database; for a stored message, its time.
        touched_at: when it was last written, by the same clock.
        seq: the position of the message; None until it is stored.
        metadata: the metadata that was given at the beginning.
        number: a number that no other draft has.
        lapsed: whether nobody has written to it for DRAFT_LAPSE_SECONDS.
        turn: the number of the turn that it is streamed in; None: it was not begun by ``Turn.stream``. For a stored
            message, its turn.
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
    """A draft to begin.

    Attributes:
        id: the id of the message.
        role: who writes.
        name: the name of the author.
        metadata: the application's own.
        place: the position or the id of a partial message that it replaces; None: it is a new message.
        goes_on: whether it begins with the text of that message.
    """

    id: str
    role: str
    name: str | None = None
    metadata: dict[str, Any] | None = None
    place: int | str | None = None
    goes_on: bool = False


class Lease(msgspec.Struct, frozen=True):
    """The right to write to a draft; it ends when anybody settles the draft.

    Attributes:
        draft: the draft at its beginning; its text is that of the message that it continues.
        workspace_id: the id of the workspace.
        session_id: the id of the row of its branch.
        replaced: the message that it replaces; None: it is a new message.
    """

    draft: Draft
    workspace_id: int
    session_id: UUID
    replaced: Message | None = None
