"""Owns the contract's part for turns: one caller at a time has the right to answer a question."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from chat_memory.choices import TurnState
from chat_memory.records import Address, Commit, HeldTurn, Message, OpenTurn
from chat_memory.storage.contract.part import Part


class TurnStore(Part):
    """The right to answer a question, as a lease that lapses by the store's own clock.

    To take, renew or give up a right moves no version, since no message changes. A turn hangs on its question: it goes
    where the question goes.
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
        """Take the right to answer a question, unless somebody has it or the question is answered.

        The question is found on the branch that the address names; where it names none and the current branch does not
        show the question, on the branch that has it. Otherwise a question that is a message is appended, as
        ``MessageStore.append`` does it.

        Args:
            at: the conversation.
            question: a message that begins a turn, or the id of a stored one.
            holder: a token that no other caller has.
            lease: how many seconds the caller has the right, unless it renews it.
            title: as for ``MessageStore.append``.
            known: False where no message can have the question's id yet, since it was just made.
            alone: refuse while another turn of the branch is being answered; a new question is then not stored.

        Raises:
            TurnNotFound: no visible question has this id.
            TurnTaken: with ``alone``, another question is being answered.
            MessageConflict: the id is stored with different content.
            TransactionOpen: the caller holds a transaction open, so that nobody else would see who has the right.
            ChatMemoryError: as ``MessageStore.append``.
        """

    @abstractmethod
    def append(self, held: HeldTurn, messages: Sequence[Message], *, lease: float, state: TurnState) -> Commit:
        """Store messages in a turn, whichever question is the newest, and renew the right to it.

        A message whose id is stored in the turn already is a replay, whatever it says. The commit is ``nested`` where a
        transaction of the caller's may take it back.

        Args:
            held: the turn.
            messages: one or more, none of which begins a turn.
            lease: as for ``take``.
            state: of the turn, from now on.

        Raises:
            TurnLost: the caller has not the right, or the question is not shown any more; nothing was written.
            MessageConflict: an id is stored in another turn, or is the question's.
        """

    @abstractmethod
    def renew(self, held: HeldTurn, *, lease: float) -> None:
        """Have the right for so many seconds from now, also where it lapsed and nobody took it.

        Raises:
            TurnLost: the caller has not the right, or the question is not shown any more.
        """

    @abstractmethod
    def release(self, held: HeldTurn) -> None:
        """Give the right up, so that nobody need wait until it lapses; nothing happens where the caller has it not."""

    @abstractmethod
    def open(self, at: Address) -> list[OpenTurn]:
        """The turns of a branch that are being answered, in their order."""

    @abstractmethod
    def interrupt(self, at: Address, *, before: int | None = None, state: TurnState) -> list[OpenTurn]:
        """Take the right from those who answer turns of a branch, and return these turns; what they stored stays.

        Args:
            at: the branch.
            before: only turns before this one; None: all.
            state: of these turns, from now on.
        """
