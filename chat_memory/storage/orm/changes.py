"""Owns the part for syncing readers over Django's models: what changed in the messages that a reader holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from functools import partial
from itertools import accumulate
from typing import NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import BigIntegerField
from django.db.models.expressions import RawSQL
from msgspec import structs

from chat_memory.choices import MAIN_BRANCH
from chat_memory.records import Address, Changes, Header, Message, SessionChanges, Span
from chat_memory.storage import syncing
from chat_memory.storage.contract import ChangeStore
from chat_memory.storage.listing import Filter
from chat_memory.storage.mapping import READ_COLUMNS, to_messages
from chat_memory.storage.orm import hints, listed_changes, message_changes
from chat_memory.storage.orm.lineage import Lineage, lineage
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.reading import fetch_rows, read
from chat_memory.storage.orm.rows import Rows, family, find
from chat_memory.storage.orm.statements import changes as statements
from chat_memory.storage.orm.statements.tables import HEADER, MESSAGE, weight
from chat_memory.storage.syncing import NOTHING, Held, Listed, Part, Plan, digest

_HEADER = len(HEADER)


class OrmChanges(OrmPart, ChangeStore):
    """Changes since a reader's cursor, from Django's models."""

    def messages(self, at: Address, held: Held | None, *, size: int, most: int | None = None) -> Changes:
        """See ``ChangeStore.messages``: one statement if messages were added to ``main`` and nothing else changed."""
        return _at_once(self._alias, at, held, size, most) or _compared(self._alias, at, held, size, most)

    def sessions(
        self, workspace: str, wanted: Filter, listed: Listed | None, *, size: int, most: int | None = None
    ) -> SessionChanges:
        """See ``ChangeStore.sessions``."""
        return listed_changes.find(self._alias, workspace, wanted, listed, size=size, most=most)


class _Main(NamedTuple):
    """The state of ``main``, from the header row of ``statements.since``."""

    header: Header
    on_branch: bool
    number: int
    token: int

    @classmethod
    def of(cls, text: str) -> _Main:
        """Parse the text in the header row."""
        session_id, *numbers = text.split()
        *counters, on_branch, number, token = map(int, numbers)
        return cls(Header(UUID(session_id), *counters), bool(on_branch), number, token)


class _Read(NamedTuple):
    """The conversation and the branch that were read."""

    root: UUID
    branch: str
    header: Header


def _at_once(alias: str, at: Address, held: Held | None, size: int, most: int | None) -> Changes | None:
    """The answer by one statement; None if one statement is not enough."""
    if not at.means_whole or hints.expects_branch(alias, at) or (held and held.row != held.root):
        return None
    postgresql = connections[alias].vendor == "postgresql"
    statement = partial(statements.since, capped=most is not None, postgresql=postgresql)
    params = {"after": held.last if held else 0, "size": size} | ({} if most is None else {"most": most})
    rows = fetch_rows(alias, at, statement, params)
    if not rows:
        return None
    place = next(index for index, row in enumerate(rows) if row[-1] is not None)
    main = _Main.of(rows.pop(place)[-1])
    rows.sort(key=lambda row: row[0])
    messages = to_messages(rows, connections[alias].timezone or UTC)
    header = main.header
    seen = NOTHING
    if main.on_branch:
        hints.note(alias, at, branched=True)
        return None
    if held:
        if messages and messages[0].seq == held.last:
            first = messages.pop(0)
            seen = digest(first.id, first.created_at)
        holds = held.last > held.base
        known = held.root, held.base, held.number, held.token, held.digest if holds else NOTHING
        if known != (header.session_id, header.base_seq, main.number, main.token, seen if holds else NOTHING):
            return None
    keep = held.last if held else header.base_seq
    if keep < header.base_seq:
        return None
    plan = Plan(keep, None if held else 1, [], main.number, main.token)
    of = _Read(header.session_id, MAIN_BRANCH, header)
    return _answer(of, plan, messages, [], held.digest if held else NOTHING)


def _compared(alias: str, at: Address, held: Held | None, size: int, most: int | None) -> Changes:
    """The answer by comparing the cursor with what is stored, in several statements.

    The changes are read before the messages, so a change that is committed in between is told by the next call.
    """
    rows = find(alias, at)
    if rows is None:
        void = 1 if held is None or held.root else None
        return Changes([], [], void, str(Held()), False, at.branch or MAIN_BRANCH, 0)
    hints.note(alias, at, branched=rows.row is not rows.root)
    line = lineage(rows.row)
    former = _former(rows, line, held)
    plan = _plan(rows, line, former, held, size)
    # Read by id, so that a switch or a new session with this key in between has no effect.
    ids = {"session_id": rows.row.pk, "workspace_id": rows.row.workspace_id, "pinned": True}
    here = structs.replace(at, branch=rows.row.branch, **ids)
    plan, changed = _changed(alias, line, plan, most)
    found = read(alias, here, Span(after=plan.keep, first=size, most=most))
    messages = [] if plan.is_cut else found.messages
    kept = held.digest if held and plan.keep == held.last else _digest_at(line, plan.keep)
    of = _Read(rows.root.pk, rows.row.branch, found.header or rows.header)
    return _answer(of, plan, messages, changed, kept)


def _plan(rows: Rows, line: Lineage, former: Lineage | None, held: Held | None, size: int) -> Plan:
    row, alias = rows.row, rows.root._state.db or "default"
    found = None
    if held is not None and held.root == rows.root.pk and former is not None:
        found = syncing.plan(
            held,
            message_changes.noted(alias, rows.root, held.number),
            base=row.base_seq,
            shown=_parts(line),
            former=_parts(former),
            digest_at=partial(_digest_at, former),
            size=size,
        )
    return found or syncing.anew(row.base_seq, message_changes.newest(alias, rows.root))


def _changed(alias: str, line: Lineage, plan: Plan, most: int | None) -> tuple[Plan, list[Message]]:
    """The plan, cut to as many changed messages as have at most ``most`` bytes, and these messages."""
    if not plan.changed:
        return plan, []
    stored = line.stored(each.seq for each in plan.changed)
    if most is not None:
        own = weight(MESSAGE, postgresql=connections[alias].vendor == "postgresql")
        length = RawSQL(own, (), output_field=BigIntegerField())  # noqa: S611  # only names of columns
        sizes = dict(stored.order_by().annotate(length=length).values_list("seq", "length"))
        spent = accumulate(sizes.get(each.seq, 0) for each in plan.changed)
        plan = plan.cut(sum(size <= most for size in spent))
        stored = line.stored(each.seq for each in plan.changed)
    rows = stored.order_by("seq").values_list(*READ_COLUMNS)
    return plan, to_messages(list(rows), connections[alias].timezone or UTC)


def _former(rows: Rows, line: Lineage, held: Held | None) -> Lineage | None:
    """The lineage of the row that the reader read; None where the row is gone."""
    if held is None or held.row is None or held.row == rows.row.pk:
        return line
    row = family(rows.root).filter(pk=held.row).first()
    return lineage(row) if row else None


def _parts(line: Lineage) -> Sequence[Part]:
    return [Part(*stretch) for stretch in reversed(line.stretches)]


def _digest_at(line: Lineage, seq: int) -> str:
    """The digest of the message at a position, hidden or not."""
    if not 0 < seq <= line.row.last_seq:
        return NOTHING
    stored = line.stored_at(seq).values_list("client_id", "created_at").first()
    return digest(*stored) if stored else NOTHING


def _answer(of: _Read, plan: Plan, messages: list[Message], changed: list[Message], kept: str) -> Changes:
    """The result for the reader; ``kept``: the digest of the last message that the reader keeps."""
    last = messages[-1] if messages else None
    end = last.seq or 0 if last else plan.keep
    held = Held(
        root=of.root,
        row=of.header.session_id,
        base=of.header.base_seq,
        last=end,
        digest=digest(last.id, last.created_at) if last else kept,
        number=plan.number,
        token=plan.token,
    )
    more = plan.is_cut or end < of.header.last_seq
    return Changes(messages, changed, plan.void_from, str(held), more, of.branch, of.header.version)
