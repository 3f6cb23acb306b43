"""Owns the read of messages; it must not write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from functools import partial
from operator import itemgetter
from typing import Any
from uuid import UUID

import msgspec
from django.db import connections

from chat_memory.choices import CURRENT, MAIN_BRANCH, Role
from chat_memory.models import Message as MessageRow
from chat_memory.records import Address, Budget, Header, Message, Slice, Span
from chat_memory.storage import windowing
from chat_memory.storage.mapping import to_messages
from chat_memory.storage.orm import statements, views
from chat_memory.storage.orm.cursor import as_uuid, fetch, uuid_value
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.rows import find

_START, _END = 0, 2**63 - 1
_SEQ = itemgetter(0)
_HEADER = len(statements.HEADER)

Row = tuple[Any, ...]
Statement = Callable[..., str]


def peek(alias: str, at: Address) -> Header | None:
    """The header alone; the contract is ``MessageStore.peek``."""
    rows = plain(alias, at, statements.peek, {}, brief=True)
    if rows is None or (rows and rows[0][-1]):
        rows = _branched(alias, at, views.peek, {})
    if not rows:
        return None
    session_id, *numbers = rows[0][:_HEADER]
    return Header(as_uuid(session_id), *numbers)


def read(alias: str, at: Address, span: Span) -> Slice:
    """The header and the messages of a span from one snapshot; the contract is ``MessageStore.read``."""
    size = span.last if span.last is not None else span.first
    shape = {"newest": span.last is not None, "bounded": size is not None, "system": span.system}
    params: dict[str, Any] = {
        "after": _START if span.after is None else span.after,
        "before": _END if span.before is None else span.before,
        "size": size,
    }
    rows = plain(alias, at, partial(statements.read, **shape), params)
    if rows is None or _is_spoken_for(rows):
        longer = partial(views.read, **shape, postgresql=connections[alias].vendor == "postgresql")
        rows = _branched(alias, at, longer, params)
    return _slice(alias, rows)


def window(alias: str, at: Address, budget: Budget) -> Slice:
    """The newest whole turns within a budget; the contract is ``MessageStore.window``.

    Where the root speaks, the database finds their beginning; along a branch, spans do.
    """
    name = next(name for name in ("turns", "messages", "tokens") if getattr(budget, name) is not None)
    statement = partial(views.window, budget=name, system=budget.system)
    rows = plain(alias, at, statement, {"size": getattr(budget, name)})
    if rows is None or _is_spoken_for(rows):
        return windowing.read(partial(read, alias, at), budget)
    found = _slice(alias, rows)
    return Slice(_from_a_user(found.messages, budget), found.header)


def locate(alias: str, at: Address, message_id: str) -> int | None:
    """The position of a visible message; the contract is ``MessageStore.locate``."""
    stored = MessageRow.objects.using(alias).filter(client_id=message_id)
    if at.means_whole:
        roots: dict[str, Any] = {
            "session__workspace__slug": at.workspace,
            "session__key": at.key,
            "session__branch": MAIN_BRANCH,
        }
        if at.pinned:
            roots |= {"session_id": at.session_id, "workspace_id": at.workspace_id}
        place = stored.filter(session__deleted_at__isnull=True, **roots).values_list(
            "seq", "session__base_seq", "session__head_id"
        )
        for seq, base_seq, head in place:
            if head is None or at.branch == MAIN_BRANCH:
                return seq if seq > base_seq else None
    rows = find(alias, at)
    if rows is None or (rows.row is rows.root and at.branch != MAIN_BRANCH and rows.root.head_id is None):
        return None
    line = lineage(rows.row)
    found = stored.filter(**line.where).values_list("session_id", "seq")
    return next((seq for session_id, seq in found if line.shows(session_id, seq)), None)


def _from_a_user(messages: list[Message], budget: Budget) -> list[Message]:
    """Without what ``clear()`` has left of a turn whose beginning it hid."""
    system = [message for message in messages if message.role == Role.SYSTEM.value]
    if budget.tokens is not None and sum(message.tokens or 0 for message in system) > budget.tokens:
        return []
    first = next((message.seq for message in messages if message.role == Role.USER.value), None)
    if first is None:
        return system
    return [message for message in messages if message.role == Role.SYSTEM.value or (message.seq or 0) >= first]


def _slice(alias: str, rows: list[Row]) -> Slice:
    if not rows:
        return Slice([], None)
    header = next(index for index, row in enumerate(rows) if row[-1] is not None)
    session_id, *numbers = rows.pop(header)[-1].split()[:_HEADER]
    rows.sort(key=_SEQ)
    return Slice(to_messages(rows, connections[alias].timezone or UTC), Header(UUID(session_id), *map(int, numbers)))


def _is_spoken_for(rows: list[Row]) -> bool:
    """Whether all that came is the state of a root that another branch speaks for."""
    return len(rows) == 1 and rows[0][-1].endswith(" 1")


def plain(
    alias: str, at: Address, statement: Statement, params: dict[str, Any], *, brief: bool = False
) -> list[Row] | None:
    """The rows of a conversation that its root may speak for; None where a branch is asked for."""
    return _fetch(alias, at, statement, params, brief=brief) if at.means_whole else None


def _branched(alias: str, at: Address, statement: Statement, params: dict[str, Any]) -> list[Row]:
    """The rows of a branch, or of the one that speaks: then the id a handle remembers may be another branch's."""
    if at.branch == CURRENT and not at.pinned:
        at = msgspec.structs.replace(at, session_id=None)
    return _fetch(alias, at, partial(statement, follows=at.branch == CURRENT), params)


def _fetch(alias: str, at: Address, statement: Statement, params: dict[str, Any], *, brief: bool = False) -> list[Row]:
    """The rows of a session by the ids a handle remembers; where nothing is under them any more, by its names."""
    connection = connections[alias]
    if at.session_id is not None:
        known = params | {"session_id": uuid_value(connection, at.session_id), "workspace_id": at.workspace_id}
        rows = fetch(connection, statement(by_id=True), known, brief=brief)
        if rows or at.pinned:
            return rows
    named = params | {"workspace": at.workspace, "key": at.key, "branch": at.branch or MAIN_BRANCH}
    return fetch(connection, statement(by_id=False), named, brief=brief)
