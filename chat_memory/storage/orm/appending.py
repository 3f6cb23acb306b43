"""Owns the write of messages: the one-statement path and the locked one; it must not read histories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import IntegrityError, connections

from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import VersionConflict
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import Address, Change, Commit, Header, Message
from chat_memory.storage.mapping import COLUMNS, READ_COLUMNS, check_replay, to_messages, to_row, turns
from chat_memory.storage.orm import statements
from chat_memory.storage.orm.cursor import fetch
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.rows import Rows, create, lock, move, new_token, touch
from chat_memory.storage.orm.transactions import own_or_callers, owns_transaction, retrying
from chat_memory.storage.titles import first_title


def append(alias: str, at: Address, messages: Sequence[Message], if_version: int | None) -> Commit:
    """Store the messages of one call; the contract is ``MessageStore.append``."""
    if connections[alias].vendor == "postgresql" and at.means_whole and owns_transaction(alias):
        try:
            commit = retrying(alias, lambda: _append_fast(alias, at, messages, if_version))
        except IntegrityError:
            commit = None  # an id is known: the locked path tells a retry from a conflict
        if commit is not None:
            return commit
    return retrying(alias, lambda: append_locked(alias, at, messages, if_version))


def append_locked(alias: str, at: Address, messages: Sequence[Message], if_version: int | None) -> Commit:
    """Lock the session, then see which messages are new, then store those: right in every transaction."""
    with own_or_callers(alias):
        rows = lock(alias, at)
        if rows is None:
            if if_version and at.means_whole:
                raise VersionConflict(if_version, 0)
            rows, _made = create(alias, at)
        known = _known(rows.row, messages)
        fresh = [message for message in messages if message.id not in known]
        for message in messages:
            if message.id in known:
                check_replay(known[message.id], message)
        if not fresh:
            return Commit(tuple(known[message.id] for message in messages), rows.header, None)
        if if_version is not None and if_version != rows.row.version:
            raise VersionConflict(if_version, rows.row.version)
        commit = _store(alias, at, rows, fresh)
        placed = known | {message.id: message for message in commit.messages}
        return msgspec.structs.replace(commit, messages=tuple(placed[message.id] for message in messages))


def _append_fast(
    alias: str, at: Address, messages: Sequence[Message], if_version: int | None, title: str | None = None
) -> Commit | None:
    """One statement; None where it found no row, so that the locked path must say why, or brings the title.

    Raises:
        IntegrityError: an id is stored already; nothing was written.
    """
    rows = [to_row(message) for message in messages]
    plain = all(row.has_text_alone for row in rows)
    starts = turns(messages)
    token = new_token()
    params: dict[str, Any] = {
        "vtoken": token,
        "size": len(rows),
        "turns": starts[-1],
        "now": datetime.now(UTC),
        "if_version": if_version,
        "user_id": at.user_id,
        "user_key": at.user_key,
        "title": title,
    }
    if len(rows) == 1:
        params |= rows[0]._asdict()
    else:
        params |= dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)) | {"turn": starts}
    shape = {"single": len(rows) == 1, "plain": plain, "claim": bool(at.user_key), "titled": title is not None}
    found: list[tuple[Any, ...]] = []
    if at.session_id is not None:
        params |= {"session_id": at.session_id, "workspace_id": at.workspace_id}
        found = fetch(connections[alias], statements.append(by_id=True, **shape), params)
    if not found and not at.pinned:
        params |= {"workspace": at.workspace, "key": at.key, "branch": MAIN_BRANCH}
        found = fetch(connections[alias], statements.append(by_id=False, **shape), params)
    if not found:
        return None
    session_id, workspace_id, version, base_seq, last_seq, prev_vtoken = found[0]
    header = Header(session_id, workspace_id, version, token, base_seq, last_seq)
    return Commit(_placed(messages, last_seq), header, Change(header, version - 1, prev_vtoken, len(rows)))


def _placed(messages: Sequence[Message], last_seq: int) -> tuple[Message, ...]:
    first = last_seq - len(messages) + 1
    return tuple(msgspec.structs.replace(message, seq=first + index) for index, message in enumerate(messages))


def _store(alias: str, at: Address, rows: Rows, fresh: Sequence[Message]) -> Commit:
    """Store messages known to be new, under the lock."""
    root, row = rows
    if connections[alias].vendor == "postgresql" and row is root and root.head_id is None:
        found = msgspec.structs.replace(at, session_id=row.pk, workspace_id=row.workspace_id)
        commit = _append_fast(alias, found, fresh, None, first_title(fresh))
        if commit is not None:
            return commit
    return _store_portably(alias, at, rows, fresh)


def _store_portably(alias: str, at: Address, rows: Rows, fresh: Sequence[Message]) -> Commit:
    """The same through the ORM, for SQLite and for branches."""
    root, row = rows
    version, token, starts = row.version, row.vtoken, turns(fresh)
    placed = _placed(fresh, row.last_seq + len(fresh))
    MessageRow.objects.using(alias).bulk_create(
        MessageRow(
            workspace_id=row.workspace_id,
            session_id=row.pk,
            seq=message.seq or 0,
            turn=row.last_turn + turn,
            **to_row(message)._asdict(),
        )
        for message, turn in zip(placed, starts, strict=True)
    )
    claimed = {"user_id": at.user_id, "user_key": at.user_key} if at.user_key and not root.user_key else {}
    if not (root.title or root.last_turn or row.last_turn):
        claimed["title"] = first_title(fresh)
    header = move(
        row,
        last_seq=row.last_seq + len(fresh),
        message_count=row.message_count + len(fresh),
        last_turn=row.last_turn + starts[-1],
        **(claimed if row is root else {}),
    )
    touch(rows, **claimed)
    return Commit(placed, header, Change(header, version, token, len(fresh)))


def _known(row: Session, messages: Sequence[Message]) -> dict[str | None, Message]:
    """Which of the messages are stored already, by id: on the branch or on what it shares."""
    line = lineage(row)
    stored = MessageRow.objects.using(row._state.db).filter(
        **line.where, client_id__in=[message.id for message in messages]
    )
    found = stored.values_list(*READ_COLUMNS, "session_id")
    reached = [columns for columns in found if line.reaches(columns[-1], columns[0])]
    return {message.id: message for message in to_messages(reached)}
