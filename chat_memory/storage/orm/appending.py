"""Owns the write of messages: the one-statement path and the locked one; it must not read histories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db import IntegrityError, connections

from chat_memory.exceptions import VersionConflict
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import Address, Change, Commit, Header, Message
from chat_memory.storage.mapping import COLUMNS, READ_COLUMNS, check_replay, to_messages, to_row, turns
from chat_memory.storage.orm import statements
from chat_memory.storage.orm.cursor import fetch
from chat_memory.storage.orm.rows import create, lock, new_token
from chat_memory.storage.orm.transactions import own_or_callers, owns_transaction, retrying


def append(alias: str, at: Address, messages: Sequence[Message], if_version: int | None) -> Commit:
    """Store the messages of one call; the contract is ``MessageStore.append``."""
    if connections[alias].vendor == "postgresql" and owns_transaction(alias):
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
        session = lock(alias, at)
        if session is None:
            if if_version:
                raise VersionConflict(if_version, 0)
            session, _made = create(alias, at)
        known = _known(alias, session, messages)
        fresh = [message for message in messages if message.id not in known]
        for message in messages:
            if message.id in known:
                check_replay(known[message.id], message)
        header = _header(session)
        if not fresh:
            return Commit(tuple(known[message.id] for message in messages), header, None)
        if if_version is not None and if_version != session.version:
            raise VersionConflict(if_version, session.version)
        found = msgspec.structs.replace(at, session_id=session.pk, workspace_id=session.workspace_id)
        commit = _store(alias, found, session, fresh)
        placed = known | {message.id: message for message in commit.messages}
        return msgspec.structs.replace(commit, messages=tuple(placed[message.id] for message in messages))


def _append_fast(alias: str, at: Address, messages: Sequence[Message], if_version: int | None) -> Commit | None:
    """One statement; None where it found no row, so that the locked path must say why.

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
    }
    if len(rows) == 1:
        params |= rows[0]._asdict()
    else:
        params |= dict(zip(COLUMNS, map(list, zip(*rows, strict=True)), strict=True)) | {"turn": starts}
    shape = {"single": len(rows) == 1, "plain": plain, "claim": bool(at.user_key)}
    found: list[tuple[Any, ...]] = []
    if at.session_id is not None:
        params |= {"session_id": at.session_id, "workspace_id": at.workspace_id}
        found = fetch(connections[alias], statements.append(by_id=True, **shape), params)
    if not found and not at.pinned:
        params |= {"workspace": at.workspace, "key": at.key, "branch": at.branch}
        found = fetch(connections[alias], statements.append(by_id=False, **shape), params)
    if not found:
        return None
    session_id, workspace_id, version, base_seq, last_seq, prev_vtoken = found[0]
    header = Header(session_id, workspace_id, version, token, base_seq, last_seq)
    return Commit(_placed(messages, last_seq), header, Change(header, version - 1, prev_vtoken, len(rows)))


def _placed(messages: Sequence[Message], last_seq: int) -> tuple[Message, ...]:
    first = last_seq - len(messages) + 1
    return tuple(msgspec.structs.replace(message, seq=first + index) for index, message in enumerate(messages))


def _store(alias: str, at: Address, session: Session, fresh: Sequence[Message]) -> Commit:
    """Store messages known to be new, under the session's lock."""
    if connections[alias].vendor == "postgresql":
        commit = _append_fast(alias, at, fresh, None)
        if commit is not None:
            return commit
    return _store_portably(alias, at, session, fresh)


def _store_portably(alias: str, at: Address, session: Session, fresh: Sequence[Message]) -> Commit:
    """The same through the ORM, for SQLite."""
    token, previous = new_token(), session.vtoken
    starts = turns(fresh)
    last_seq = session.last_seq + len(fresh)
    placed = _placed(fresh, last_seq)
    MessageRow.objects.using(alias).bulk_create(
        MessageRow(
            workspace_id=session.workspace_id,
            session_id=session.pk,
            seq=last_seq - len(fresh) + index,
            turn=session.last_turn + turn,
            **to_row(message)._asdict(),
        )
        for index, (message, turn) in enumerate(zip(placed, starts, strict=True), start=1)
    )
    Session.objects.using(alias).filter(pk=session.pk, workspace_id=session.workspace_id).update(
        last_seq=last_seq,
        message_count=session.message_count + len(fresh),
        last_turn=session.last_turn + starts[-1],
        version=session.version + 1,
        vtoken=token,
        prev_vtoken=previous,
        updated_at=datetime.now(UTC),
        **({"user_id": at.user_id, "user_key": at.user_key} if at.user_key and not session.user_key else {}),
    )
    header = Header(session.pk, session.workspace_id, session.version + 1, token, session.base_seq, last_seq)
    return Commit(placed, header, Change(header, session.version, previous, len(fresh)))


def _known(alias: str, session: Session, messages: Sequence[Message]) -> dict[str | None, Message]:
    """Which of the messages are stored already, by id."""
    stored = MessageRow.objects.using(alias).filter(
        workspace_id=session.workspace_id, session_id=session.pk, client_id__in=[message.id for message in messages]
    )
    return {message.id: message for message in to_messages(list(stored.values_list(*READ_COLUMNS)))}


def _header(session: Session) -> Header:
    return Header(session.pk, session.workspace_id, session.version, session.vtoken, session.base_seq, session.last_seq)
