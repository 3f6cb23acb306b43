"""Owns the part that changes stored messages in Django's models, on every branch that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from django.db.models import F, Q

from chat_memory.choices import State
from chat_memory.models import (
    AttachmentReference,
    Draft,
    Feedback,
    Message as MessageRow,
    Redaction,
    Revision as RevisionRow,
    Session,
)
from chat_memory.records import Address, Change, Commit, Message, Revision
from chat_memory.rules.feedback import model_of
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import EditStore
from chat_memory.storage.contract.edits import Place, Restate, edited, not_found, redacted
from chat_memory.storage.mapping import content_of, to_row
from chat_memory.storage.orm import beside, removal
from chat_memory.storage.orm.derived import forget_summaries, record_of, remade_title, set_title
from chat_memory.storage.orm.emission import branch_event, emit_after_commit
from chat_memory.storage.orm.lineage import branches_sharing, lineage
from chat_memory.storage.orm.message_changes import note_rewritten
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.referring import check_stored, refer
from chat_memory.storage.orm.rows import Rows, check_version, family, find, header_of, lock, new_token, touch
from chat_memory.storage.orm.transactions import run_write

CHANGED = ("content", "parts", "name", "tool_calls", "metadata", "extra", "tokens", "state")
"""The columns that an edit or a redaction may change."""


class OrmEdits(OrmPart, EditStore):
    """Changes of messages in Django's models; branches that share a message cost no further statements."""

    def edit(self, at: Address, place: Place, restate: Restate, *, if_version: int | None = None) -> Commit:
        """See ``EditStore.edit``."""
        alias = self._alias

        def write(*, nested: bool) -> Commit:
            found = _found(alias, at, place, if_version)
            change = _Change(alias, at, found, nested=nested)
            return change.edit(edited(at.key, found.message, restate))

        return run_write(alias, write, at=at)

    def redact(
        self, at: Address, place: Place, restate: Restate, *, by: str = "", if_version: int | None = None
    ) -> Commit:
        """See ``EditStore.redact``."""
        alias = self._alias

        def write(*, nested: bool) -> Commit:
            found = _found(alias, at, place, if_version)
            change = _Change(alias, at, found, nested=nested)
            return change.redact(redacted(found.message, restate), by)

        return run_write(alias, write, at=at)

    def revisions(self, at: Address, place: Place) -> list[Revision]:
        """See ``EditStore.revisions``."""
        rows = find(self._alias, at)
        stored = rows and lineage(rows.row).message(place)
        if rows is None or stored is None:
            return []
        former = RevisionRow.objects.using(self._alias).filter(_of([stored]), workspace_id=stored.workspace_id)
        return [
            Revision(stored.seq, content_of(row.content, row.parts), row.edited_at) for row in former.order_by("id")
        ]


def finished(alias: str, at: Address, place: Place, after: Message, *, nested: bool) -> Commit:
    """Replace a partial message by the finished one, within an open transaction; id, position and time stay.

    Raises:
        MessageNotFound: the branch does not show the message.
    """
    found = _found(alias, at, place, None)
    after = msgspec.structs.replace(
        after, seq=found.stored.seq, turn=found.stored.turn, created_at=found.message.created_at
    )
    return _Change(alias, at, found, nested=nested).edit(after)


class Found(NamedTuple):
    """A stored message that is to be changed: its row and its record, and the locked rows of its conversation."""

    rows: Rows
    stored: MessageRow
    message: Message


def _found(alias: str, at: Address, place: Place, if_version: int | None) -> Found:
    """A message that the branch shows, under the lock of its conversation.

    Raises:
        MessageNotFound: there is none.
        VersionConflict: the branch is not at ``if_version``.
    """
    rows = lock(alias, at)
    if rows is not None:
        check_version(rows.row, if_version)
    stored = rows and lineage(rows.row).message(place)
    if rows is None or stored is None:
        raise not_found(at.key, place)
    return Found(rows, stored, record_of(alias, stored))


class _Change:
    """One change of a stored message, under the lock of its conversation."""

    def __init__(self, alias: str, at: Address, found: Found, *, nested: bool) -> None:
        self._alias, self._at, self._nested = alias, at, nested
        self._rows, self._stored, self._before = found

    def edit(self, after: Message) -> Commit:
        """Store the edited message."""
        alias, stored = self._alias, self._stored
        given, was = to_row(after), to_row(self._before)
        if given == was:
            return Commit((self._before,), self._rows.header, None)
        says_else = (given.content, given.parts) != (was.content, was.parts)
        check_stored(alias, self._rows.root, [after])
        _rewrite(alias, self._at, [stored], after)
        _note_model(alias, [stored], self._before, after)
        shown = _shown_on(self._rows, [stored])
        if says_else:
            _keep_former(alias, stored)
            # References of the former content stay, because it is kept as a revision.
            root = self._rows.root
            refer(alias, root.workspace_id, root.pk, {(stored.session_id, stored.seq): after.content})
            removal.remove_made_of(alias, _of([stored]), stored.workspace_id)
            self._forget_drafts(shown)
            self._forget([stored], after, shown)
        note_rewritten(alias, self._rows.root, [stored])
        return self._moved(Kind.EDITED, after, shown)

    def redact(self, after: Message, by: str) -> Commit:
        """Store the redacted message, also in place of its copies."""
        alias, stored = self._alias, self._stored
        if after is self._before:
            return Commit((after,), self._rows.header, None)
        same = [stored, *_copies(alias, self._rows.root, stored)]
        _rewrite(alias, self._at, same, after)
        RevisionRow.objects.using(alias).filter(_of(same), workspace_id=stored.workspace_id).delete()
        _empty_comments(alias, same)
        removal.remove_made_of(alias, _of(same), stored.workspace_id)
        self._forget_attachments(same)
        noted = {"workspace_id": stored.workspace_id, "by": by, "redacted_at": datetime.now(UTC)}
        notes = [Redaction(session_id=each.session_id, seq=each.seq, **noted) for each in same]
        Redaction.objects.using(alias).bulk_create(notes)
        shown = _shown_on(self._rows, same)
        self._forget_drafts(shown)
        self._forget(same, after, shown)
        note_rewritten(alias, self._rows.root, same)
        return self._moved(Kind.REDACTED, after, shown)

    def _forget_drafts(self, shown: Mapping[UUID, int]) -> None:
        """Remove the drafts that would replace the messages, on any branch, because they may contain their text."""
        drafts = Draft.objects.using(self._alias).filter(workspace_id=self._rows.root.workspace_id)
        for seq in {*shown.values()}:
            drafts.filter(session_id__in=[pk for pk, place in shown.items() if place == seq], seq=seq).delete()

    def _forget_attachments(self, stored: Sequence[MessageRow]) -> None:
        """Remove the references of messages, and the references that hold the same attachments for a future message."""
        root = self._rows.root
        own = AttachmentReference.objects.using(self._alias).filter(_of(stored), workspace_id=root.workspace_id)
        held = Q(session_id=root.pk, seq=0, sha256__in=own.values("sha256"))
        removal.remove_from(self._alias, AttachmentReference, _of(stored) | held, root.workspace_id)

    def _forget(self, stored: Sequence[MessageRow], after: Message, shown: Mapping[UUID, int]) -> None:
        """Update what was derived from the message: delete summaries, and make an automatic title again."""
        root = self._rows.root
        forget_summaries(self._alias, root.workspace_id, shown)
        title = remade_title(self._alias, root, stored, after)
        if title is not None:
            set_title(self._alias, self._at, root, title, alone=root.pk not in shown, nested=self._nested)

    def _moved(self, kind: Kind, after: Message, shown: Mapping[UUID, int]) -> Commit:
        """Move the version of every branch that has the message, and emit an event for each.

        All get the same token, which is enough, because a token only tells apart the states of one session row.
        """
        rows, old, now, token = self._rows, self._rows.header, datetime.now(UTC), new_token()
        sharing = Session.objects.using(self._alias).filter(workspace_id=rows.root.workspace_id, pk__in=[*shown])
        sharing.update(version=F("version") + 1, prev_vtoken=F("vtoken"), vtoken=token, updated_at=now, changed_at=now)
        rows.row.updated_at = now
        touch(rows)
        headers = {row.branch: header_of(row) for row in sharing}
        change = Change(headers[rows.row.branch], old.version, old.vtoken)
        commit = Commit((after,), change.header, change)
        events = []
        for branch, header in headers.items():
            more: dict[str, Any] = {"header": header, "commit": commit if branch == rows.row.branch else None}
            more |= dict.fromkeys(("first_seq", "last_seq"), shown[header.session_id])
            ids = (self._alias, kind, self._at, header.session_id, branch)
            events.append(branch_event(*ids, nested=self._nested, **more))
        emit_after_commit(self._alias, *events)
        return commit


def _copies(alias: str, root: Session, stored: MessageRow) -> list[MessageRow]:
    """The copies of a message on other branches, which a merge makes: same id, and a content that both have had."""
    same_id = MessageRow.objects.using(alias).filter(workspace_id=root.workspace_id, client_id=stored.client_id)
    unlike = Q(pk=stored.pk) | Q(state=State.REDACTED.value)
    others = list(same_id.filter(session_id__in=family(root).values("pk")).exclude(unlike))
    if not others:
        return []
    contents = {(row.session_id, row.seq): {(row.content, row.parts)} for row in (stored, *others)}
    former = RevisionRow.objects.using(alias).filter(_of([stored, *others]), workspace_id=root.workspace_id)
    for row in former:
        contents[row.session_id, row.seq].add((row.content, row.parts))
    said = contents[stored.session_id, stored.seq]
    return [row for row in others if not said.isdisjoint(contents[row.session_id, row.seq])]


def _rewrite(alias: str, at: Address, stored: Sequence[MessageRow], after: Message) -> None:
    given = to_row(after)
    rows = MessageRow.objects.using(alias).filter(pk__in=[row.pk for row in stored])
    rows.filter(workspace_id=stored[0].workspace_id).update(**{column: getattr(given, column) for column in CHANGED})
    beside.rewrite(alias, at.workspace, stored)


def _keep_former(alias: str, stored: MessageRow) -> None:
    """Store the former content of a message, which its row object still has, as a revision."""
    where = {"workspace_id": stored.workspace_id, "session_id": stored.session_id, "seq": stored.seq}
    former = {"content": stored.content, "parts": stored.parts, "edited_at": datetime.now(UTC)}
    RevisionRow.objects.using(alias).create(**where, **former)


def _note_model(alias: str, stored: Sequence[MessageRow], before: Message, after: Message) -> None:
    """Copy the language model that messages name now to the feedback on them."""
    named = model_of(after)
    if named != model_of(before):
        rows = Feedback.objects.using(alias).filter(_of(stored), workspace_id=stored[0].workspace_id)
        rows.update(model=named)


def _empty_comments(alias: str, stored: Sequence[MessageRow]) -> None:
    """Remove all but the votes from the feedback on messages, because a comment may quote the message."""
    rows = Feedback.objects.using(alias).filter(_of(stored), workspace_id=stored[0].workspace_id)
    rows.update(comment="", model="")


def _of(stored: Sequence[MessageRow]) -> Q:
    """The condition for rows that belong to messages, by session row and position."""
    return reduce(or_, (Q(session_id=row.session_id, seq=row.seq) for row in stored))


def _shown_on(rows: Rows, stored: Sequence[MessageRow]) -> dict[UUID, int]:
    """The rows of all branches that have one of the messages, with its position; cleared branches are included."""
    return {row_id: each.seq for each in stored for row_id in branches_sharing(each.session_id, each.seq, rows.root)}
