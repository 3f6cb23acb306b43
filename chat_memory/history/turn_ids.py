"""Owns the ids of messages in a turn: made from the question's id, so that a repeated step stores nothing twice."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from itertools import count

from msgspec import json, structs

from chat_memory.choices import Role
from chat_memory.records import HeldTurn, Message
from chat_memory.storage.mapping import check_replay

_SYSTEM = Role.SYSTEM.value


def next_id(held: HeldTurn, messages: Sequence[Message], given: Collection[str] = ()) -> str:
    """The id of the next message of a turn, made from its place among the messages other than system messages.

    Args:
        held: the turn.
        messages: the messages of the turn. System messages do not count, because a resumed turn does not know them.
        given: the ids of messages that are being streamed.
    """
    return _first_free(held, map(str, count(_place(messages))), messages, given)


def named(
    held: HeldTurn,
    ready: Sequence[Message],
    nameless: Sequence[bool],
    messages: Sequence[Message],
    given: Collection[str] = (),
) -> list[Message]:
    """Messages that are to follow those of a turn; those that came without an id get one of the turn.

    Args:
        held: the turn.
        ready: the messages.
        nameless: for each of them, whether it came without an id.
        messages: as for ``next_id``.
        given: as for ``next_id``.
    """
    so_far = list(messages)
    for message, is_nameless in zip(ready, nameless, strict=True):
        if not is_nameless:
            so_far.append(message)
        elif message.role == _SYSTEM:
            so_far.append(structs.replace(message, id=_of_system(held, message, so_far)))
        else:
            so_far.append(structs.replace(message, id=next_id(held, so_far, given)))
    return so_far[len(messages) :]


def check_known(ready: Iterable[Message], known: Iterable[Message]) -> None:
    """Check that no message has the id of a known one that says something else.

    Raises:
        MessageConflict: one has.
    """
    by_id = {message.id: message for message in known}
    for message in ready:
        if message.id in by_id:
            check_replay(by_id[message.id], message)


def _place(messages: Iterable[Message]) -> int:
    return sum(message.role != _SYSTEM for message in messages)


def _of_system(held: HeldTurn, message: Message, messages: Sequence[Message]) -> str:
    """The id of a system message, made from its content and its place in the turn."""
    said = sha256(json.encode(message.content)).hexdigest()[:16]
    return _first_free(held, (f"{_place(messages)}/{said}/{number}" for number in count()), messages, ())


def _first_free(held: HeldTurn, places: Iterable[str], messages: Iterable[Message], given: Collection[str]) -> str:
    known = {message.id for message in messages}
    space = held.at.session_id or uuid.NAMESPACE_OID
    made = (str(uuid.uuid5(space, f"{held.question.id}/{place}")) for place in places)
    return next(each for each in made if each not in known and each not in given)
