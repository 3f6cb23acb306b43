"""Owns the conversion of messages and sessions to the scripts' arguments and from their results; it must not do I/O."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat_memory.choices import MAIN_BRANCH
from chat_memory.fields import SETTABLE, SETTABLE_MOMENTS, empty_session
from chat_memory.records import Address, Change, Header, Message, SessionRecord, as_utc
from chat_memory.storage.listing import microseconds, moment_at
from chat_memory.storage.mapping import identity, turns

_MARK = 8
_JSON_FIELDS = (*SETTABLE, "title_made")

logger = logging.getLogger("chat_memory.storage.redis")


class ScriptHeader(NamedTuple):
    """The state of a session as scripts return it, in the order of ``header`` in session.lua."""

    session_id: bytes
    workspace_id: bytes
    version: int
    vtoken: bytes
    base_seq: int
    last_seq: int
    prev_vtoken: bytes
    user_key: bytes
    updated_at: int
    active_at: int | bytes

    @property
    def header(self) -> Header:
        """The session's header."""
        ids = UUID(self.session_id.decode()), int(self.workspace_id)
        return Header(*ids, self.version, int(self.vtoken), self.base_seq, self.last_seq)

    def change(self, added: int = 0) -> Change:
        """The change that led to this state."""
        return Change(self.header, self.version - 1, int(self.prev_vtoken), added)


def message_values(messages: Sequence[Message]) -> list[Any]:
    """The arguments of append.lua for messages: of each its id, fingerprint, turns it begins, time, checksum + text."""
    values: list[Any] = []
    turns_before = 0
    for message, turns_begun in zip(messages, turns(messages), strict=True):
        text = msgspec.json.encode(message.to_dict())
        fingerprint = hashlib.sha256(identity(message)).hexdigest()[:32]
        moment = microseconds(message.created_at) if message.created_at else 0
        values += [message.id or "", fingerprint, turns_begun - turns_before, moment, _mark(text) + text]
        turns_before = turns_begun
    return values


def _mark(text: bytes) -> bytes:
    """A short checksum of a stored text, by which a damaged text is recognised."""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()[:_MARK].encode()


def read_message(text: bytes | None) -> Message | None:
    """The message of a stored text; None where the text is missing or damaged."""
    if text is None or text[:_MARK] != _mark(text[_MARK:]):
        return None
    return Message.from_dict(msgspec.json.decode(text[_MARK:]))


def read_messages(texts: Iterable[bytes | None], first: int, session_id: UUID) -> Iterator[Message]:
    """The messages at positions from ``first``; a damaged one is skipped with a warning that shows no content."""
    for seq, text in enumerate(texts, first):
        message = read_message(text)
        if message is None:
            logger.warning("Skipped a damaged message: session %s, position %d", session_id, seq)
        else:
            yield msgspec.structs.replace(message, seq=seq)


def field_values(fields: Mapping[str, Any]) -> list[Any]:
    """Session fields as arguments of scripts, names and values in turn; a title in them counts as set by a caller."""
    stored = {**fields, "title_made": False} if "title" in fields else fields
    return [word for name, value in stored.items() for word in (name, _encoded(name, value))]


def _encoded(name: str, value: Any) -> Any:
    if name == "created_at":
        return microseconds(value)
    return value if name == "base_seq" else msgspec.json.encode(value)


def read_record(at: Address, answer: Sequence[Any]) -> SessionRecord:
    """The record in a script's result: the number of messages, then the fields in the order of ``record``."""
    count, (session_id, user_key, *others) = answer
    version, vtoken, base_seq, last_seq, last_turn = map(int, others[:5])
    created_at, updated_at, active_at = (moment_at(int(number)) for number in others[5:8])
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
        created_at=created_at,
        updated_at=updated_at,
        active_at=active_at,
        **_read_fields(others[8:]),
    )


def _read_fields(texts: Sequence[bytes | None]) -> dict[str, Any]:
    """The fields that are stored as JSON; a field that was never set has its default."""
    stored = zip(_JSON_FIELDS, texts, strict=True)
    fields = empty_session() | {name: msgspec.json.decode(text) for name, text in stored if text is not None}
    moments = {name: as_utc(datetime.fromisoformat(fields[name])) for name in SETTABLE_MOMENTS if fields[name]}
    return fields | moments
