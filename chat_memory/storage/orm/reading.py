"""Owns the choice of the statement for a read: the short one if ``main`` is current, otherwise the one for branches."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import partial
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.records import Address, Budget, Header, Slice, Span
from chat_memory.rules.calls import starts_turn
from chat_memory.storage.mapping import READ_COLUMNS, to_messages
from chat_memory.storage.orm import hints
from chat_memory.storage.orm.cursor import as_uuid, fetch, fetch_until_full, user_value, uuid_value
from chat_memory.storage.orm.owning import check_unreached
from chat_memory.storage.orm.statements import branch, read as main
from chat_memory.storage.orm.statements.tables import HEADER, LONG_COLUMNS, owner_of
from chat_memory.storage.orm.statements.window import window as window_on_main
from chat_memory.storage.windowing import is_within, may_fit_more, newest_turns, read as read_window, read_within

_START, _END = 0, 2**63 - 1
_SEQ = itemgetter(0)
_HEADER = len(HEADER)
_MESSAGE = len(READ_COLUMNS)
_LONG = itemgetter(*map(READ_COLUMNS.index, LONG_COLUMNS))
FEW = 100
"""Up to this many messages are read with the header in each row."""
WIDER = 8
"""The factor by which ``look`` grows if the start of a window was not found."""
FIRST_LOOK = {"turns": (4, 16), "messages": (2, 16), "tokens": (1 / 64, 24)}
"""The first ``look`` of a window, by kind of budget: the messages per unit of the budget, and a constant."""

Row = tuple[Any, ...]
Statement = Callable[..., str]


def peek(alias: str, at: Address) -> Header | None:
    """See ``MessageStore.peek``."""
    rows = shown(alias, at, main.peek, branch.peek, {}, brief=True)
    if not rows:
        return None
    session_id, *numbers = rows[0][:_HEADER]
    return Header(as_uuid(session_id), *numbers)


def read(alias: str, at: Address, span: Span) -> Slice:
    """See ``MessageStore.read``; the header and the messages are from one snapshot."""
    size = span.last if span.last is not None else span.first
    shape = {"newest": span.last is not None, "bounded": size is not None, "system": span.system}
    params: dict[str, Any] = {
        "after": _START if span.after is None else span.after,
        "before": _END if span.before is None else span.before,
        "size": size,
    }
    postgresql, capped = connections[alias].vendor == "postgresql", span.most is not None
    if capped:
        params["most"] = span.most
    short = partial(main.read, **shape, capped=capped and postgresql)
    if postgresql and size is not None and size <= FEW:
        short = partial(main.read_few, newest=shape["newest"], system=span.system, capped=capped)
    along = partial(branch.read, **shape, postgresql=postgresql, capped=capped)
    return _slice(alias, shown(alias, at, short, along, params))


def window(alias: str, at: Address, budget: Budget) -> Slice:
    """See ``MessageStore.window``."""
    return _exactly(partial(read, alias, at), budget, _slice(alias, _window(alias, at, budget)))


def window_within(alias: str, at: Address, budget: Budget, *, size: int, most: int) -> tuple[Slice, bool]:
    """See ``MessageStore.window_within``: one statement, unless the window is too large."""
    rows = _window(alias, at, budget, cap=size, most=most)
    if _flags(rows)[2:] != ["1"]:
        # A read that ends at ``most`` bytes may count as the whole history: a window that fits has no older messages.
        found = _exactly(partial(_read_page, alias, at, most), budget, _slice(alias, rows))
        if is_within(found.messages, size, most):
            return found, False
    return read_within(partial(read, alias, at), partial(window, alias, at), budget, size, most), True


def _window(alias: str, at: Address, budget: Budget, **bound: int) -> list[Row]:
    """The rows of a window, with the header; for ``bound`` see ``statements.window``."""
    kind = next(name for name in FIRST_LOOK if getattr(budget, name) is not None)
    # One turn more shows whether the greeting directly precedes the turns that are asked for.
    size = getattr(budget, kind) + (kind == "turns" and budget.greeting)
    shape = {"budget": kind, "system": budget.system, "greeting": budget.greeting, "capped": bool(bound)}
    shape |= {"postgresql": connections[alias].vendor == "postgresql", "until": budget.until is not None}
    short, along = partial(window_on_main, **shape), partial(branch.window, **shape)
    per_unit, besides = FIRST_LOOK[kind]
    look = min(int(size * per_unit), _END // WIDER**2) + besides
    params = {"size": size, **bound} | ({} if budget.until is None else {"until": budget.until})
    while True:
        rows = shown(alias, at, short, along, params | {"look": look})
        if _flags(rows)[1:2] != ["1"]:
            return rows
        look *= WIDER


def _read_page(alias: str, at: Address, most: int, span: Span) -> Slice:
    return read(alias, at, span if span.last is None else msgspec.structs.replace(span, most=most))


def _exactly(read_span: Callable[[Span], Slice], budget: Budget, found: Slice) -> Slice:
    """The exact window, from the rows of the statement, which spends tokens on every system message."""
    header, messages = found.header, found.messages
    if header is None:
        return found
    if budget.tokens is not None and budget.system and may_fit_more(messages, header):
        return read_window(read_span, budget)
    if budget.greeting and messages and not any(map(starts_turn, messages)):
        return read_window(read_span, budget)  # the rows may have only a part of what precedes the first question
    window = newest_turns(messages, budget, has_all=True, first=header.base_seq + 1)
    return Slice(window or [], header)


def shown(
    alias: str, at: Address, short: Statement, along: Statement, params: dict[str, Any], *, brief: bool = False
) -> list[Row]:
    """The rows of the branch that an address names.

    Args:
        alias: the database alias.
        at: the address.
        short: the statement for ``main``; the last column of its header is 1 if another branch is current.
        along: the statement for any branch; the last column of its header is 1 unless the branch is ``main``.
        params: the parameters of both.
        brief: as for ``cursor.fetch``.

    Raises:
        NotOwner: the conversation belongs to somebody else than the address' user.
    """
    rows = _shown(alias, at, short, along, params, brief=brief)
    if not rows and at.is_checked:
        check_unreached(alias, at)
    return rows


def _shown(
    alias: str, at: Address, short: Statement, along: Statement, params: dict[str, Any], *, brief: bool
) -> list[Row]:
    if at.means_whole and not hints.expects_branch(alias, at):
        rows = fetch_rows(alias, at, short, params, brief=brief)
        if not rows or not _flag(rows):
            return rows
    follows = at.branch == CURRENT
    if follows and not at.pinned:
        at = msgspec.structs.replace(at, session_id=None)  # the id may be that of a branch that was current earlier
    rows = fetch_rows(alias, at, partial(along, follows=follows), params, brief=brief)
    if rows:
        hints.note(alias, at, branched=_flag(rows))
    return rows


def _flag(rows: list[Row]) -> bool:
    """Whether the flag of the header row is 1: the last column is the flag, or text with the flag after the header."""
    last = next(row[-1] for row in rows if row[-1] is not None)
    return bool(last) if isinstance(last, int) else last.split()[_HEADER] == "1"


def _flags(rows: list[Row]) -> list[str]:
    """The flags after the header of a window: it is of a branch, ``look`` was too small, the window is too large."""
    return next((row[-1].split()[_HEADER:] for row in rows if row[-1] is not None), [])


def _slice(alias: str, rows: list[Row]) -> Slice:
    if not rows:
        return Slice([], None)
    zone = connections[alias].timezone or UTC
    if len(rows[0]) > _MESSAGE + 1:
        return _slice_of_few(rows, zone)
    header = next(index for index, row in enumerate(rows) if row[-1] is not None)
    session_id, *numbers = rows.pop(header)[-1].split()[:_HEADER]
    rows.sort(key=_SEQ)
    return Slice(to_messages(rows, zone), Header(UUID(session_id), *map(int, numbers)))


def _slice_of_few(rows: list[Row], zone: tzinfo) -> Slice:
    """The slice of rows that each end with the header; a single row without a message means that there is none."""
    header = Header(*rows[0][_MESSAGE : _MESSAGE + _HEADER])
    if rows[0][0] is None:
        return Slice([], header)
    rows.sort(key=_SEQ)
    return Slice(to_messages(rows, zone), header)


def fetch_rows(
    alias: str, at: Address, statement: Statement, params: dict[str, Any], *, brief: bool = False
) -> list[Row]:
    """The rows of a session, found by the ids in the address; if they find nothing, by its names.

    A pinned address is found by its ids only.
    """
    connection, owner = connections[alias], owner_of(at)
    if owner:
        params = params | {"user_key": at.user_key, "user_id": user_value(connection, at.user_id)}
    if at.session_id is not None:
        known = params | {"session_id": uuid_value(connection, at.session_id), "workspace_id": at.workspace_id}
        rows = _rows(connection, statement(by_id=True, owner=owner), known, brief=brief)
        if rows or at.pinned:
            return rows
    named = params | {"workspace": at.workspace, "key": at.key, "branch": at.branch or MAIN_BRANCH}
    return _rows(connection, statement(by_id=False, owner=owner), named, brief=brief)


def _rows(connection: BaseDatabaseWrapper, sql: str, params: dict[str, Any], *, brief: bool) -> list[Row]:
    """The rows of a statement; on SQLite no more than ``most`` allows, since the statement does not stop there."""
    if connection.vendor == "postgresql" or "most" not in params:
        return fetch(connection, sql, params, brief=brief)
    return fetch_until_full(connection, sql, params, _LONG)[0]
