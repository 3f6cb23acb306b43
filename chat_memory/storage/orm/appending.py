"""Owns the write of messages: by a single statement where possible, otherwise under the session's lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
from django.db import IntegrityError, connections

from chat_memory.choices import AT_ONCE, CURRENT, MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import VersionConflict
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import Address, Change, Commit, Header, Message, uuid7
from chat_memory.rules.attachments import hashes
from chat_memory.rules.calls import starts_turn
from chat_memory.storage.changed import Kind
from chat_memory.storage.mapping import (
    COLUMNS,
    new_messages,
    numbered,
    to_columns,
    to_row,
    turns,
)
from chat_memory.storage.orm import beside, hints
from chat_memory.storage.orm.bulk import COLUMNS as INSERTED, insert_messages
from chat_memory.storage.orm.creating import create
from chat_memory.storage.orm.cursor import fetch
from chat_memory.storage.orm.emission import changed_branch
from chat_memory.storage.orm.known import known_messages
from chat_memory.storage.orm.referring import check_stored, refer
from chat_memory.storage.orm.rows import (
    Rows,
    activity,
    check_version,
    family,
    grain,
    lock,
    make_current,
    move,
    new_token,
    touch,
)
from chat_memory.storage.orm.statements import append as statements
from chat_memory.storage.orm.statements.tables import owner_of
from chat_memory.storage.orm.transactions import owns_transaction, run_write, trying_again
from chat_memory.storage.orm.waiting import milliseconds

Stored = tuple[Commit, str]
"""The commit, and the name of the branch that was written to."""
Statement = tuple[str, dict[str, Any]]


def append(alias: str, at: Address, messages: Sequence[Message], title: str | None, if_version: int | None) -> Commit:
    """Store the messages of one call; the contract is ``MessageStore.append``."""
    refers = bool(hashes(message.content for message in messages))
    numbered_elsewhere = messages[0].turn is not None  # for example in a merge of branches
    if not refers and not numbered_elsewhere and owns_transaction(alias) and connections[alias].vendor == "postgresql":
        stored = _at_once(alias, at, _Call(alias, at, messages, title, if_version))
        if stored is not None:
            tell(alias, at, *stored, nested=False)
            return stored[0]
    # Messages that refer to attachments may be refused after the session was created, which is then undone too.
    return run_write(alias, partial(append_locked, alias, at, messages, title, if_version), whole=refers, at=at)


def append_locked(
    alias: str,
    at: Address,
    messages: Sequence[Message],
    title: str | None,
    if_version: int | None,
    *,
    under: int | None = None,
    nested: bool,
) -> Commit:
    """Lock the session, find out which messages are new, and store those; correct in any transaction.

    ``under`` is as for ``store``.
    """
    rows = lock(alias, at)
    if rows is None:
        if if_version and at.means_whole:
            raise VersionConflict(if_version, 0)
        rows, _made = create(alias, at, nested=nested)
    known = known_messages(rows.row, messages, at.most)
    fresh = new_messages(messages, known)
    if not fresh:
        return Commit(tuple(known[message.id] for message in messages), rows.header, None, rows.row.branch)
    check_version(rows.row, if_version)
    check_stored(alias, rows.root, fresh)
    commit = store_and_tell(alias, at, rows, fresh, title, under=under, nested=nested)
    placed = known | {message.id: message for message in commit.messages}
    return msgspec.structs.replace(commit, messages=tuple(placed[message.id] for message in messages))


def store_and_tell(
    alias: str,
    at: Address,
    rows: Rows,
    fresh: Sequence[Message],
    title: str | None,
    *,
    under: int | None = None,
    nested: bool,
) -> Commit:
    """Store messages known to be new, and emit the event; a branch that is pending AT_ONCE becomes current."""
    commit = store(alias, at, rows, fresh, title, under=under)
    tell(alias, at, commit, rows.row.branch, nested=nested)
    if rows.row.pending in AT_ONCE:
        return _taken_over(alias, at, rows, commit, nested=nested)
    return commit


def store(
    alias: str,
    at: Address,
    rows: Rows,
    fresh: Sequence[Message],
    title: str | None,
    *,
    begun: dict[int, int] | None = None,
    under: int | None = None,
) -> Commit:
    """Store messages known to be new, under the lock; the row object shows the state after it.

    Args:
        alias: the database.
        at: the conversation.
        rows: its locked rows.
        fresh: the messages.
        title: as for ``MessageStore.append``.
        begun: for ``mapping.numbered``, if the messages have turn numbers from another store.
        under: the turn of all messages, none of which begins a turn; None: each begins a turn or is in the newest one.
    """
    root, row = rows
    before = row.version
    in_turns = [under] * len(fresh) if under is not None else numbered(fresh, row.last_turn, begun or {})
    placed = _placed(fresh, row.last_seq + len(fresh), in_turns)
    last_turn = _insert(alias, row, placed, in_turns)
    refer(alias, row.workspace_id, root.pk, {(row.pk, message.seq or 0): message.content for message in placed})
    beside.write(alias, at.workspace, (row.workspace_id, row.pk), (row.last_seq + 1, row.last_seq + len(fresh)))
    owned = _owned(at, root, row, title)
    active = placed[-1].created_at or datetime.now(UTC)
    token = row.vtoken
    header = move(
        row,
        last_seq=row.last_seq + len(fresh),
        message_count=row.message_count + len(fresh),
        last_turn=last_turn,
        **activity(row, active),
        **(owned if row is root else {}),
    )
    touch(rows, **activity(root, active), **owned)
    return Commit(placed, header, Change(header, before, token, len(fresh)), row.branch)


def _taken_over(alias: str, at: Address, rows: Rows, commit: Commit, *, nested: bool) -> Commit:
    """Make a branch current with its first message; return the commit with the new state."""
    root, row = rows
    before = root if root.head_id is None else family(root).get(pk=root.head_id)
    header = make_current(root, before, row)
    hints.note(alias, msgspec.structs.replace(at, branch=CURRENT), branched=True)
    changed_branch(alias, Kind.SWITCHED, at, row.pk, row.branch, header=header, nested=nested)
    change = commit.change and msgspec.structs.replace(commit.change, header=header)
    return msgspec.structs.replace(commit, header=header, change=change, former_branch=before.branch)


def _insert(alias: str, row: Session, placed: Sequence[Message], in_turns: Sequence[int]) -> int:
    """Insert messages with positions into a locked row; return the number of its newest turn."""
    newest = list(accumulate(in_turns, max, initial=row.last_turn))[1:]
    columns = [
        (row.workspace_id, row.pk, message.seq or 0, turn, turn < last, *to_row(message))
        for message, turn, last in zip(placed, in_turns, newest, strict=True)
    ]
    if connections[alias].vendor == "postgresql" and len(columns) <= statements.FEW:  # a COPY takes two round trips
        MessageRow.objects.using(alias).bulk_create(
            MessageRow(**dict(zip(INSERTED, values, strict=True))) for values in columns
        )
    else:
        insert_messages(alias, columns)
    return newest[-1]


def _owned(at: Address, root: Session, row: Session, title: str | None) -> dict[str, Any]:
    """The fields of the conversation to set: an owner if it has none, a title if it has neither title nor turns."""
    owned: dict[str, Any] = {}
    if at.user_key and not root.user_key:
        owned |= {"user_id": at.user_id, "user_key": at.user_key}
    if title is not None and not (root.title or root.last_turn or row.last_turn):
        owned |= {"title": title, "title_made": True}
    return owned


def _at_once(alias: str, at: Address, call: _Call) -> Stored | None:
    """Append by one statement, or by another where the first does not fit; None if the append needs the lock."""
    try:
        for attempt in call.attempts():
            found = trying_again(alias, attempt, at)
            if found:
                return call.stored(found[0])
    except IntegrityError:
        return None  # an id is stored: only the locked path can tell a retry from a conflict
    return None


def of_turn(alias: str, at: Address, messages: Sequence[Message], title: str | None, turn: OfTurn) -> Stored | None:
    """Store messages of a turn by one statement, which also takes the turn or checks who holds it.

    None: nothing was stored, and the caller needs other statements to find out why.
    """
    stored = _at_once(alias, at, _Call(alias, at, messages, title, None, turn=turn))
    if stored is not None:
        tell(alias, at, *stored, nested=False)
    return stored


class OfTurn(NamedTuple):
    """What an append on PostgreSQL does with a turn.

    Attributes:
        form: ``Shape.turn``.
        values: the parameters of that form.
        number: the turn of all messages; None: the messages begin their turns.
    """

    form: str = ""
    values: Mapping[str, Any] = {}
    number: int | None = None


_NO_TURN = OfTurn()


class _Call:
    """One append on PostgreSQL: its values, and the statements that may store them."""

    def __init__(
        self,
        alias: str,
        at: Address,
        messages: Sequence[Message],
        title: str | None,
        if_version: int | None,
        *,
        turn: OfTurn = _NO_TURN,
    ) -> None:
        self._alias, self._at, self._messages = alias, at, messages
        self._connection = connections[alias]
        self._token = new_token()
        self._if_version = if_version
        now = datetime.now(UTC)
        active, lag = messages[-1].created_at or now, grain()
        self._values: dict[str, Any] = {
            "vtoken": self._token,
            "size": len(messages),
            "now": now,
            "active": active,
            "stale": active - lag,
            "unchanged": now - lag,
            "if_version": if_version,
            "title": title,
            "user_id": at.user_id,
            "user_key": at.user_key,
            "workspace": at.workspace,
            "key": at.key,
            "branch": at.branch or MAIN_BRANCH,
            "session_id": at.session_id,
            "workspace_id": at.workspace_id,
        } | beside.values(at.workspace)
        self._values |= turn.values
        self._turn = turn
        plain = self._add_messages(messages)
        rows = len(messages) if len(messages) <= statements.FEW else 0
        self._form = (rows, plain, bool(at.user_key), title is not None, owner_of(at))

    @property
    def _shape(self) -> statements.Shape:
        """The shape for the present try, whose lock timeout is part of the text."""
        return statements.Shape(*self._form, wait=milliseconds(), beside=beside.registered(), turn=self._turn.form)

    def _add_messages(self, messages: Sequence[Message]) -> bool:
        """Add the columns of the messages to the values, in the form for their number; return whether all are plain."""
        values = self._values
        if len(messages) == 1:
            row = to_row(messages[0])
            self._starts = [int(starts_turn(messages[0]))]
            values |= row._asdict() | {"turns": self._starts[0]}
            return row.is_plain
        starts = self._starts = turns(messages)
        values["turns"] = starts[-1]
        if len(messages) > statements.FEW:
            *columns, is_plain = to_columns(messages)
            values |= dict(zip(COLUMNS, columns, strict=True)) | {"turn": starts}
            return is_plain
        rows = [to_row(message) for message in messages]
        for number, (row, start) in enumerate(zip(rows, starts, strict=True), 1):
            values |= {f"{name}_{number}": value for name, value in zip(COLUMNS, row, strict=True)}
            values[f"turn_{number}"] = start
        return all(row.is_plain for row in rows)

    def attempts(self) -> Iterator[Callable[[], list[tuple[Any, ...]]]]:
        """The statements to try, the likeliest first; a statement that does not fit changes nothing."""
        at = self._at
        if not at.means_whole:
            yield from self._by_names(statements.to_branch, follows=False)
            return
        follows = at.branch == CURRENT
        may_make = follows and not at.pinned and not self._if_version
        if may_make and not hints.expects_conversation(self._alias, at):
            yield lambda: self._run(self._to_any())
            return
        if hints.expects_branch(self._alias, at):
            yield lambda: self._run(statements.to_branch(self._shape, by_id=at.pinned, follows=True))
        yield from self._by_names(statements.to_main, follows=follows)
        if may_make:
            yield lambda: self._run(self._to_any())
        elif follows:
            yield lambda: self._run(statements.to_branch(self._shape, by_id=at.pinned, follows=True))

    def _by_names(self, statement: Callable[..., str], *, follows: bool) -> Iterator[Callable[[], list[Any]]]:
        """The statement by the ids that a handle remembers, then by its names in case the ids are outdated."""
        at = self._at
        if at.session_id is not None:
            yield lambda: self._run(statement(self._shape, by_id=True, follows=follows))
        if not at.pinned:
            yield lambda: self._run(statement(self._shape, by_id=False, follows=follows))

    def _to_any(self) -> str:
        user: Any = Session._meta.get_field("user")
        self._values |= {"new_id": uuid7(), "may_build": settings.create_workspaces}
        return statements.to_any(self._shape, user.db_type(self._connection))

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        return fetch(self._connection, sql, self._values)

    def stored(self, row: tuple[Any, ...]) -> Stored:
        """The commit, and the branch, for the row that a statement returned."""
        session_id, workspace_id, version, base_seq, last_seq, prev_vtoken, last_turn, branch = row
        hints.note(self._alias, self._at, branched=branch != MAIN_BRANCH)
        hints.note_stored(self._alias, self._at)
        header = Header(session_id, workspace_id, version, self._token, base_seq, last_seq)
        change = Change(header, version - 1, prev_vtoken, len(self._messages))
        before, number = last_turn - self._values["turns"], self._turn.number
        in_turns = [before + start if number is None else number for start in self._starts]
        return Commit(_placed(self._messages, last_seq, in_turns), header, change, branch), branch


def _placed(messages: Sequence[Message], last_seq: int, in_turns: Sequence[int]) -> tuple[Message, ...]:
    first = last_seq - len(messages) + 1
    return tuple(placed(message, first + index, in_turns[index]) for index, message in enumerate(messages))


def placed(message: Message, seq: int, turn: int) -> Message:
    """The message with a position and a turn; not by ``replace``, which is slower and would run for every message."""
    return Message(
        message.role,
        message.content,
        message.name,
        message.metadata,
        message.id,
        message.tool_calls,
        message.tool_call_id,
        seq,
        message.created_at,
        message.tokens,
        message.content_absent,
        message.state,
        message.extra,
        turn,
    )


def tell(alias: str, at: Address, commit: Commit, branch: str, *, nested: bool) -> None:
    """Emit the event of an append, unless all of it was a replay."""
    header, change = commit.header, commit.change
    if change is None:
        return
    changed_branch(
        alias,
        Kind.APPENDED,
        at,
        header.session_id,
        branch,
        header=header,
        first_seq=header.last_seq - change.added + 1,
        last_seq=header.last_seq,
        made=change.prev_version == 0,
        commit=commit,
        nested=nested,
    )
