"""Owns the contract's part for drafts: messages that are being streamed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from chat_memory.records import Address, Commit, Draft, Lease, Message, NewDraft, TurnRight
from chat_memory.storage.contract.part import Part

Conclude = Callable[[Draft, Message | None], Message | None]
"""What becomes of a draft, with the message that it replaces, if any; None: nothing of it is stored."""


class Settled(NamedTuple):
    """Whether a draft is gone by this call, and what was stored of it; None: nothing."""

    ended: bool
    commit: Commit | None = None


class DraftStore(Part):
    """Messages that are being streamed, as far as they were written; others may read them meanwhile.

    A draft is no message: it moves no version, and no read of messages shows it. Its end stores a message by an
    ordinary append, or puts it in the place of a partial one, as an edit does. It goes with its branch; one that comes
    in the place of a message also goes where that one is redacted or removed.

    With the right to a turn, each call is about a draft of that turn: it renews the right, and raises TurnLost, with
    nothing written, where the caller has it not. The message is then of that turn, whichever question is the newest.
    """

    attribute = "drafts"
    lack = "keeps no drafts"

    @abstractmethod
    def open(self, at: Address, new: NewDraft, right: TurnRight | None = None) -> Lease:
        """Begin a draft on a branch; an unknown session is created, as by an append.

        With the right to a turn, a message in whose place it comes need not be the newest.

        Raises:
            MessageConflict: a message of this id is stored.
            DraftExists: there is a draft of this id in the conversation.
            TooManyDrafts: the conversation has as many as MAX_DRAFTS allows.
            MessageNotFound: the message in whose place it comes is not visible.
            ValidationError: that message is not the newest, is no partial one, or has no text to go on from.
            TransactionOpen: the caller holds a transaction open.
            BranchNotFound: the session has no such branch.
            TurnLost: the caller has not the right.
        """

    @abstractmethod
    def write(self, at: Address, lease: Lease, piece: str, length: int) -> bool:
        """Add a piece, which may be empty, after the ``length`` characters that were written; whether a stop is asked.

        Raises:
            DraftLost: the draft was settled or removed, or has another length.
            TransactionOpen: the caller holds a transaction open.
        """

    @abstractmethod
    def settle(
        self, at: Address, draft: Draft, conclude: Conclude, *, lapsed: bool = False, right: TurnRight | None = None
    ) -> Settled:
        """End a draft: remove it, and store what ``conclude`` makes of it, in one transaction.

        The draft of a turn is settled by whoever has the right to the turn; without it only while nobody has.

        Args:
            at: the conversation.
            draft: the draft.
            conclude: called under the lock with the draft as it is stored, its whole text included. The message
                that it gives is complete as for an append.
            lapsed: whether the draft is settled only if nobody has written to it for DRAFT_LAPSE_SECONDS, and nobody
                has the right to its turn.
            right: the right to its turn.

        Returns:
            What was stored, if ``conclude`` gave something; and False where the draft stays: it has not lapsed, or it
            has and nothing can be stored at the moment.

        Raises:
            DraftLost: the draft was settled or removed; or it goes by this call, since the message in whose place it
                comes, or the question of its turn, is not shown any more. With ``lapsed`` that is no error.
            TurnLost: the caller has not the right that it gives, or gives none and somebody has it; the draft stays.
            MessageConflict: a message of this id was stored meanwhile; the draft stays.
        """

    @abstractmethod
    def stop(self, at: Address, message_id: str) -> bool:
        """Have whoever writes the draft of this id know that a stop is asked; False where there is none."""

    @abstractmethod
    def all(self, at: Address) -> list[Draft]:
        """The drafts of the conversation, on whichever branch, in the order they were begun, without their texts."""

    @abstractmethod
    def find(self, at: Address, message_id: str, after: int = 0) -> Draft | None:
        """The draft of this id, on whichever branch, with its text from a character on; None where there is none."""
