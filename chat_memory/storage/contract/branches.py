"""Owns the contract's part for the branches of conversations."""

from __future__ import annotations

from abc import abstractmethod

from chat_memory.records import Address, Branch, Header
from chat_memory.storage.contract.part import Part


class BranchStore(Part):
    """The branches of conversations."""

    attribute = "branches"
    lack = "has no branches"

    @abstractmethod
    def all(self, at: Address) -> list[Branch]:
        """All branches of the conversation: ``main`` first, the others as they were created; [] without a session."""

    @abstractmethod
    def fork(self, at: Address, name: str, seq: int | None = None, *, switch: bool = False) -> tuple[Branch, Header]:
        """Create a branch, in time that does not depend on the number of messages it shares.

        An unknown conversation is created first.

        Args:
            at: the branch to fork.
            name: the name of the new branch.
            seq: the last position the new branch shares; None: all messages.
            switch: whether to make the new branch current in the same transaction.

        Returns:
            The new branch, and the state of the branch it was forked from.

        Raises:
            BranchExists: the conversation already has a branch of this name.
            BranchNotFound: the address names an unknown branch.
            MessageNotFound: ``seq`` is neither the position of a visible message nor the one before the first.
            WorkspaceNotFound: the workspace is unknown and may not be created.
        """

    @abstractmethod
    def switch(self, at: Address, name: str) -> Header | None:
        """Make a branch the current one, and return its state, whose version is higher than any before.

        Returns None where nothing changed: the branch is current already, or the session does not exist and the name
        is ``main``.

        Raises:
            BranchNotFound: there is no such branch.
        """
