"""Owns the record of a whole conversation, as an export writes it and an import reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from chat_memory.records.message import MESSAGE_KEYS, Message


class TranscriptBranch(msgspec.Struct, frozen=True):
    """A branch of a transcript.

    Attributes:
        name: the name of the branch.
        parent: the name of the branch whose messages it shares.
        fork_seq: the last position that it shares with its parent.
        base_seq: the last position that is hidden on this branch.
        messages: its own messages, oldest first.
        current: whether it is the conversation's current branch.
        created_at: when it was forked; None: not known.
        pending: when it becomes the current one, one of ``choices.Pending``; "": only by a switch. A branch that
            becomes current with its first message has no messages of its own yet.
    """

    name: str
    parent: str
    fork_seq: int
    base_seq: int
    messages: Sequence[Message]
    current: bool = False
    created_at: datetime | None = None
    pending: str = ""


class TranscriptSummary(msgspec.Struct, frozen=True):
    """A summary of a transcript; ``branch`` is the branch it belongs to, ``tokens`` is 0 where not known."""

    branch: str
    first_seq: int
    last_seq: int
    text: str
    model: str = ""
    created_at: datetime | None = None
    tokens: int = 0


class TranscriptFeedback(msgspec.Struct, frozen=True):
    """The feedback of one person on a message of a transcript.

    Attributes:
        branch: a branch that shows the message.
        message_id: the id of the message.
        vote: 1 or -1.
        user_key: the person's key.
        comment: the reason; "" if none was given.
        created_at: when the person first gave feedback on the message; None: not known.
        updated_at: when the person last gave or changed it; None: not known.
    """

    branch: str
    message_id: str
    vote: int
    user_key: str
    comment: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Transcript(msgspec.Struct, frozen=True):
    """A whole conversation for export and import.

    Attributes:
        key: the session's key.
        messages: the messages of ``main``, oldest first, each with an id.
        user_key: the owner's key; "" where there is no owner.
        created_at: when the conversation began; None: not known.
        base_seq: the last position that is cleared; the first message is at the position after it.
        fields: title, tags, metadata, pinned, archived_at and expires_at, as far as they are set.
        branches: the other branches, each after its parent.
        summaries: the summaries of all branches.
        feedback: the feedback on messages of all branches.
        title_made: whether the title was made from a message, not set by the application.
        further_keys: the unknown keys of an imported line; their values are in ``fields["metadata"]``.
    """

    key: str
    messages: Sequence[Message]
    user_key: str = ""
    created_at: datetime | None = None
    base_seq: int = 0
    fields: Mapping[str, Any] = {}
    branches: Sequence[TranscriptBranch] = ()
    summaries: Sequence[TranscriptSummary] = ()
    feedback: Sequence[TranscriptFeedback] = ()
    title_made: bool = False
    further_keys: Sequence[str] = ()

    @property
    def size(self) -> int:
        """The number of messages on all branches."""
        return len(self.messages) + sum(len(branch.messages) for branch in self.branches)

    def all_further_keys(self) -> Iterator[str]:
        """The unknown keys of the line and of its messages, once for each occurrence."""
        yield from self.further_keys
        for messages in (self.messages, *(branch.messages for branch in self.branches)):
            for message in messages:
                yield from (name for name in message.extra or () if name not in MESSAGE_KEYS)
