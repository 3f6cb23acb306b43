"""Owns the contract's part for turns: one caller at a time has the right to answer a question."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from chat_memory.choices import TurnState
from chat_memory.records import Address, Commit, HeldTurn, Message, OpenTurn
from chat_memory.storage.contract.part import Part


class TurnStore(Part):
    """The right to answer a question: a lease that lapses by the store's own clock.

    Taking, renewing or giving up the right changes no version, because no message changes. A turn is deleted with its
    question.
    """

    attribute = "turns"
    lack = "cannot hold the right to answer a question"

    @abstractmethod
    def take(
        self,
        at: Address,
        question: Message | str,
        *,
        holder: str,
        lease: float,
        title: str | None = None,
        known: bool = True,
        alone: bool = False,
    ) -> HeldTurn:
        """Take the right to answer a question, unless somebody holds it or the question is answered.

        ``holder`` of the result is empty if the right was not taken. The question is looked up on the branch that the
        address names; if it names none, on the current branch and then on the others. A question that is not found
        there is appended, as by ``MessageStore.append``, if it is a message and not only an id.

        Args:
            at: the conversation.
            question: a message that begins a turn, or the id of a stored one.
            holder: a token that no other caller has.
            lease: for how many seconds the caller has the right, unless it renews it.
            title: as for ``MessageStore.append``.
            known: False if no stored message can have the question's id, because the id is new.
            alone: refuse while another turn of the branch is being answered; a new question is then not stored.

        Raises:
            TurnNotFound: no visible question has this id.
            TurnTaken: with ``alone``, another question is being answered.
            MessageConflict: the id is stored with different content.
            TransactionOpen: the caller holds a transaction open; until its commit nobody could see who holds the turn.
            ChatMemoryError: as ``MessageStore.append``.
        """

    @abstractmethod
    def append(self, held: HeldTurn, messages: Sequence[Message], *, lease: float, state: TurnState) -> Commit:
        """Store messages in a turn, even if a newer question exists, and renew the right to it.

        A message whose id is stored in the turn already is a replay, even if its content differs. The commit is
        ``nested`` if the caller's transaction may still roll it back.

        Args:
            held: the turn.
            messages: one or more messages, none of which begins a turn.
            lease: as for ``take``.
            state: the state of the turn from now on.

        Raises:
            TurnLost: the caller does not hold the turn, or its question is no longer visible; nothing was written.
            MessageConflict: an id is stored in another turn, or is the question's.
        """

    @abstractmethod
    def renew(self, held: HeldTurn, *, lease: float) -> None:
        """Extend the right to ``lease`` seconds from now, even after it lapsed if nobody else has taken it.

        Raises:
            TurnLost: the caller does not hold the turn, or its question is no longer visible.
        """

    @abstractmethod
    def release(self, held: HeldTurn) -> None:
        """Give the right up, so that nobody must wait until it lapses; no effect if the caller does not hold it."""

    @abstractmethod
    def open(self, at: Address) -> list[OpenTurn]:
        """The turns of a branch that are being answered, in their order."""

    @abstractmethod
    def interrupt(self, at: Address, *, before: int | None = None, state: TurnState) -> list[OpenTurn]:
        """End the turns of a branch that are being answered, and return them; their stored messages stay.

        Args:
            at: the branch.
            before: only turns before this one; None: all.
            state: the state of these turns from now on.
        """
