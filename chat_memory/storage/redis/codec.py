"""Owns the conversion of messages and sessions to the scripts' arguments and from their results; it must not do I/O."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha1, sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chat_memory.choices import MAIN_BRANCH, Role
from chat_memory.fields import SETTABLE, SETTABLE_MOMENTS, empty_session
from chat_memory.records import Address, Change, Header, Message, SessionRecord, as_utc
from chat_memory.rules.calls import starts_turn
from chat_memory.storage.listing import microseconds, moment_at
from chat_memory.storage.mapping import identity, of_json, to_json

_MARK = 8
_HEADER_WORDS = 10
_SYSTEM = Role.SYSTEM.value
_JSON_FIELDS = (*SETTABLE, "title_made")

logger = logging.getLogger("chat_memory.storage.redis")


class ScriptHeader(NamedTuple):
    """The state of a session, as ``header`` in session.lua returns it."""

    header: Header
    prev_vtoken: int
    updated_at: int
    active_at: int
    user_key: str

    @classmethod
    def of(cls, text: bytes) -> ScriptHeader:
        """Parse the text of a script; before the first change there is no former token, which counts as 0."""
        words = text.decode().split(" ", _HEADER_WORDS - 1)
        workspace, version, vtoken, base_seq, last_seq = map(int, words[1:6])
        header = Header(UUID(words[0]), workspace, version, vtoken, base_seq, last_seq)
        former = 0 if words[6] == "-" else int(words[6])
        return cls(header, former, int(words[7]), int(words[8]), words[9])

    def change(self, added: int = 0) -> Change:
        """The change that led to this state."""
        return Change(self.header, self.header.version - 1, self.prev_vtoken, added)


def message_values(messages: Sequence[Message]) -> list[Any]:
    """The arguments of append.lua for messages; for each: id, fingerprint, kind, time, checksum + text.

    The kind is "s" for a system message, otherwise how many turns it begins.
    """
    values: list[Any] = []
    for message in messages:
        text = to_json(message)
        fingerprint = sha256(identity(message)).hexdigest()[:32]
        kind: str | int = "s" if message.role == _SYSTEM else int(starts_turn(message))
        moment = microseconds(message.created_at) if message.created_at else 0
        values += [message.id or "", fingerprint, kind, moment, _mark(text) + text]
    return values


def _mark(text: bytes) -> bytes:
    """A short checksum of a stored text, by which a damaged text is recognised."""
    return sha1(text, usedforsecurity=False).hexdigest()[:_MARK].encode()


def read_message(text: bytes | None) -> Message | None:
    """The message of a stored text; None where the text is missing or damaged."""
    if text is None or text[:_MARK] != _mark(text[_MARK:]):
        return None
    return of_json([text[_MARK:]])[0]


def read_lines(positions: Iterable[int], lines: bytes, session_id: UUID) -> list[Message]:
    """The messages at positions, from their lines; a damaged one is skipped with a warning that shows no content."""
    found: list[int] = []
    texts: list[bytes] = []
    for seq, line in zip(positions, lines.split(b"\n"), strict=False):
        text = line[_MARK:]
        if line.startswith(sha1(text, usedforsecurity=False).hexdigest()[:_MARK].encode()) and text:
            found.append(seq)
            texts.append(text)
        else:
            logger.warning("Skipped a damaged message: session %s, position %d", session_id, seq)
    return [msgspec.structs.replace(message, seq=seq) for seq, message in zip(found, of_json(texts), strict=True)]


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
        **_read_fields(others[8:-1]),
    )


def is_linked(answer: Sequence[Any]) -> bool:
    """Whether the owner in a script's result is a user object; ``user_key`` is then its primary key."""
    return bool(answer[1][-1] == b"1")


def _read_fields(texts: Sequence[bytes | None]) -> dict[str, Any]:
    """The fields that are stored as JSON; a field that was never set has its default."""
    stored = zip(_JSON_FIELDS, texts, strict=True)
    fields = empty_session() | {name: msgspec.json.decode(text) for name, text in stored if text is not None}
    moments = {name: as_utc(datetime.fromisoformat(fields[name])) for name in SETTABLE_MOMENTS if fields[name]}
    return fields | moments
