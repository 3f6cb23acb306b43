"""Owns the contract's part for full-text search: finding messages by their words, and maintaining the index."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from chat_memory.records import Address, Found, Hit, Query
from chat_memory.storage.contract.part import Part
from chat_memory.storage.listing import NO_FILTER, Filter


class Within(msgspec.Struct, frozen=True):
    """Which messages of which conversations are searched.

    Attributes:
        sessions: the conditions on conversations; its ``since`` and ``until`` are ignored.
        since: only messages from this time or later; None: no condition.
        until: only messages from before this time; None: no condition.
    """

    sessions: Filter = NO_FILTER
    since: datetime | None = None
    until: datetime | None = None


class Indexed(msgspec.Struct, frozen=True):
    """The result of one step of filling the index.

    Attributes:
        messages: how many messages were indexed.
        busy: how many messages were skipped because another transaction had locked their conversations.
        last: the place of the last message that was looked at, after which the next step begins; None: there was none.
    """

    messages: int = 0
    busy: int = 0
    last: tuple[UUID, int] | None = None


class SearchStore(Part):
    """The full-text index of messages; a change of a message changes its index entry in the same transaction."""

    attribute = "search"
    lack = "has no full text (for Django's models add 'chat_memory.search' to INSTALLED_APPS, and migrate)"

    @abstractmethod
    def find(
        self, workspace: str, query: Query, within: Within, *, skip: int = 0, size: int = 20
    ) -> tuple[list[Found], bool]:
        """The conversations of a workspace with matching messages, the best hit first, and whether there are more.

        Only messages that the current branch of their conversation shows are found, and only a fixed number of the
        newest matches is looked at.

        Args:
            workspace: the slug; an unknown workspace has no conversations.
            query: the search.
            within: which conversations and messages are searched.
            skip: how many conversations to skip, because earlier pages returned them.
            size: the maximum number of conversations.
        """

    @abstractmethod
    def find_in(self, at: Address, query: Query, *, size: int = 20) -> list[Hit]:
        """The matching messages that the branch of the address shows, the best first.

        Raises:
            NotOwner: the conversation belongs to somebody else than the address' user.
        """

    @abstractmethod
    def missing(self, workspace: str | None = None) -> int:
        """How many messages are not indexed, or are indexed by another language's rules; None: in all workspaces."""

    @abstractmethod
    def index(self, workspace: str | None = None, *, after: tuple[UUID, int] | None = None, size: int = 500) -> Indexed:
        """Index up to ``size`` messages that are not indexed yet, those after a place, in one transaction.

        It does not wait for locks: messages whose conversation another transaction has locked are skipped.
        """

    @abstractmethod
    def faults(self, rows: Collection[UUID], *, repair: bool = False) -> Mapping[UUID, str]:
        """Describe what is wrong with the index of some session rows, by row; ``repair`` also repairs it.

        A repair adds missing entries, and removes entries that belong to no message.
        """

    @abstractmethod
    def strays(self, workspace: str | None = None, *, repair: bool = False) -> int:
        """How many index entries belong to sessions that do not exist; ``repair`` also deletes them."""
