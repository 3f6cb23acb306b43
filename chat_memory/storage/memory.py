"""Owns the adapter that keeps conversations in this process, rows encoded; it must not evict or share any of them."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from heapq import nlargest
from types import MappingProxyType
from typing import Any

import msgspec

from chat_memory.choices import MAIN_BRANCH
from chat_memory.conf import settings
from chat_memory.exceptions import BranchNotFound, SessionNotFound, VersionConflict, WorkspaceNotFound
from chat_memory.records import Address, Change, Commit, Header, Message, SessionRecord, Slice, Span, as_utc, uuid7
from chat_memory.storage.base import EVERYTHING, NOTHING, Adapter, Answer, Batch, Given
from chat_memory.storage.mapping import Row, check_replay, to_messages, to_row, turns

TOKEN_BITS = 62
EMPTY: Mapping[str, Any] = MappingProxyType(
    {"title": "", "tags": [], "metadata": {}, "pinned": False}
    | dict.fromkeys(("message_count", "version", "last_seq", "base_seq", "last_turn"), 0)
)
"""A session in which nothing has happened."""


class MemoryAdapter(Adapter):
    """Conversations in this process: for tests, for trying things out, for what need not outlive it.

    Give one instance to every ``conversation(..., adapter=...)`` that shall share them. It holds what it was given
    until ``delete`` (FEATURES J20), there is nothing to close (J34), and what it returns is a copy (N43, J15).
    Threads may share it; processes cannot.
    """

    transactional = True

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._workspaces: dict[str, _Workspace] = {}

    def _hop(self, body: Callable[Given, Answer]) -> Callable[Given, Awaitable[Answer]]:
        """No thread: nothing here waits for anything but the lock, which is never held for long."""

        async def at_once(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            return body(*args, **kwargs)

        return at_once

    def add_workspace(self, slug: str) -> None:
        """Make a workspace known, for where CREATE_WORKSPACES is False."""
        with self._lock:
            self._workspaces.setdefault(slug, _Workspace(len(self._workspaces) + 1))

    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """See ``MessageStore.append``."""
        with self._lock:
            return self._append(at, messages, if_version)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """See ``MessageStore.append_many``."""
        with self._lock:
            before = {at: self._find(at) for at, _messages in batches}
            try:
                return [self._append(at, messages, None) for at, messages in batches]
            except BaseException:
                self._restore(before)
                raise

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """See ``MessageStore.read``."""
        with self._lock:
            state = self._find(at)
        # A state never changes, so the lock need not be held while its rows are decoded.
        return Slice(state.messages(span), state.header) if state else Slice([], None)

    def peek(self, at: Address) -> Header | None:
        """See ``MessageStore.peek``."""
        with self._lock:
            state = self._find(at)
        return state.header if state else None

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        with self._lock:
            state = self._find(at)
            if state is None or not state.record.message_count:
                return None
            return _between(state, self._moved(state, base_seq=state.record.last_seq, message_count=0))

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``."""
        with self._lock:
            state = self._find(at)
        return _detached(state.record) if state else None

    def find(
        self, workspace: str, *, user_key: str | None = None, before: SessionRecord | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``."""
        with self._lock:
            known = self._workspaces.get(workspace)
            records = [state.record for state in known.sessions.values()] if known else []
        wanted = (record for record in records if user_key is None or record.user_key == user_key)
        after = (record for record in wanted if before is None or _place(record) < _place(before))
        return [_detached(record) for record in nlargest(size, after, key=_place)]

    def open(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        with self._lock:
            state = self._find(at)
            made = state is None
            if state is None:
                state = self._made(at, {**fields, "version": 1})
                self._keep(state)
        return _detached(state.record), made

    def update(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """See ``SessionStore.update``."""
        with self._lock:
            state = self._find(at)
            if state is None:
                raise SessionNotFound(f"there is no conversation {at.key!r} in workspace {at.workspace!r}")
            return _detached(self._moved(state, **fields).record)

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        with self._lock:
            state = self._find(at)
            if state is not None:
                del self._workspaces[at.workspace].sessions[at.key]
        return state is not None

    def _find(self, at: Address) -> _State | None:
        workspace = self._workspaces.get(at.workspace)
        return workspace.sessions.get(at.key) if workspace and at.branch == MAIN_BRANCH else None

    def _keep(self, state: _State) -> None:
        self._workspaces[state.record.workspace].sessions[state.record.key] = state

    def _restore(self, before: Mapping[Address, _State | None]) -> None:
        for at, state in before.items():
            if state is not None:
                self._keep(state)
            elif at.workspace in self._workspaces:
                self._workspaces[at.workspace].sessions.pop(at.key, None)

    def _made(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> _State:
        """The first state of a session, not kept yet.

        Raises:
            BranchNotFound: a branch is made by a fork, never by a write.
            WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
        """
        if at.branch != MAIN_BRANCH:
            raise BranchNotFound(f"conversation {at.key!r} has no branch {at.branch!r}")
        if at.workspace not in self._workspaces:
            if not settings.create_workspaces:
                raise WorkspaceNotFound(f"there is no workspace {at.workspace!r}")
            self.add_workspace(at.workspace)
        now = datetime.now(UTC)
        given: dict[str, Any] = {"created_at": now, "last_seq": fields.get("base_seq", 0), **fields}
        record = SessionRecord(
            **{**EMPTY, **given},
            id=uuid7(),
            workspace=at.workspace,
            key=at.key,
            branch=at.branch,
            user_key=at.user_key,
            user_id=at.user_id,
            vtoken=secrets.randbits(TOKEN_BITS),
            updated_at=now,
        )
        return _State(_detached(record), self._workspaces[at.workspace].id, record.last_seq)

    def _append(self, at: Address, messages: Sequence[Message], if_version: int | None) -> Commit:
        state = self._find(at)
        if state is None:
            if if_version:
                raise VersionConflict(if_version, 0)
            state = self._made(at)
        placed = state.known(messages)
        for message in messages:
            if message.id in placed:
                check_replay(placed[message.id], message)
        fresh = [message for message in messages if message.id not in placed]
        change = None
        if fresh:
            if if_version is not None and if_version != state.record.version:
                raise VersionConflict(if_version, state.record.version)
            placed |= state.take(fresh)
            change = _between(state, self._moved(state, **_counted(state.record, fresh), **_claim(state.record, at)))
        header = change.header if change else state.header
        return Commit(tuple(placed[message.id] for message in messages), header, change)

    def _moved(self, state: _State, **fields: Any) -> _State:
        """Keep the state that follows this one."""
        version, token = state.record.version + 1, secrets.randbits(TOKEN_BITS)
        moved = {"version": version, "vtoken": token, "updated_at": datetime.now(UTC)}
        record = _detached(msgspec.structs.replace(state.record, **moved, **fields))
        after = msgspec.structs.replace(state, record=record)
        self._keep(after)
        return after


class _Workspace:
    """A tenant and its sessions by key."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.sessions: dict[str, _State] = {}


class _State(msgspec.Struct, frozen=True):
    """A session at one version. All its versions share ``rows``, of which each sees those up to its ``last_seq``."""

    record: SessionRecord
    workspace_id: int
    offset: int
    rows: list[Row] = []
    positions: dict[str, int] = {}

    @property
    def header(self) -> Header:
        at = self.record
        return Header(at.id, self.workspace_id, at.version, at.vtoken, at.base_seq, at.last_seq)

    def messages(self, span: Span) -> list[Message]:
        """The visible messages of a span, decoded anew for each caller."""
        start = max(self.record.base_seq, span.after or 0)
        end = self.record.last_seq if span.before is None else min(self.record.last_seq, span.before - 1)
        if span.first is not None:
            end = min(end, start + span.first)
        if span.last is not None:
            start = max(start, end - span.last)
        return to_messages([self._numbered(seq) for seq in range(start + 1, end + 1)])

    def known(self, messages: Sequence[Message]) -> dict[str | None, Message]:
        """Which of the messages are stored already, hidden ones too, by id."""
        # A call taken back leaves positions behind, whose rows others take: the id in the row decides.
        places = {self.positions.get(message.id or "", 0) for message in messages}
        rows = [self._numbered(seq) for seq in places if self.offset < seq <= self.record.last_seq]
        return {message.id: message for message in to_messages(rows)}

    def take(self, messages: Sequence[Message]) -> dict[str | None, Message]:
        """Put rows after the last one, for the state that follows; the messages with their positions, by id."""
        first = self.record.last_seq + 1
        placed = [msgspec.structs.replace(message, seq=seq) for seq, message in enumerate(messages, first)]
        self.rows[first - 1 - self.offset :] = map(to_row, placed)
        self.positions.update({message.id or "": message.seq or 0 for message in placed})
        return {message.id: message for message in placed}

    def _numbered(self, seq: int) -> tuple[Any, ...]:
        return (seq, *self.rows[seq - 1 - self.offset])


def _between(before: _State, after: _State) -> Change:
    added = after.header.last_seq - before.header.last_seq
    return Change(after.header, before.record.version, before.record.vtoken, added)


def _counted(record: SessionRecord, fresh: Sequence[Message]) -> dict[str, int]:
    return {
        "last_seq": record.last_seq + len(fresh),
        "message_count": record.message_count + len(fresh),
        "last_turn": record.last_turn + turns(fresh)[-1],
    }


def _claim(record: SessionRecord, at: Address) -> dict[str, Any]:
    """A session of nobody becomes that of the first user who writes to it."""
    return {"user_id": at.user_id, "user_key": at.user_key} if at.user_key and not record.user_key else {}


def _place(record: SessionRecord) -> tuple[datetime, uuid.UUID]:
    return record.updated_at, record.id


def _detached(record: SessionRecord) -> SessionRecord:
    """A copy that shares nothing its holder could change, its times as UTC."""
    copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record.metadata))
    moments = {name: as_utc(getattr(record, name)) for name in ("created_at", "archived_at", "expires_at")}
    return msgspec.structs.replace(record, tags=list(record.tags), metadata=copied, **moments)
