"""Owns the part that changes stored messages in Django's models."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connections
from django.db.models import F
from msgspec.structs import replace

from chat_memory.exceptions import MessageNotFound
from chat_memory.models import Message as MessageRow, Revision as RevisionRow, Session
from chat_memory.records import Address, Change, Commit, Header, Message, Revision
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import EditStore
from chat_memory.storage.contract.edits import Restate
from chat_memory.storage.mapping import READ_COLUMNS, content_of, to_messages, to_row
from chat_memory.storage.orm.emission import changed_branch
from chat_memory.storage.orm.lineage import branches_sharing, lineage
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.rows import Rows, find, header_of, lock, new_token, touch
from chat_memory.storage.orm.transactions import run_write


class OrmEdits(OrmPart, EditStore):
    """Edits of messages in Django's models, in as many statements however many branches share a message."""

    def edit(self, at: Address, seq: int, restate: Restate) -> Commit:
        """See ``EditStore.edit``."""
        alias = self._alias

        def write(*, nested: bool) -> Commit:
            rows = lock(alias, at)
            stored = rows and lineage(rows.row).message_at(seq)
            if rows is None or stored is None:
                raise MessageNotFound(at.key, seq=seq)
            zone = connections[alias].timezone or UTC
            (before,) = to_messages([[getattr(stored, name) for name in READ_COLUMNS]], zone)
            after = _with_content_of(restate(before), before)
            _rewrite(alias, stored, after)
            old = rows.header
            moved = _move_all_sharing(alias, rows, stored)
            change = Change(moved[rows.row.branch], old.version, old.vtoken)
            commit = Commit((after,), change.header, change)
            for branch, header in moved.items():
                changed_branch(
                    alias,
                    Kind.EDITED,
                    at,
                    header.session_id,
                    branch,
                    header=header,
                    first_seq=seq,
                    last_seq=seq,
                    commit=commit if branch == rows.row.branch else None,
                    nested=nested,
                )
            return commit

        return run_write(alias, write)

    def revisions(self, at: Address, seq: int) -> list[Revision]:
        """See ``EditStore.revisions``."""
        rows = find(self._alias, at)
        if rows is None or not rows.row.base_seq < seq <= rows.row.last_seq:
            return []
        former = RevisionRow.objects.using(self._alias).filter(
            workspace_id=rows.row.workspace_id, session_id=lineage(rows.row).owner(seq), seq=seq
        )
        return [Revision(seq, content_of(row.content, row.parts), row.edited_at) for row in former.order_by("id")]


def _with_content_of(given: Message, stored: Message) -> Message:
    """The stored message with what an edit may change."""
    return replace(stored, content=given.content, content_absent=given.content_absent, tokens=given.tokens)


def _rewrite(alias: str, stored: MessageRow, after: Message) -> None:
    """Keep the former content of a message and store the new one."""
    where = {"workspace_id": stored.workspace_id, "session_id": stored.session_id, "seq": stored.seq}
    former = {"content": stored.content, "parts": stored.parts, "edited_at": datetime.now(UTC)}
    RevisionRow.objects.using(alias).create(**where, **former)
    given = to_row(after)
    new = {"content": given.content, "parts": given.parts, "tokens": given.tokens}
    MessageRow.objects.using(alias).filter(**where).update(**new)


def _move_all_sharing(alias: str, rows: Rows, stored: MessageRow) -> dict[str, Header]:
    """Move the version of every branch that shows a message; their new states by name.

    They get one token together: a state is told apart from another of the same session.
    """
    token, now = new_token(), datetime.now(UTC)
    sessions = Session.objects.using(alias).filter(workspace_id=rows.root.workspace_id)
    sharing = sessions.filter(pk__in=branches_sharing(stored.session_id, stored.seq, rows.root))
    sharing.update(version=F("version") + 1, prev_vtoken=F("vtoken"), vtoken=token, updated_at=now)
    rows.row.updated_at = now
    touch(rows)
    return {row.branch: header_of(row) for row in sharing}
