"""Owns the part that keeps drafts in Django's models: a write is one statement, begin and end lock the conversation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import Error, connections
from django.db.models import BigIntegerField, F, QuerySet, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Substr

from chat_memory.choices import State, TurnState
from chat_memory.conf import settings
from chat_memory.exceptions import DraftExists, DraftLost, MessageConflict, MessageNotFound, TooManyDrafts, TurnLost
from chat_memory.models import Draft as DraftRow, Message as MessageRow, Session
from chat_memory.records import Address, Draft, Lease, Message, NewDraft, TurnRight
from chat_memory.rules.drafts import check_partial
from chat_memory.rules.overlap import is_answered
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Conclude, DraftStore, Settled
from chat_memory.storage.orm.appending import append_locked
from chat_memory.storage.orm.creating import create
from chat_memory.storage.orm.cursor import fetch
from chat_memory.storage.orm.derived import record_of
from chat_memory.storage.orm.edits import finished
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.known import known_messages
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.passing import is_unavailable
from chat_memory.storage.orm.rows import Rows, family, find, lock
from chat_memory.storage.orm.statements import drafts as statements
from chat_memory.storage.orm.transactions import Work, owns_transaction, run_durably, run_write, trying_again
from chat_memory.storage.orm.turns import asked_at, is_there_free, milliseconds, renewed
from chat_memory.storage.orm.waiting import bound_transaction

_WHAT = "a draft is written"


class OrmDrafts(OrmPart, DraftStore):
    """Drafts in Django's models."""

    def open(self, at: Address, new: NewDraft, right: TurnRight | None = None) -> Lease:
        """See ``DraftStore.open``."""
        alias = self._alias

        def begin() -> Lease:
            rows = _locked_by(alias, right) if right else lock(alias, at) or _made(alias, at)
            replaced, taken = _replaced(alias, at, rows, new, in_turn=right is not None), None
            if replaced is None:
                known = known_messages(rows.row, [Message(new.role, id=new.id)])
                taken = known.get(new.id)
            message_id = new.id if replaced is None else replaced.client_id
            open_ids = list(_of(alias, rows.root).values_list("client_id", flat=True))
            if taken is not None:
                raise MessageConflict(message_id, seq=taken.seq)
            if message_id in open_ids:
                raise DraftExists(at.key, message_id)
            if len(open_ids) >= settings.max_drafts:
                raise TooManyDrafts(at.key, settings.max_drafts)
            return _begun(alias, rows, new, replaced, right.held.number if right else None)

        return run_durably(alias, begin, what=_WHAT, at=at)

    def write(self, at: Address, lease: Lease, piece: str, length: int) -> bool:
        """See ``DraftStore.write``: one statement, which waits only for a call that settles this draft."""
        alias = self._alias
        connection = connections[alias]
        params = {
            "piece": piece,
            "size": len(piece),
            "length": length,
            "number": lease.draft.number,
            "workspace_id": lease.workspace_id,
        }

        def write() -> list[tuple[Any, ...]]:
            return fetch(connection, statements.write(connection.vendor), params)

        found = trying_again(alias, write) if owns_transaction(alias) else run_durably(alias, write, what=_WHAT, at=at)
        if not found:
            raise DraftLost(at.key, lease.draft.id)
        return bool(found[0][0])

    def settle(
        self, at: Address, draft: Draft, conclude: Conclude, *, lapsed: bool = False, right: TurnRight | None = None
    ) -> Settled:
        """See ``DraftStore.settle``."""
        alias = self._alias

        def end(*, nested: bool) -> Settled | None:
            under = _free_turn(alias, at, draft) if right is None else draft.turn
            if under is not None and under < 0:
                if lapsed:
                    return Settled(ended=False)
                raise TurnLost(at.key, draft.turn or 0)
            rows = _locked_by(alias, right) if right else lock(alias, at)
            row = None if rows is None else _held(_of(alias, rows.root), draft)
            if row is None:
                raise DraftLost(at.key, draft.id)
            if lapsed and not _record(row, "").lapsed:
                return Settled(ended=False)
            ended = _ended(alias, _on(at, row.session), row, conclude, under=under, nested=nested)
            if right and ended and ended.commit and is_answered(ended.commit.messages):
                renewed(alias, right.held, _values(right) | {"state_of_turn": TurnState.ANSWERED.value}, state=True)
            return ended

        settled = _ended_now(alias, at, end, lapsed=lapsed)
        if settled is None and not lapsed:
            raise DraftLost(at.key, draft.id)
        return settled or Settled(ended=True)

    def stop(self, at: Address, message_id: str) -> bool:
        """See ``DraftStore.stop``."""
        alias = self._alias

        def write(*, nested: bool) -> bool:
            if not nested:
                bound_transaction(alias)  # it waits for the draft's own row
            rows = find(alias, at)
            return rows is not None and bool(
                _of(alias, rows.root).filter(client_id=message_id).order_by().update(stop_asked=True)
            )

        return run_write(alias, write, at=at)

    def all(self, at: Address) -> list[Draft]:
        """See ``DraftStore.all``."""
        rows = find(self._alias, at)
        found = _of(self._alias, rows.root).defer("text").select_related("session") if rows else ()
        return [_record(row, "") for row in found]

    def find(self, at: Address, message_id: str, after: int = 0) -> Draft | None:
        """See ``DraftStore.find``; only the text that is asked for leaves the database."""
        rows = find(self._alias, at)
        if rows is None:
            return None
        found = _of(self._alias, rows.root).defer("text").select_related("session").filter(client_id=message_id)
        row = found.annotate(rest=Substr("text", Value(after + 1))).first()
        return None if row is None else _record(row, row.rest)


def _ended_now(alias: str, at: Address, end: Work[Settled | None], *, lapsed: bool) -> Settled | None:
    """Run the end of a draft; a lapsed draft stays if the database cannot be written now, for example on a replica."""
    try:
        return run_write(alias, end, whole=True, at=at)
    except Error as error:
        if lapsed and is_unavailable(error):
            return Settled(ended=False)
        raise


def _now(alias: str) -> RawSQL:
    text = statements.now(connections[alias].vendor)
    return RawSQL(text, (), output_field=BigIntegerField())  # noqa: S611  # it has no values


def with_age(rows: QuerySet[DraftRow], alias: str) -> QuerySet[DraftRow]:
    """Drafts, each with its ``age`` in milliseconds by the clock of the database."""
    return rows.annotate(age=_now(alias) - F("touched"))


def _of(alias: str, root: Session) -> QuerySet[DraftRow]:
    """The drafts of a conversation, each with its ``age`` in milliseconds."""
    rows = DraftRow.objects.using(alias).filter(workspace_id=root.workspace_id, session__in=family(root).values("pk"))
    return with_age(rows, alias).order_by("pk")


def _made(alias: str, at: Address) -> Rows:
    """Create the conversation of a draft that is begun before its first message."""
    rows, made = create(alias, at, {"version": 1}, nested=False)
    if made:
        changed_row(alias, Kind.OPENED, at, rows.row, rows.header, made=True, nested=False)
    return rows


def _locked_by(alias: str, right: TurnRight) -> Rows:
    """Renew the right to a turn, and lock the rows of its branch.

    Raises:
        TurnLost: the caller does not hold the turn.
    """
    held = right.held
    renewed(alias, held, _values(right))
    rows = lock(alias, held.at)
    if rows is None or rows.row.pk != held.at.session_id:
        raise TurnLost(held.at.key, held.number)
    return rows


def _values(right: TurnRight) -> dict[str, Any]:
    return {"holder": right.held.holder, "lease": milliseconds(right.lease)}


def _free_turn(alias: str, at: Address, draft: Draft) -> int | None:
    """The number of the turn to store a draft in; -1: somebody is answering it; None: there is no turn."""
    rows = None if draft.turn is None else find(alias, at)
    if rows is None or draft.turn is None:
        return None
    found = DraftRow.objects.using(alias).filter(pk=draft.number, workspace_id=rows.root.workspace_id)
    row = found.select_related("session").first()
    seq = None if row is None else asked_at(alias, row.session, draft.turn)
    if row is None or seq is None or seq <= row.session.base_seq:
        return None
    free = is_there_free(alias, row.session, draft.turn)
    return -1 if free is False else draft.turn


def _replaced(alias: str, at: Address, rows: Rows, new: NewDraft, *, in_turn: bool) -> MessageRow | None:
    """The message that a draft replaces; None if the draft is a new message.

    In a turn, a partial message that another branch shows too is not replaced, because that branch may have its own
    answer after it; the draft is then a new message.

    Raises:
        MessageNotFound: the branch does not show the message.
        ValidationError: the message may not be replaced.
    """
    if new.place is None:
        return None
    stored = lineage(rows.row).message(new.place)
    if stored is not None and in_turn and _is_shared(rows, stored):
        return None
    if stored is None:
        named = {"message_id": new.place} if isinstance(new.place, str) else {"seq": new.place}
        raise MessageNotFound(at.key, **named)
    newest = stored.seq if in_turn else rows.row.last_seq
    check_partial(record_of(alias, stored), newest, goes_on=new.goes_on)
    return stored


def _begun(alias: str, rows: Rows, new: NewDraft, replaced: MessageRow | None, turn: int | None) -> Lease:
    """Create the row of a draft on its branch; the message that the draft replaces may be on an ancestor's row."""
    stored = None if replaced is None else record_of(alias, replaced)
    text = str(stored.content or "") if stored is not None and new.goes_on else ""
    given: dict[str, Any] = {"role": new.role, "client_id": new.id, "name": new.name}
    if replaced is not None:
        given = {"role": replaced.role, "client_id": replaced.client_id, "name": replaced.name, "seq": replaced.seq}
    row = DraftRow.objects.using(alias).create(
        workspace_id=rows.root.workspace_id,
        session_id=rows.row.pk,
        begun=_now(alias),
        touched=_now(alias),
        length=len(text),
        turn=turn,
        metadata=None if new.metadata is None else msgspec.json.encode(new.metadata).decode(),
        text=text,
        **given,
    )
    draft = Draft(
        id=row.client_id,
        role=row.role,
        state=State.STREAMING.value,
        text=text,
        length=len(text),
        branch=rows.row.branch,
        name=row.name,
        metadata=new.metadata,
        number=row.pk,
        turn=turn,
    )
    return Lease(draft, rows.root.workspace_id, row.session_id, stored)


def _ended(alias: str, at: Address, row: Any, conclude: Conclude, *, under: int | None, nested: bool) -> Settled | None:
    """Remove a draft, and store its message in the turn ``under`` or in the newest one.

    None: nothing was stored, because the message to replace or the question of the turn is no longer visible.
    """
    record = _record(row, row.text)
    rows = lock(alias, at) if row.seq or row.turn is not None else None
    row.delete()
    stored = None
    if rows is not None:
        seq = row.seq or asked_at(alias, row.session, row.turn)
        stored = lineage(rows.row).message(seq) if seq else None
    if stored is None and (row.seq or row.turn is not None):
        return None
    replaced = stored if row.seq else None
    message = conclude(record, None if replaced is None else record_of(alias, replaced))
    if rows and replaced and message and record.turn and is_answered([message]) and _is_shared(rows, replaced):
        replaced, message = None, conclude(record, None)
    if message is None:
        return Settled(ended=True)
    if replaced is None:
        commit = append_locked(alias, at, [message], None, None, under=under, nested=nested)
    else:
        commit = finished(alias, at, row.seq, message, nested=nested)
    return Settled(ended=True, commit=msgspec.structs.replace(commit, nested=nested))


def _held(drafts: QuerySet[DraftRow], draft: Draft) -> DraftRow | None:
    """The row of a draft, locked."""
    rows = drafts.filter(pk=draft.number, client_id=draft.id).select_related("session")
    return rows.select_for_update(of=("self",)).first()


def _is_shared(rows: Rows, stored: MessageRow) -> bool:
    """Whether another branch than that of ``rows`` shows the message."""
    children = family(rows.root).filter(parent_id=rows.row.pk, fork_seq__gte=stored.seq)
    return stored.session_id != rows.row.pk or children.exists()


def _on(at: Address, row: Session) -> Address:
    """The address of a draft's branch, with the same access to the conversation as the caller's address."""
    free = at.any_owner or at.pinned
    return msgspec.structs.replace(at, branch=row.branch, session_id=None, pinned=False, any_owner=free)


def _record(row: Any, text: str) -> Draft:
    """The record of a row with its ``age``."""
    return Draft(
        id=row.client_id,
        role=row.role,
        state=State.STREAMING.value,
        text=text,
        length=row.length,
        branch=row.session.branch,
        name=row.name,
        stop_asked=row.stop_asked,
        begun_at=datetime.fromtimestamp(row.begun / 1000, UTC),
        touched_at=datetime.fromtimestamp(row.touched / 1000, UTC),
        metadata=None if row.metadata is None else msgspec.json.decode(row.metadata),
        number=row.pk,
        lapsed=row.age > settings.draft_lapse_seconds * 1000,
        turn=row.turn,
    )
