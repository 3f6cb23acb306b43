"""Owns the part that keeps the right to answer a question in Django's models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from django.db import connections

from chat_memory.choices import CURRENT, TurnState
from chat_memory.exceptions import TurnLost, TurnNotFound, TurnTaken
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import Address, Budget, Commit, HeldTurn, Message, OpenTurn
from chat_memory.rules.attachments import hashes
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.overlap import check_of_turn, is_answered
from chat_memory.storage.contract import TurnStore
from chat_memory.storage.mapping import check_replay
from chat_memory.storage.orm import appending, reading
from chat_memory.storage.orm.creating import create
from chat_memory.storage.orm.cursor import fetch, uuid_value
from chat_memory.storage.orm.derived import record_of
from chat_memory.storage.orm.known import known_messages
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.referring import check_stored
from chat_memory.storage.orm.rows import Rows, family, find, lock
from chat_memory.storage.orm.statements import append as appends, turns as statements
from chat_memory.storage.orm.transactions import owns_transaction, run_durably, run_write, trying_again

Result = TypeVar("Result")
_ALL = 2**31 - 1
_WHAT = "a turn is taken"


class Taking(NamedTuple):
    """The arguments of ``take``."""

    question: Message | str
    holder: str
    lease: int
    title: str | None
    known: bool
    alone: bool

    @property
    def ident(self) -> str:
        """The id of the question."""
        return self.question if isinstance(self.question, str) else self.question.id or ""


class OrmTurns(OrmPart, TurnStore):
    """Turns in Django's models; the lease is measured by the database's own clock."""

    def take(
        self,
        at: Address,
        question: Message | str,
        *,
        holder: str,
        lease: float,
        title: str | None = None,
        known: bool = True,
        alone: bool = False,
    ) -> HeldTurn:
        """See ``TurnStore.take``; one statement for a new question on PostgreSQL."""
        alias, taking = self._alias, Taking(question, holder, milliseconds(lease), title, known, alone)
        if isinstance(question, Message):
            return (_asked_at_once(alias, at, question, taking) if not alone else None) or self._asked(
                at, question, taking
            )
        return self._found(at, taking)

    def _asked(self, at: Address, question: Message, taking: Taking) -> HeldTurn:
        """Store a question that may be stored already, and take its turn."""
        alias = self._alias
        while True:
            work = partial(_asked, alias, at, question, taking, nested=not owns_transaction(alias))
            made: HeldTurn | None = run_durably(alias, work, what=_WHAT, at=at)
            if made is not None:
                return made
            try:
                return self._found(at, taking)
            except TurnNotFound:  # removed meanwhile, unless it is hidden
                if _is_hidden(alias, at, taking.ident):
                    raise

    def _found(self, at: Address, taking: Taking) -> HeldTurn:
        """Take the turn of a question that is stored.

        Raises:
            TurnNotFound: it is not.
        """
        alias = self._alias
        while True:
            work = partial(_taken, alias, at, taking)
            # A turn is taken only if it is still as it was read, so the statements need no transaction of their own.
            owned = owns_transaction(alias) and not taking.alone
            found = trying_again(alias, work, at) if owned else run_durably(alias, work, what=_WHAT, at=at)
            if found is not None:
                return found

    def append(self, held: HeldTurn, messages: Sequence[Message], *, lease: float, state: TurnState) -> Commit:
        """See ``TurnStore.append``; one statement on PostgreSQL."""
        alias, at = self._alias, held.at
        values = {"holder": held.holder, "lease": milliseconds(lease), "state_of_turn": str(state)}
        refers = bool(hashes(message.content for message in messages))
        if not refers and owns_transaction(alias) and connections[alias].vendor == "postgresql":
            place = {"under": held.number, "asked_at": held.question.seq}
            turn = appending.OfTurn(appends.HELD, values | place, held.number)
            stored = appending.of_turn(alias, at, messages, None, turn)
            if stored is not None:
                return stored[0]
        return run_write(alias, partial(_appended, alias, held, messages, values), whole=True, at=at)

    def renew(self, held: HeldTurn, *, lease: float) -> None:
        """See ``TurnStore.renew``."""
        values = {"lease": milliseconds(lease), "holder": held.holder}
        _write(self._alias, held.at, partial(renewed, self._alias, held, values))

    def release(self, held: HeldTurn) -> None:
        """See ``TurnStore.release``."""
        values = {"holder": held.holder}
        _write(self._alias, held.at, partial(_on_turn, self._alias, held, statements.released(), values))

    def open(self, at: Address) -> list[OpenTurn]:
        """See ``TurnStore.open``."""
        rows = find(self._alias, at)
        return _open(self._alias, rows.row) if rows else []

    def interrupt(self, at: Address, *, before: int | None = None, state: TurnState) -> list[OpenTurn]:
        """See ``TurnStore.interrupt``."""
        alias = self._alias
        rows = find(alias, at)
        if rows is None:
            return []
        params = {"before": _ALL if before is None else before, "state_of_turn": str(state)}
        sql = statements.ended(postgresql=_is_postgresql(alias))
        found = _write(alias, at, partial(_of_row, alias, rows.row, sql, params))
        return sorted(_opened(found), key=lambda turn: turn.number)


def _write(alias: str, at: Address, work: Callable[[], Result]) -> Result:
    """Run a write that emits no event."""

    def write(*, nested: bool) -> Result:  # noqa: ARG001
        return work()

    return run_write(alias, write, at=at)


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds, which the statements take."""
    return round(seconds * 1000)


def _asked_at_once(alias: str, at: Address, question: Message, taking: Taking) -> HeldTurn | None:
    """Store a new question and take its turn, by one statement; None if one statement is not enough."""
    if hashes([question.content]) or not owns_transaction(alias) or not _is_postgresql(alias):
        return None
    form = appends.FOUND if taking.known else appends.NEW
    turn = appending.OfTurn(form, {"holder": taking.holder, "lease": taking.lease})
    told = appending.of_turn(alias, at, [question], taking.title, turn)
    if told is None:
        return None
    commit, branch = told
    header, (stored,) = commit.header, commit.messages
    own = msgspec.structs.replace(
        at, branch=branch, session_id=header.session_id, workspace_id=header.workspace_id, pinned=True
    )
    return HeldTurn(own, stored.turn or 0, stored, (), taking.holder, 0.0, header.version, is_new=True)


def _asked(alias: str, at: Address, question: Message, taking: Taking, *, nested: bool) -> HeldTurn | None:
    """Store a question under the lock of its conversation, and take its turn; None where it is stored already."""
    rows = lock(alias, at)
    if rows is not None and taking.known and _is_stored(rows, at, taking.ident):
        return None
    if rows is None:
        rows, _made = create(alias, at, nested=nested)
    _check_alone(alias, at, rows.row, None, taking)
    check_stored(alias, rows.root, [question])
    commit = appending.store_and_tell(alias, at, rows, [question], taking.title, nested=nested)
    (stored,) = commit.messages
    values = {"turn": stored.turn, "seq": stored.seq, "holder": taking.holder, "lease": taking.lease}
    _of_row(alias, rows.row, statements.put(postgresql=_is_postgresql(alias)), values)
    own, version = _own(at, rows.row), commit.header.version
    return HeldTurn(own, stored.turn or 0, stored, (), taking.holder, 0.0, version, is_new=True)


def _taken(alias: str, at: Address, taking: Taking) -> HeldTurn | None:
    """Take the turn of a stored question; None if the turn has changed since it was read, so the caller must retry.

    Raises:
        TurnNotFound: there is no such question.
    """
    row, stored = _place(alias, at, taking.ident)
    if isinstance(taking.question, Message):
        check_replay(stored, taking.question)
    own, number = _own(at, row), stored.turn or 0
    postgresql = _is_postgresql(alias)
    # The row is read before the messages: storing more messages changes the row, so that taking the turn then fails.
    seen = _of_row(alias, row, statements.seen(postgresql=postgresql), {"turn": number})
    shown = reading.window(alias, own, Budget(turns=1, system=False, until=number))
    answers = tuple(shown.messages[1:])
    holder, state, until, left = seen[0] if seen else ("", "", 0, 0)
    seconds = max(left, 0) / 1000 if state == TurnState.OPEN.value else 0.0
    version = shown.header.version if shown.header else 0
    if seconds or is_answered(answers):
        return HeldTurn(own, number, stored, answers, "", seconds, version)
    values = {"turn": number, "seq": stored.seq, "holder": taking.holder, "lease": taking.lease}
    values |= {"seen_holder": holder, "seen_state": state, "seen_until": until} if seen else {}
    taken = _of_row(alias, row, statements.taken(postgresql=postgresql, is_first=not seen), values)
    if taking.alone:
        lock(alias, own)  # of two callers that take different turns, the later one sees the turn of the other
        _check_alone(alias, at, row, number, taking)
    return HeldTurn(own, number, stored, answers, taking.holder, 0.0, version) if taken else None


def _place(alias: str, at: Address, ident: str) -> tuple[Session, Message]:
    """The row of the branch that a stored question is on, and the question.

    Raises:
        TurnNotFound: there is none of this id.
    """
    rows = find(alias, at)
    candidates = [rows.row] if rows else []
    if rows and at.branch == CURRENT:
        candidates += family(rows.root).filter(messages__client_id=ident, messages__workspace_id=rows.root.workspace_id)
    for row in candidates:
        message = lineage(row).message(ident)
        if message is not None:
            stored = record_of(alias, message)
            if starts_turn(stored):
                return row, stored
    raise TurnNotFound(at.key, ident)


def _is_stored(rows: Rows, at: Address, ident: str) -> bool:
    """Whether a message with this id is on the addressed branch, or on any if none is addressed; hidden ones count."""
    stored = MessageRow.objects.using(rows.root._state.db).filter(client_id=ident)
    if at.branch == CURRENT:
        return stored.filter(workspace_id=rows.root.workspace_id, session__in=family(rows.root)).exists()
    line = lineage(rows.row)
    return any(line.reaches(*place) for place in stored.filter(**line.where).values_list("session_id", "seq"))


def _is_hidden(alias: str, at: Address, ident: str) -> bool:
    rows = find(alias, at)
    return rows is not None and _is_stored(rows, at, ident)


def _appended(
    alias: str, held: HeldTurn, messages: Sequence[Message], values: dict[str, Any], *, nested: bool
) -> Commit:
    renewed(alias, held, values, state=True)
    rows = lock(alias, held.at)
    if rows is None or rows.row.pk != held.at.session_id or not shows(rows, held):
        raise TurnLost(held.at.key, held.number)
    known = known_messages(rows.row, messages)
    check_of_turn(held, known.values())
    fresh = [message for message in messages if message.id not in known]
    if not fresh:
        stored = tuple(known[message.id] for message in messages)
        return Commit(stored, rows.header, None, rows.row.branch, nested=nested)
    check_stored(alias, rows.root, fresh)
    commit = appending.store_and_tell(alias, held.at, rows, fresh, None, under=held.number, nested=nested)
    placed = known | {message.id: message for message in commit.messages}
    return msgspec.structs.replace(commit, messages=tuple(placed[message.id] for message in messages), nested=nested)


def shows(rows: Rows, held: HeldTurn) -> bool:
    """Whether locked rows still show the question of a turn."""
    stored = lineage(rows.row).message(held.question.seq or 0)
    return stored is not None and stored.client_id == held.question.id


def renewed(alias: str, held: HeldTurn, values: dict[str, Any], *, state: bool = False) -> None:
    """Renew a turn that the caller holds.

    Raises:
        TurnLost: the caller does not hold it.
    """
    sql = statements.renewed(postgresql=_is_postgresql(alias), state=state)
    if not held.holder or not _on_turn(alias, held, sql, values):
        raise TurnLost(held.at.key, held.number)


def is_there_free(alias: str, row: Session, number: int) -> bool | None:
    """Whether nobody is answering a turn; None: there is no such turn.

    If nobody is, its row is changed. A caller that has read the row and is about to take the turn then notices that
    somebody who does not hold the turn stores something in it.
    """
    postgresql, values = _is_postgresql(alias), {"turn": number}
    if _of_row(alias, row, statements.touched(postgresql=postgresql), values):
        return True
    return False if _of_row(alias, row, statements.seen(postgresql=postgresql), values) else None


def asked_at(alias: str, row: Session, number: int) -> int | None:
    """The position of the question of a turn that somebody has taken; None: there is no such turn."""
    found = _of_row(alias, row, statements.asked_at(), {"turn": number})
    return found[0][0] if found else None


def _check_alone(alias: str, at: Address, row: Session, number: int | None, taking: Taking) -> None:
    """Check that no other turn of a branch is being answered, if the caller wants that.

    Raises:
        TurnTaken: another turn is being answered.
    """
    others = [turn for turn in _open(alias, row) if turn.number != number] if taking.alone else []
    if others:
        raise TurnTaken(at.key, others[-1].number, others[-1].seconds)


def _open(alias: str, row: Session) -> list[OpenTurn]:
    return _opened(_of_row(alias, row, statements.opened(postgresql=_is_postgresql(alias)), {}))


def _opened(rows: Sequence[tuple[Any, ...]]) -> list[OpenTurn]:
    return [OpenTurn(number, seq, left / 1000) for number, seq, left in rows]


def _own(at: Address, row: Session) -> Address:
    """An address that is pinned to a row."""
    return msgspec.structs.replace(at, branch=row.branch, session_id=row.pk, workspace_id=row.workspace_id, pinned=True)


def _of_row(alias: str, row: Session, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    ids = {"session_id": uuid_value(connections[alias], row.pk), "workspace_id": row.workspace_id}
    return fetch(connections[alias], sql, ids | params)


def _on_turn(alias: str, held: HeldTurn, sql: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
    at, connection = held.at, connections[alias]
    ids = {"session_id": at.session_id and uuid_value(connection, at.session_id), "workspace_id": at.workspace_id}
    return fetch(connection, sql, ids | {"turn": held.number} | params)


def _is_postgresql(alias: str) -> bool:
    return connections[alias].vendor == "postgresql"
