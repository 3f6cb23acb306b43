"""Owns the adapter whose only store is Redis, or Valkey: no SQL; it must not be used as a cache."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from redis.exceptions import NoScriptError, RedisError

from chat_memory.choices import MAIN_BRANCH, Role
from chat_memory.conf import settings
from chat_memory.exceptions import (
    BranchNotFound,
    ChatMemoryError,
    Conflict,
    MessageConflict,
    NotSupported,
    SessionNotFound,
    StorageUnavailable,
    ValidationError,
    VersionConflict,
    WorkspaceNotFound,
)
from chat_memory.records import Address, Change, Commit, Header, Message, SessionRecord, Slice, Span, as_utc, uuid7
from chat_memory.storage.base import EVERYTHING, NOTHING, Adapter, Batch
from chat_memory.storage.listing import EVERY, Cursor, Filter
from chat_memory.storage.mapping import identity, turns
from chat_memory.storage.titles import first_title

PREFIX = "chat_memory:store:"
TOKEN_BITS = 62
LONGEST_LIFE = 2**52
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ID_LENGTH = 36
_MARK = 8
_PAGE = 100
_JSON_FIELDS = ("title", "tags", "metadata", "pinned", "archived_at", "expires_at")
_MOMENTS = frozenset({"archived_at", "expires_at"})
_SCRIPTS = Path(__file__).with_name("scripts")

logger = logging.getLogger(__name__)


class RedisAdapter(Adapter):
    """Conversations in Redis 7, Valkey or a Cluster of either, each in one hash under a key of its own.

    Every call on a conversation is one script, so it happens whole or not at all; the lists of sessions, which lie in
    other slots of a Cluster, follow by a second call, and a retry mends them. What Redis evicts or loses is gone, as
    whole conversations always. Of a user only ``user_key`` is kept.

    A stored text that is not a message any more is skipped with a warning, by position, and not counted (FEATURES N19,
    R06, R07). Reads renew no life (R18).

    Args:
        client: a ``redis.Redis`` or ``redis.cluster.RedisCluster``, not an asyncio one (N14); its pool and timeouts
            are the caller's.
        prefix: what every key begins with; no braces, since those mark what must stay together in a Cluster.
        ttl: seconds, to the millisecond, after the last write until a conversation goes (R03, R04); None: never (N11).

    Raises:
        ValidationError: a wrong client, prefix or ttl.
    """

    durable = True

    def __init__(self, client: Any, prefix: str = PREFIX, ttl: float | None = None) -> None:
        _check_client(client)
        _check_prefix(prefix)
        self._client = client
        self._prefix = prefix
        self._life = _milliseconds(ttl)

    def add_workspace(self, slug: str) -> None:
        """Make a workspace known, for where CREATE_WORKSPACES is False."""
        self._command("SET", self._workspace_key(slug), secrets.randbits(TOKEN_BITS), "NX")

    def append(self, at: Address, messages: Sequence[Message], *, if_version: int | None = None) -> Commit:
        """See ``MessageStore.append``."""
        values = [value for message, turn in _with_turns(messages) for value in _stored(message, turn)]
        title = msgspec.json.encode(first_title(messages))
        head = [*self._change(), "" if if_version is None else if_version, at.user_key, title]
        answer = self._run("append", at, *head, "", "", *values)
        if answer[0] == b"absent":
            if if_version:
                raise VersionConflict(if_version, 0)
            answer = self._run("append", at, *head, *self._birth(at), *values)
        if answer[0] == b"conflict":
            raise MessageConflict(answer[1].decode())
        if answer[0] == b"version":
            raise VersionConflict(if_version or 0, answer[1])
        kind, header, places = answer
        self._list(at, header)
        # A text damaged since is no reason to refuse a retry: its fingerprint says that the message given is equal.
        stored = [
            msgspec.structs.replace(_decoded(text) or message, seq=seq)
            for message, (seq, text) in zip(messages, places, strict=True)
        ]
        added = sum(text is None for _seq, text in places)
        return Commit(tuple(stored), _header(header), _after(header, added) if kind == b"stored" else None)

    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """Refused, before anything is written: no script spans the slots of several conversations."""
        raise NotSupported(f"Redis alone cannot change several conversations at once, here {len(batches)}")

    def read(self, at: Address, span: Span = EVERYTHING) -> Slice:
        """See ``MessageStore.read``; a damaged message takes up its place in ``first`` and ``last``."""
        bounds = (span.after, span.before, span.first, span.last)
        answer = self._run("read", at, *("" if bound is None else bound for bound in bounds))
        if not answer:
            return Slice([], None)
        header = _header(answer[0])
        found = _messages(answer[2], answer[1], header.session_id)
        return Slice([message for message in found if not span.system or message.role == Role.SYSTEM.value], header)

    def clear(self, at: Address) -> Change | None:
        """See ``MessageStore.clear``."""
        answer = self._run("clear", at, *self._change())
        if answer[0] == b"absent":
            return None
        self._list(at, answer[1])
        return _after(answer[1])

    def get(self, at: Address) -> SessionRecord | None:
        """See ``SessionStore.get``; counting looks at every visible message."""
        answer = self._run("get", at)
        return _record(at, answer) if answer else None

    def find(
        self, workspace: str, wanted: Filter = EVERY, *, before: Cursor | None = None, size: int = 50
    ) -> list[SessionRecord]:
        """See ``SessionStore.find``; takes entries of sessions that are gone out of the list.

        A title or a tag is looked for in every session between ``since`` and ``until``.
        """
        listed = self._list_key(workspace, wanted.user_key or "")
        found: list[SessionRecord] = []
        for member in self._members(listed, wanted, before):
            if len(found) >= size:
                break
            record = self.get(Address(workspace, member[_ID_LENGTH:].decode()))
            if record is None or str(record.id).encode() != member[:_ID_LENGTH]:
                # The id never comes back, so taking it out cannot hide a session made meanwhile.
                self._unlist([listed], member)
            elif wanted.takes(record):
                found.append(record)
        return sorted(found, key=Cursor.of, reverse=True)

    def open(self, at: Address, fields: Mapping[str, Any] = NOTHING) -> tuple[SessionRecord, bool]:
        """See ``SessionStore.open``."""
        head, values = [*self._change(), at.user_key], _field_values(fields)
        answer = self._run("open", at, *head, "", "", *values)
        if answer[0] == b"absent":
            answer = self._run("open", at, *head, *self._birth(at), *values)
        made, header, record = answer
        self._list(at, header)
        return _record(at, record), bool(made)

    def update(self, at: Address, fields: Mapping[str, Any]) -> SessionRecord:
        """See ``SessionStore.update``."""
        answer = self._run("update", at, *self._change(), *_field_values(fields))
        if answer[0] == b"absent":
            raise SessionNotFound(f"there is no conversation {at.key!r} in workspace {at.workspace!r}")
        self._list(at, answer[1])
        return _record(at, answer[2])

    def delete(self, at: Address) -> bool:
        """See ``SessionStore.delete``."""
        answer = self._run("delete", at)
        if answer:
            session_id, user_key = answer[0][0], answer[0][7].decode()
            self._unlist(self._list_keys(at.workspace, user_key), session_id + at.key.encode())
        return bool(answer)

    def _birth(self, at: Address) -> tuple[str, int]:
        """The id of a session to be made and the number of its workspace.

        Raises:
            BranchNotFound: a branch is made by a fork, never by a write.
            WorkspaceNotFound: the workspace is unknown and CREATE_WORKSPACES is False.
        """
        if not at.means_whole:
            raise BranchNotFound(f"conversation {at.key!r} has no branch {at.branch!r}")
        if settings.create_workspaces:
            self.add_workspace(at.workspace)
        number = self._command("GET", self._workspace_key(at.workspace))
        if number is None:
            raise WorkspaceNotFound(f"there is no workspace {at.workspace!r}, and CREATE_WORKSPACES is False")
        return str(uuid7()), int(number)

    def _change(self) -> tuple[int, int | str]:
        """What each script that writes begins with: a new version token and the life in milliseconds."""
        return secrets.randbits(TOKEN_BITS), self._life or ""

    def _key(self, at: Address) -> str:
        """One conversation's key. Quoting leaves no ':' in a part, so that no two conversations meet (N12, R13)."""
        return f"{self._prefix}{{{at.workspace}:{quote(at.key, safe='')}:{quote(at.branch or MAIN_BRANCH, safe='')}}}"

    def _workspace_key(self, workspace: str) -> str:
        return f"{self._prefix}{{{workspace}}}"

    def _list_key(self, workspace: str, user_key: str) -> str:
        """The list of a user's sessions; of all sessions, those of nobody included, where ``user_key`` is empty."""
        return f"{self._workspace_key(workspace)}:sessions" + (f":{quote(user_key, safe='')}" if user_key else "")

    def _list_keys(self, workspace: str, user_key: str) -> list[str]:
        return [self._list_key(workspace, owner) for owner in {"", user_key}]

    def _list(self, at: Address, header: Sequence[Any]) -> None:
        session_id, user_key, changed = header[0], header[7].decode(), int(header[8])
        expires: int | str = changed + self._life * 1000 if self._life else ""
        keys = [key for listed in self._list_keys(at.workspace, user_key) for key in (listed, _expiries(listed))]
        self._script("list", keys, session_id + at.key.encode(), changed, expires)

    def _unlist(self, keys: Sequence[str], member: bytes) -> None:
        for listed in keys:
            self._command("ZREM", listed, member)
            self._command("ZREM", _expiries(listed), member)

    def _members(self, key: str, wanted: Filter, before: Cursor | None) -> Iterator[bytes]:
        """The members of a list that may be wanted, last changed first, those after ``before``; read in pages."""
        least, start, name = _microseconds(wanted.since or _EPOCH), wanted.start(before), (wanted.key or "").encode()
        changed, session_id = ("", "") if start is None else (_microseconds(start.updated_at), str(start.id))
        while (page := self._script("page", [key], changed, session_id, _PAGE)) and int(page[1]) >= least:
            listed = zip(page[::2], map(int, page[1::2]), strict=True)
            yield from (member for member, moment in listed if moment >= least and name in (b"", member[_ID_LENGTH:]))
            changed, session_id = page[-1], page[-2][:_ID_LENGTH]

    def _run(self, name: str, at: Address, *values: Any) -> Any:
        """A script on the key of one conversation."""
        return self._script(name, [self._key(at)], *values)

    def _script(self, name: str, keys: Sequence[str], *values: Any) -> Any:
        source, digest = _source(name)
        try:
            return self._command("EVALSHA", digest, len(keys), *keys, *values)
        except StorageUnavailable as error:
            if not isinstance(error.__cause__, NoScriptError):
                raise
        return self._command("EVAL", source, len(keys), *keys, *values)

    def _command(self, *words: Any) -> Any:
        """The answer to a command, as bytes whatever the client decodes.

        Raises:
            StorageUnavailable: Redis did not answer or could not do it.
            Conflict: a key holds what somebody else put there; it is left alone (FEATURES R16).
        """
        try:
            return self._client.execute_command(*words, NEVER_DECODE=True)
        except RedisError as error:
            raise _translated(error) from error


def _check_client(client: Any) -> None:
    """Refuse at once what would lose writes silently later (FEATURES N14).

    Raises:
        ValidationError: not a Redis client, or one for asyncio.
    """
    if any(kind.__module__.startswith("redis.asyncio") for kind in type(client).__mro__):
        raise ValidationError("must be a synchronous client; async calls run it in a thread", field="client")
    if not callable(getattr(client, "execute_command", None)):
        raise ValidationError(f"must be a redis.Redis, not {type(client).__name__}", field="client")


def _check_prefix(prefix: object) -> None:
    if not isinstance(prefix, str) or set(prefix) & set("{}"):
        raise ValidationError("must be text without braces", field="prefix")


def _milliseconds(ttl: object) -> int | None:
    """A life in whole milliseconds.

    Raises:
        ValidationError: not a number of seconds, under a millisecond, or beyond what Redis counts.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0.001 <= ttl <= LONGEST_LIFE / 1000:
        raise ValidationError("must be a number of seconds from 0.001, or None for ever", field="ttl")
    return round(ttl * 1000)


def _translated(error: RedisError) -> ChatMemoryError:
    if str(error).startswith(("FOREIGN", "WRONGTYPE")):
        return Conflict("a key of this conversation holds what another program or version put there")
    return StorageUnavailable(f"Redis: {type(error).__name__}")


@cache
def _source(name: str) -> tuple[str, str]:
    """A script with what all share before it, and its digest."""
    source = "".join((_SCRIPTS / f"{part}.lua").read_text() for part in ("session", name))
    return source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def _expiries(list_key: str) -> str:
    """The list of what expires in a list; a quoted user never begins with ':'."""
    return f"{list_key}::expiries"


def _with_turns(messages: Sequence[Message]) -> Iterator[tuple[Message, int]]:
    """Each message with the number of turns it begins."""
    before = 0
    for message, total in zip(messages, turns(messages), strict=True):
        yield message, total - before
        before = total


def _stored(message: Message, turn: int) -> tuple[str, str, int, bytes]:
    """A message as the append script takes it: id, fingerprint for retries, turns it begins, text with its mark."""
    text = msgspec.json.encode(message.to_dict())
    return message.id or "", hashlib.sha256(identity(message)).hexdigest()[:32], turn, _mark(text) + text


def _mark(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()[:_MARK].encode()


def _decoded(text: bytes | None) -> Message | None:
    """The message of a stored text; None where it is none."""
    if text is None or text[:_MARK] != _mark(text[_MARK:]):
        return None
    return Message.from_dict(msgspec.json.decode(text[_MARK:]))


def _messages(texts: Iterable[bytes | None], first: int, session_id: UUID) -> Iterator[Message]:
    """The messages from a position on; a damaged one is skipped with a warning that shows nothing of it."""
    for seq, text in enumerate(texts, first):
        message = _decoded(text)
        if message is None:
            logger.warning("Skipped a damaged message: session %s, position %d", session_id, seq)
        else:
            yield msgspec.structs.replace(message, seq=seq)


def _header(values: Sequence[Any]) -> Header:
    session_id, workspace_id, version, vtoken, base_seq, last_seq, *_ = values
    return Header(UUID(session_id.decode()), int(workspace_id), version, int(vtoken), base_seq, last_seq)


def _after(values: Sequence[Any], added: int = 0) -> Change:
    """The change that led to a header."""
    header = _header(values)
    return Change(header, header.version - 1, int(values[6]), added)


def _field_values(fields: Mapping[str, Any]) -> list[Any]:
    return [word for name, value in fields.items() for word in (name, _encoded(name, value))]


def _encoded(name: str, value: Any) -> Any:
    if name == "created_at":
        return _microseconds(value)
    return value if name == "base_seq" else msgspec.json.encode(value)


def _record(at: Address, answer: Sequence[Any]) -> SessionRecord:
    """The record of a script's answer: the number of messages, then the fields in the order of ``record``."""
    count, (session_id, user_key, *numbers) = answer
    version, vtoken, base_seq, last_seq, last_turn, created_at, updated_at = map(int, numbers[:7])
    fields = zip(_JSON_FIELDS, numbers[7:], strict=True)
    given: dict[str, Any] = {"title": "", "tags": [], "metadata": {}, "pinned": False}
    given |= {name: msgspec.json.decode(text) for name, text in fields if text is not None}
    given |= {name: as_utc(datetime.fromisoformat(given[name])) for name in _MOMENTS if given.get(name)}
    return SessionRecord(
        id=UUID(session_id.decode()),
        workspace=at.workspace,
        key=at.key,
        branch=at.branch or MAIN_BRANCH,
        user_key=user_key.decode(),
        message_count=count,
        version=version,
        vtoken=vtoken,
        base_seq=base_seq,
        last_seq=last_seq,
        last_turn=last_turn,
        created_at=_moment(created_at),
        updated_at=_moment(updated_at),
        **given,
    )


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
