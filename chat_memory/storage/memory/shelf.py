"""Owns the bytes of attachments in memory, by workspace and hash, and which of them are held for future messages."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from chat_memory.exceptions import AttachmentNotFound
from chat_memory.records import Attachment, Message
from chat_memory.rules.attachments import hashes
from chat_memory.storage.contract import HELD_SECONDS
from chat_memory.storage.mapping import content_of
from chat_memory.storage.memory.states import BranchState, ConversationState
from chat_memory.storage.memory.view import BranchView


class Stored(NamedTuple):
    """An attachment and its bytes."""

    attachment: Attachment
    data: bytes


class Shelf:
    """The attachments of all workspaces; it is changed only within transactions of the store."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str, str], Stored] = {}
        self._held: dict[tuple[str, str, str], datetime] = {}

    def get(self, workspace: str, sha256: str) -> Stored | None:
        """An attachment of a workspace; None where there is none."""
        return self._stored.get((workspace, sha256))

    def add(self, workspace: str, key: str, new: Attachment, data: bytes, now: datetime) -> Attachment:
        """Store bytes, unless the workspace has them, and hold them for a conversation."""
        stored = self._stored.setdefault((workspace, new.sha256), Stored(new, data))
        self._held[workspace, key, new.sha256] = now + timedelta(seconds=HELD_SECONDS)
        return stored.attachment

    def reached(self, conversation: ConversationState, now: datetime) -> set[str]:
        """The hashes of attachments that are held for a conversation, and of those that its branches show."""
        place = conversation.record.workspace, conversation.record.key
        held = {each[2] for each, until in [*self._held.items()] if each[:2] == place and until > now}
        return held.union(*(shown_on(BranchView(conversation, state)) for state in conversation.branches.values()))

    def check_reached(self, view: BranchView, messages: Iterable[Message], now: datetime) -> None:
        """Check that a conversation reaches what messages refer to.

        Raises:
            AttachmentNotFound: it does not, even if the workspace has the bytes.
        """
        wanted = _hashes(messages)
        if not wanted:
            return
        workspace, key = view.conversation.record.workspace, view.conversation.record.key
        known = {sha256 for sha256 in self.reached(view.conversation, now) if (workspace, sha256) in self._stored}
        if missing := wanted - known:
            raise AttachmentNotFound(key, min(missing))

    def let_go(self, workspace: str, key: str, messages: Iterable[Message]) -> None:
        """Stop holding attachments that messages of a conversation now refer to."""
        for sha256 in _hashes(messages):
            self._held.pop((workspace, key, sha256), None)

    def let_go_lost(self, before: ConversationState, after: ConversationState) -> None:
        """Stop holding attachments that the messages of a conversation do not refer to any more."""
        if self._held:
            lost = _referred_to(before) - _referred_to(after)
            for sha256 in lost:
                self._held.pop((after.record.workspace, after.record.key, sha256), None)

    def remove_unused(self, workspace: str, conversations: Iterable[ConversationState], now: datetime) -> None:
        """Remove attachments that nothing in a workspace refers to or holds; deleted conversations hold nothing."""
        stored = [sha256 for slug, sha256 in self._stored if slug == workspace]
        if not stored:
            return
        left = [*conversations]
        keys = {state.record.key for state in left}
        held = [place for place in self._held if place[0] == workspace]
        for place in held:
            if place[1] not in keys or self._held[place] <= now:
                del self._held[place]
        used = {place[2] for place in held if place in self._held}
        used |= {sha256 for each in left for sha256 in _referred_to(each)}
        for sha256 in stored:
            if sha256 not in used:
                del self._stored[workspace, sha256]


def _referred_to(conversation: ConversationState) -> set[str]:
    """The hashes that messages of all branches refer to, or did before an edit; hidden messages are included."""
    branches = conversation.branches.values()
    return set().union(*(_between(branch, branch.ledger.offset, branch.last_seq) for branch in branches))


def shown_on(view: BranchView) -> set[str]:
    """The hashes that the messages that a branch shows refer to, or did before an edit."""
    base = view.state.base_seq
    return set().union(*(_between(part.state, max(part.low, base), part.high) for part in view.lineage()))


def _between(branch: BranchState, low: int, high: int) -> set[str]:
    """The hashes of a branch's own messages after ``low``, up to and including ``high``."""
    found: set[str] = set()
    for seq in range(max(low, branch.ledger.offset) + 1, high + 1):
        former = branch.edits[seq].former if seq in branch.edits else ()
        for row in (branch.row(seq), *(row for row, _until in former)):
            if row.parts is not None:
                found |= hashes([content_of(row.content, row.parts)])
    return found


def _hashes(messages: Iterable[Message]) -> set[str]:
    return hashes(message.content for message in messages)
