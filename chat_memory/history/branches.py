"""Owns the branches of a conversation, and changes in the midst of it; it must not append what is new."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.exceptions import BranchExists, BranchNotFound, MessageNotFound
from chat_memory.history import selection
from chat_memory.history.bounds import whole
from chat_memory.history.naming import check_branch
from chat_memory.history.reading import Reads
from chat_memory.history.stamping import restated
from chat_memory.records import Branch, Content, Message, Receipt, Revision, Span, uuid7
from chat_memory.signals import branch_forked, branch_switched, message_edited, session_created


class Branches(Reads):
    """Branches share the messages before the fork; what one says then is its own (FEATURES S0.18, N47)."""

    def branches(self) -> list[Branch]:
        """All branches of the conversation, ``main`` first; it is there from the start.

        Raises:
            NotSupported: the back end has no branches.
        """
        return self._adapter.branches(self._address) or [_main()]

    def fork(self, name: str, at: int | None = None) -> Self:
        """A new branch that shares the messages up to position ``at``; the conversation itself goes on as before.

        Nothing is copied, however long the history is. An unknown conversation is made.

        Args:
            name: 1 to 100 characters without control characters.
            at: the last position to share; None: all there are.

        Returns:
            The conversation on the new branch.

        Raises:
            ValidationError: the name is not usable, or ``at`` is no whole number from 0.
            BranchExists: there is one of this name.
            BranchNotFound: this handle's own branch is not there.
            MessageNotFound: there is no message at ``at``.
            NotSupported: the back end has no branches.
        """
        name = check_branch(name)
        return self._forked(name, None if at is None else whole(at, "at"))[0]

    def switch(self, name: str) -> None:
        """Let a branch speak for the conversation: every handle that names no branch follows.

        Raises:
            BranchNotFound: there is no such branch.
            NotSupported: the back end has no branches.
        """
        name = check_branch(name)
        header = self._adapter.switch(self._address, name)
        if header is not None:
            self._announce(branch_switched, branch=name, version=header.version)

    def merge(self, source: str, into: str) -> Receipt:
        """Append to one branch what another shows after the last position they share, ids and times kept.

        What is there already is a replay: to merge again adds nothing but what ``source`` has got meanwhile.

        Args:
            source: the branch to take from; it stays as it is.
            into: the branch to append to.

        Raises:
            BranchNotFound: there is no such branch.
            MessageConflict: the other branch has another message of the same id; nothing was written.
            NotSupported: the back end has no branches.
        """
        shared = _shared({branch.name: branch for branch in self.branches()}, check_branch(source), check_branch(into))
        target = self._on(into)
        said = self._on(source)._stored(Span(after=shared))
        if not said:
            return target._unchanged()
        fresh = [msgspec.structs.replace(message, seq=None) for message in said]
        return target._receipt(self._adapter.append(target._address, fresh))

    def regenerate(self, at: int) -> Self:
        """A new branch on which the answer at a position can be given anew; it speaks for the conversation from now on.

        It shares what is before ``at``, and a user's message there too. Where that would part a tool call from one of
        its results, it shares only what is before the call. The old answer stays on its branch (FEATURES E09, E10).

        Returns:
            The conversation on the new branch.

        Raises:
            MessageNotFound: the conversation shows no message at ``at``.
            NotSupported: the back end has no branches.
        """
        return self._here()._regenerated(whole(at, "at"))

    def _regenerated(self, at: int) -> Self:
        said = self._stored(Span(after=max(0, at - 1)))
        if selection.orphaned(said):
            said = self._stored(Span())
        kept = selection.last_kept(said, at)
        if kept is None:
            raise self._nothing_at(at)
        return self._forked(f"regenerated-{uuid7()}", kept, switch=True)[0]

    def truncate_after(self, message_id: str) -> int:
        """Go on after a message as if nothing had followed it; what did stays on the old branch (FEATURES J27).

        Returns:
            How many messages the conversation no longer shows.

        Raises:
            MessageNotFound: the conversation shows no message of this id.
            NotSupported: the back end has no branches.
        """
        here = self._here()
        seq = here._position(message_id)
        header = self._adapter.peek(here._address)
        if header is not None and header.last_seq == seq:
            return 0
        _chat, last_seq = here._forked(f"truncated-{uuid7()}", seq, switch=True)
        return last_seq - seq

    def edit(self, seq: int, content: Content) -> Message:
        """Give the message at a position other content, on every branch that shares it; its tokens are counted anew.

        ``revisions`` tells what it said before.

        Raises:
            ValidationError: a message in this role cannot have this content.
            MessageNotFound: the conversation shows no message there.
            NotSupported: the back end cannot edit messages.
        """
        seq, here = whole(seq, "seq"), self._here()
        found = here._stored(Span(after=max(0, seq - 1), before=seq + 1))
        if not found:
            raise self._nothing_at(seq)
        commit = self._adapter.edit(here._address, restated(found[0], content))
        here._announce(message_edited, seq=seq, version=commit.header.version)
        return commit.messages[0]

    def revisions(self, seq: int) -> list[Revision]:
        """What the message at a position said before each of its edits, oldest first.

        Raises:
            NotSupported: the back end cannot edit messages.
        """
        return self._adapter.revisions(self._address, whole(seq, "seq"))

    async def abranches(self) -> list[Branch]:
        """Async twin of ``branches``."""
        return await sync_to_async(self.branches)()

    async def afork(self, name: str, at: int | None = None) -> Self:
        """Async twin of ``fork``."""
        return await sync_to_async(self.fork)(name, at)

    async def aswitch(self, name: str) -> None:
        """Async twin of ``switch``."""
        return await sync_to_async(self.switch)(name)

    async def amerge(self, source: str, into: str) -> Receipt:
        """Async twin of ``merge``."""
        return await sync_to_async(self.merge)(source, into)

    async def aregenerate(self, at: int) -> Self:
        """Async twin of ``regenerate``."""
        return await sync_to_async(self.regenerate)(at)

    async def atruncate_after(self, message_id: str) -> int:
        """Async twin of ``truncate_after``."""
        return await sync_to_async(self.truncate_after)(message_id)

    async def aedit(self, seq: int, content: Content) -> Message:
        """Async twin of ``edit``."""
        return await sync_to_async(self.edit)(seq, content)

    async def arevisions(self, seq: int) -> list[Revision]:
        """Async twin of ``revisions``."""
        return await sync_to_async(self.revisions)(seq)

    def _here(self) -> Self:
        """The branch that speaks now by its name: what is found on it is changed there, whoever switches meanwhile."""
        return self if self._address.branch != CURRENT else self._on(self._speaker())

    def _forked(self, name: str, seq: int | None, *, switch: bool = False) -> tuple[Self, int]:
        """The conversation on a new branch, and the last position of the branch that was left, at that moment."""
        if name == MAIN_BRANCH:
            raise BranchExists(f"conversation {self.key!r} has a branch {MAIN_BRANCH!r} already")
        if not seq and session_created.has_listeners(self._sender):  # else the adapter makes the session on its way
            record, made = self._adapter.open(self._address)
            if made:
                self._announce(session_created, branch=MAIN_BRANCH, version=record.version)
        branch, left = self._adapter.fork(self._address, name, seq, switch=switch)
        self._announce(branch_forked, branch=name, parent=branch.parent, fork_seq=branch.fork_seq)
        if switch:
            self._announce(branch_switched, branch=name, version=branch.version)
        return self._on(name), left.last_seq

    def _nothing_at(self, seq: int) -> MessageNotFound:
        return MessageNotFound(f"conversation {self.key!r} shows no message at position {seq}")


def _main() -> Branch:
    """The branch that a conversation has before anything was said."""
    now = datetime.now(UTC)
    return Branch(MAIN_BRANCH, None, 0, 0, 0, 0, current=True, created_at=now, updated_at=now)


def _shared(known: Mapping[str, Branch], source: str, into: str) -> int:
    """The last position that two branches have from one row.

    Raises:
        BranchNotFound: there is no such branch.
    """
    ours, theirs = _reach(known, source), _reach(known, into)
    return max(min(last, theirs[name]) for name, last in ours.items() if name in theirs)


def _reach(known: Mapping[str, Branch], name: str) -> dict[str, int]:
    """Up to which position a branch shows its own messages and those of its ancestors."""
    if name not in known:
        raise BranchNotFound(f"there is no branch {name!r}")
    branch, reach = known[name], {name: known[name].last_seq}
    while branch.parent is not None:
        reach[branch.parent] = branch.fork_seq
        branch = known[branch.parent]
    return reach
