"""Owns the contract's part for drafts: messages that are being streamed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from chat_memory.records import Address, Commit, Draft, Lease, Message, NewDraft, TurnRight
from chat_memory.storage.contract.part import Part

Conclude = Callable[[Draft, Message | None], Message | None]
"""Returns the message to store for a draft and the message that it replaces, if any; None: nothing is stored."""


class Settled(NamedTuple):
    """Whether the call ended the draft, and the commit of its message; None: no message was stored."""

    ended: bool
    commit: Commit | None = None


class DraftStore(Part):
    """Messages that are being streamed, with the text written so far; others may read them meanwhile.

    A draft is not a message: it changes no version, and no read of messages returns it. When it ends, its message is
    stored by an ordinary append, or replaces a partial message as an edit does. A draft is deleted with its branch. A
    draft that replaces a message is also deleted when that message is redacted or removed.

    A call with the right to a turn must be about a draft of that turn. It renews the right; if the caller does not hold
    the turn, it raises TurnLost and writes nothing. The message is stored in that turn even if a newer question exists.
    """

    attribute = "drafts"
    lack = "keeps no drafts"

    @abstractmethod
    def open(self, at: Address, new: NewDraft, right: TurnRight | None = None) -> Lease:
        """Begin a draft on a branch; an unknown session is created, as by an append.

        With the right to a turn, the message that the draft replaces need not be the newest.

        Raises:
            MessageConflict: a message with this id is stored.
            DraftExists: the conversation has a draft with this id.
            TooManyDrafts: the conversation has as many drafts as MAX_DRAFTS allows.
            MessageNotFound: the message to replace is not visible.
            ValidationError: the message to replace is not the newest, is not partial, or has no text to continue.
            TransactionOpen: the caller holds a transaction open.
            BranchNotFound: the session has no such branch.
            TurnLost: the caller does not hold the turn.
        """

    @abstractmethod
    def write(self, at: Address, lease: Lease, piece: str, length: int) -> bool:
        """Append a piece, which may be empty, to a draft that has ``length`` characters; True if a stop was requested.

        Raises:
            DraftLost: the draft was settled or removed, or has another length.
            TransactionOpen: the caller holds a transaction open.
        """

    @abstractmethod
    def settle(
        self, at: Address, draft: Draft, conclude: Conclude, *, lapsed: bool = False, right: TurnRight | None = None
    ) -> Settled:
        """End a draft: remove it, and store what ``conclude`` makes of it, in one transaction.

        A draft of a turn is settled with the right to the turn; without the right, only while nobody holds the turn.

        Args:
            at: the conversation.
            draft: the draft.
            conclude: called under the lock with the stored draft, including its whole text, and perhaps twice. The
                message that it returns must be complete, as for an append.
            lapsed: settle the draft only if nobody has written to it for DRAFT_LAPSE_SECONDS and nobody holds its turn.
            right: the right to its turn.

        Returns:
            The commit, if ``conclude`` returned a message. With ``lapsed``, ``ended`` is False if the draft stays: it
            has not lapsed, somebody holds its turn, or the database cannot store anything now.

        Raises:
            DraftLost: the draft was settled or removed. Or this call removed it and stored nothing, because its branch
                no longer shows the message to replace or the question of the turn; with ``lapsed`` that is no error.
            TurnLost: the caller does not hold the turn, or gives no ``right`` while somebody holds it; the draft stays.
            MessageConflict: a message with this id was stored meanwhile; the draft stays.
        """

    @abstractmethod
    def stop(self, at: Address, message_id: str) -> bool:
        """Ask the writer of the draft with this id to stop; False if there is no such draft."""

    @abstractmethod
    def all(self, at: Address) -> list[Draft]:
        """The drafts on all branches of the conversation, in the order they were begun, without their texts."""

    @abstractmethod
    def find(self, at: Address, message_id: str, after: int = 0) -> Draft | None:
        """The draft with this id, on any branch, with its text after ``after`` characters; None if there is none."""
