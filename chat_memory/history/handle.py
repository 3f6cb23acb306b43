"""Owns what all parts of a conversation share: its address, its adapter, and the ids that answers have returned."""

from __future__ import annotations

from typing import Self

import msgspec

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.records import Address, Commit, Header, Receipt
from chat_memory.storage.contract import Adapter


class Place:
    """The address of a conversation on one back end; all objects made from the conversation share it.

    Attributes:
        address: the names, and their ids once an answer has returned them.
        adapter: the back end; ``adapter.messages``, ``adapter.part(BranchStore)`` and so on do the work.
        settings_alias: a tuple of the database alias for which the settings gave the adapter; None if the caller passed
            an adapter.
    """

    __slots__ = ("adapter", "address", "settings_alias")

    def __init__(self, address: Address, adapter: Adapter, settings_alias: tuple[str | None] | None = None) -> None:
        self.address = address
        self.adapter = adapter
        self.settings_alias = settings_alias

    def on(self, branch: str) -> Address:
        """The address of one branch of the conversation, by its name."""
        return msgspec.structs.replace(self.address, branch=branch, session_id=None, pinned=False)

    def remember(self, header: Header | None) -> None:
        """Keep the ids of an answer, so that the next call need not look the names up."""
        at = self.address
        if header is not None and not at.pinned and header.session_id != at.session_id:
            self.address = msgspec.structs.replace(at, session_id=header.session_id, workspace_id=header.workspace_id)

    def receipt(self, commit: Commit) -> Receipt:
        """The receipt of a commit; its ids are remembered."""
        self.remember(commit.header)
        first_seq, last_seq = _ends(commit)
        branch = commit.branch or self.address.branch or MAIN_BRANCH
        version, replayed = commit.header.version, commit.change is None
        return Receipt(first_seq, last_seq, version, replayed, commit.messages, branch, commit.former_branch)


class Handle:
    """The base of the mixins of ``Conversation``; there must be no further mixin.

    A new capability is an object made from the conversation, in a module of its own, over one part of the adapter. Such
    an object, like each mixin, uses only ``place``, whose attributes and methods are the whole contract inside
    ``history``.

    Attributes:
        place: where the conversation is.
    """

    def __init__(self, address: Address, adapter: Adapter, settings_alias: tuple[str | None] | None = None) -> None:
        self.place = Place(address, adapter, settings_alias)

    def __repr__(self) -> str:
        at = self.place.address
        return f"<Conversation {at.workspace}/{at.key}" + (f"@{at.branch}>" if at.branch != CURRENT else ">")

    @property
    def workspace(self) -> str:
        """The workspace's slug."""
        return self.place.address.workspace

    @property
    def key(self) -> str:
        """The session's key."""
        return self.place.address.key

    @property
    def branch(self) -> str:
        """The branch that this handle is bound to; ``main`` where it follows the current one."""
        return self.place.address.branch or MAIN_BRANCH

    def _on(self, branch: str) -> Self:
        """The same conversation, bound to one of its branches."""
        return type(self)(self.place.on(branch), self.place.adapter, self.place.settings_alias)


def _ends(commit: Commit) -> tuple[int | None, int | None]:
    """The smallest and the largest position of a commit's messages; replays among them may stand in any order."""
    messages = commit.messages
    if commit.change is not None and commit.change.added == len(messages):
        return messages[0].seq, messages[-1].seq
    positions = [message.seq for message in messages if message.seq is not None]
    return min(positions), max(positions)
