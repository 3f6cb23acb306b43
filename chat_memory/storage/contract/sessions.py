"""Owns the contract's part for sessions without their messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from chat_memory.records import Address, SessionRecord
from chat_memory.storage.contract.part import Part
from chat_memory.storage.listing import NO_FILTER, Cursor, Filter, Usage, every
from chat_memory.storage.mapping import fitting

NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


class SessionStore(Part):
    """Sessions without their messages."""

    attribute = "sessions"
    lack = "cannot keep sessions"

    @abstractmethod
    def get(self, at: Address) -> SessionRecord | None:
        """The session's record; None where there is no session."""

    @abstractmethod
    def find(
        self,
        workspace: str,
        wanted: Filter = NO_FILTER,
        *,
        before: Cursor | None = None,
        after: Cursor | None = None,
        size: int = 50,
    ) -> list[SessionRecord]:
        """At most ``size`` conversations of a workspace that meet a filter, last active first.

        Args:
            workspace: the slug; an unknown workspace has no conversations.
            wanted: the filter.
            before: a place in the list; the conversations that directly follow it, which are less recently active.
            after: a place in the list; the conversations that directly precede it, also last active first. It cannot
                be combined with ``before``.
            size: the maximum number of conversations.
        """

    def find_within(
        self,
        workspace: str,
        wanted: Filter = NO_FILTER,
        *,
        before: Cursor | None = None,
        after: Cursor | None = None,
        size: int = 50,
        most: int,
    ) -> tuple[list[SessionRecord], bool]:
        """As ``find``, with at most ``most`` bytes of metadata and tags together, but at least one conversation.

        Returns:
            The conversations nearest to the place, and whether ``most`` left out some of the ``size``.
        """
        found = self.find(workspace, wanted, before=before, after=after, size=size)
        texts = [msgspec.json.encode((record.tags, record.metadata)) for record in found]
        kept = len(fitting(texts, most, from_end=after is not None)) if found else 0
        return found[len(found) - kept :] if after is not None else found[:kept], kept < len(found)

    def count(self, workspace: str, wanted: Filter = NO_FILTER) -> int:
        """The number of conversations of a workspace that meet a filter."""
        return sum(1 for _record in every(self.find, workspace, wanted))

    @abstractmethod
    def usage(self, workspace: str, wanted: Filter = NO_FILTER) -> Usage:
        """Totals over the conversations that meet a filter, each stored message counted once.

        Messages hidden by ``clear()`` count too, where the back end still stores them and can read them.
        """

    @abstractmethod
    def open(self, at: Address, fields: Mapping[str, Any] = NO_FIELDS) -> tuple[SessionRecord, bool]:
        """The session, created with ``fields`` (see ``fields.OPENABLE``) if there is none; and whether it was created.

        A new session is at version 1; 0 is the version of a session that does not exist. If ``fields`` has a
        ``base_seq``, the first message is stored at the position after it.

        Raises:
            WorkspaceNotFound: the workspace is unknown and may not be created.
            BranchNotFound: the session has no such branch.
        """

    @abstractmethod
    def update(self, at: Address, fields: Mapping[str, Any], *, if_version: int | None = None) -> SessionRecord:
        """Set some of ``fields.SETTABLE``, increase the version, and return the new record.

        Raises:
            SessionNotFound: there is no such session.
            VersionConflict: the branch that the address means is not at ``if_version``.
        """

    @abstractmethod
    def delete(self, at: Address) -> bool:
        """Delete the session and its messages, or the one branch that the address names; False where there was none.

        Raises:
            BranchInUse: the address names a branch whose messages other branches share.
        """
