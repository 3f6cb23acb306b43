"""Owns the contract's part for full text: finding messages by their words, and the index that they are found in."""

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
    """Which messages of which conversations are looked through.

    Attributes:
        sessions: the conditions on conversations; those of its ``since`` and ``until`` are not used.
        since: messages of this time or later; None: no condition.
        until: messages from before this time; None: no condition.
    """

    sessions: Filter = NO_FILTER
    since: datetime | None = None
    until: datetime | None = None


class Indexed(msgspec.Struct, frozen=True):
    """What one step of filling the index did.

    Attributes:
        messages: how many messages were put into the index.
        busy: how many it left since others were writing to their conversations.
        last: the place of the last message that it looked at, where the next step begins; None: there was none.
    """

    messages: int = 0
    busy: int = 0
    last: tuple[UUID, int] | None = None


class SearchStore(Part):
    """The words of messages; each change of a message reaches them in the same transaction."""

    attribute = "search"
    lack = "has no full text (for Django's models add 'chat_memory.search' to INSTALLED_APPS, and migrate)"

    @abstractmethod
    def find(
        self, workspace: str, query: Query, within: Within, *, skip: int = 0, size: int = 20
    ) -> tuple[list[Found], bool]:
        """The conversations of a workspace with messages that fit, the best hit first, and whether there are more.

        A message is found where the current branch of its conversation shows it. Only the newest hits, a fixed number
        of them, are looked at.

        Args:
            workspace: the slug; an unknown workspace has no conversations.
            query: the search.
            within: which conversations and messages are looked through.
            skip: how many conversations of this order were given before.
            size: the maximum number of conversations.
        """

    @abstractmethod
    def find_in(self, at: Address, query: Query, *, size: int = 20) -> list[Hit]:
        """The messages of one conversation that fit, as the branch of the address shows them, the best first.

        Raises:
            NotOwner: the conversation belongs to somebody else than the address' user.
        """

    @abstractmethod
    def missing(self, workspace: str | None = None) -> int:
        """How many messages the index lacks, or has by the rules of another language; None: of all workspaces."""

    @abstractmethod
    def index(self, workspace: str | None = None, *, after: tuple[UUID, int] | None = None, size: int = 500) -> Indexed:
        """Put some messages that the index lacks into it, in one transaction, those after a place.

        It waits for nobody: messages whose conversation another transaction holds are left.
        """

    @abstractmethod
    def faults(self, rows: Collection[UUID], *, repair: bool = False) -> Mapping[UUID, str]:
        """What is wrong with the index of the messages of some session rows, in words; with ``repair`` it was.

        A repair puts in what is missing, and takes out what is of no message.
        """

    @abstractmethod
    def strays(self, workspace: str | None = None, *, repair: bool = False) -> int:
        """How many entries the index has of sessions that do not exist; with ``repair`` it had them."""
