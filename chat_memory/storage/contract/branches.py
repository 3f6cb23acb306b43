"""Owns the contract's part for the branches of conversations."""

from __future__ import annotations

from abc import abstractmethod

from chat_memory.records import Address, Branch, Header, Sibling
from chat_memory.storage.contract.part import Part


class BranchStore(Part):
    """The branches of conversations."""

    attribute = "branches"
    lack = "has no branches"

    @abstractmethod
    def all(self, at: Address) -> list[Branch]:
        """All branches of the conversation: ``main`` first, the others by their numbers; [] without a session."""

    def find(self, at: Address, *, after: int | None = None, before: int | None = None, size: int = 50) -> list[Branch]:
        """The next ``size`` of ``all``, in the same order.

        Args:
            at: any branch of the conversation.
            after: only branches whose number is larger.
            before: only branches whose number is smaller: then the last ``size`` of them.
            size: the maximum number of branches.
        """
        branches = self.all(at)
        if before is not None:
            return [branch for branch in branches if branch.number < before][-size:]
        return [branch for branch in branches if after is None or branch.number > after][:size]

    @abstractmethod
    def fork(
        self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
    ) -> tuple[Branch, Header]:
        """Create a branch; the cost depends neither on the number of shared messages nor on the number of branches.

        An unknown conversation is created first. The branch gets the next number, under the lock of the conversation.

        Args:
            at: the branch to fork.
            name: the name of the new branch.
            seq: the last position the new branch shares; None: all messages.
            switch: whether to make the new branch current in the same transaction.
            pending: what will make it current, one of ``choices.Pending``; "": only a switch. With ANSWERED or
                COMPLETE, a branch that is already pending for an answer to the same messages is returned instead of a
                new one.

        Returns:
            The new or the pending branch, and the state of the branch it was forked from.

        Raises:
            BranchExists: the conversation already has a branch of this name.
            BranchNotFound: the address names an unknown branch.
            MessageNotFound: ``seq`` is neither the position of a visible message nor the one before the first.
            TooManyBranches: the conversation has MAX_BRANCHES branches.
            WorkspaceNotFound: the workspace is unknown and may not be created.
        """

    @abstractmethod
    def siblings(self, at: Address, seq: int) -> list[Sibling]:
        """The visible message at a position, and the messages that follow the same history on other branches.

        They are in the order in which their branches were made; [] if the position is not visible. If several branches
        share one of the messages, ``Sibling.branch`` is the branch on which it was stored.
        """

    @abstractmethod
    def switch(self, at: Address, name: str) -> Header | None:
        """Make a branch the current one, and return its state, whose version is higher than any before.

        Returns None where nothing changed: the branch is current already, or the session does not exist and the name
        is ``main``.

        Raises:
            BranchNotFound: there is no such branch.
        """
