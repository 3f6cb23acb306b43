"""Owns the part that keeps messages in Django's models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.models import Q

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.exceptions import Busy
from chat_memory.models import Message as MessageRow
from chat_memory.records import Address, Budget, Change, Commit, Header, Message, Slice, Span
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import ALL_MESSAGES, Batch, MessageStore
from chat_memory.storage.orm import appending, popping, reading
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.rows import find, lock, move, touch
from chat_memory.storage.orm.transactions import run_write
from chat_memory.storage.orm.waiting import named


class OrmMessages(OrmPart, MessageStore):
    """Messages in Django's models."""

    def append(
        self, at: Address, messages: Sequence[Message], *, title: str | None = None, if_version: int | None = None
    ) -> Commit:
        """See ``MessageStore.append``."""
        return appending.append(self._alias, at, messages, title, if_version)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``; sessions are locked in sorted order, so that two calls never deadlock."""
        alias = self._alias
        order = sorted(range(len(batches)), key=lambda index: _sort_key(batches[index][0]))

        def write(*, nested: bool) -> list[Commit]:
            done = {index: appending.append_locked(alias, *batches[index], None, nested=nested) for index in order}
            return [done[index] for index in range(len(batches))]

        # If a later batch is refused, the earlier ones must be rolled back too.
        try:
            return run_write(alias, write, whole=True)
        except Busy as error:
            if connections[alias].vendor == "sqlite":
                raise
            raise Busy(named([at for at, *_ in batches]), error.seconds) from error

    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        """See ``MessageStore.read``."""
        return reading.read(self._alias, at, span)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        return reading.peek(self._alias, at)

    def window(self, at: Address, budget: Budget) -> Slice:
        """See ``MessageStore.window``; usually one statement."""
        return reading.window(self._alias, at, budget)

    def window_within(self, at: Address, budget: Budget, *, size: int, most: int) -> tuple[Slice, bool]:
        """See ``MessageStore.window_within``."""
        return reading.window_within(self._alias, at, budget, size=size, most=most)

    def locate(self, at: Address, message_id: str) -> int | None:
        """See ``MessageStore.locate``."""
        stored = MessageRow.objects.using(self._alias).filter(client_id=message_id)
        if at.means_whole:
            places = stored.filter(_of_owner(at), session__deleted_at__isnull=True, **_root(at))
            for seq, base_seq, head in places.values_list("seq", "session__base_seq", "session__head_id"):
                if head is None or at.branch == MAIN_BRANCH:
                    return seq if seq > base_seq else None
        rows = find(self._alias, at)
        if rows is None or (rows.row is rows.root and at.branch != MAIN_BRANCH and rows.root.head_id is None):
            return None
        line = lineage(rows.row)
        found = stored.filter(**line.where).values_list("session_id", "seq")
        return next((seq for session_id, seq in found if line.shows(session_id, seq)), None)

    def pop(self, at: Address) -> Commit | None:
        """See ``MessageStore.pop``."""
        return popping.pop(self._alias, at)

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``: O(1), because the rows stay until cleanup removes them."""
        alias = self._alias

        def write(*, nested: bool) -> Change | None:
            rows = lock(alias, at)
            if rows is None or rows.row.base_seq == rows.row.last_seq:
                return None
            before = rows.header
            after = move(rows.row, base_seq=before.last_seq, message_count=0, cleared_at=datetime.now(UTC))
            touch(rows)
            hidden = {"first_seq": before.base_seq + 1, "last_seq": before.last_seq}
            changed_row(alias, Kind.CLEARED, at, rows.row, after, nested=nested, **hidden)
            return Change(after, before.version, before.vtoken)

        return run_write(alias, write, at=at)


def _root(at: Address) -> dict[str, Any]:
    """The condition for messages of the first row of a conversation."""
    named = {"session__workspace__slug": at.workspace, "session__key": at.key, "session__branch": MAIN_BRANCH}
    pinned = {"session_id": at.session_id, "workspace_id": at.workspace_id} if at.pinned else {}
    return named | pinned


def _of_owner(at: Address) -> Q:
    """The condition for messages of a session that belongs to the address' user or to nobody."""
    if not at.is_checked:
        return Q()
    if at.user_id is None:
        return Q(session__user_id__isnull=True, session__user_key__in=(at.user_key, ""))
    return Q(session__user_id=at.user_id) | Q(session__user_id__isnull=True, session__user_key="")


def _sort_key(at: Address) -> tuple[str, str, str]:
    return at.workspace, at.key, at.branch or CURRENT
