"""Owns the writes of a provider's calls; it must not remove stored messages unless a caller asks for that."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from chat_memory.exceptions import MessageConflict, MessageNotFound, SessionNotFound
from chat_memory.history.conversation import Conversation
from chat_memory.history.stamping import stamped
from chat_memory.providers import metadata as about
from chat_memory.providers.messages import as_core
from chat_memory.providers.places import Place
from chat_memory.records import Message as CoreMessage, Receipt, SessionRecord

logger = logging.getLogger("chat_memory.providers")

RESPONSE = "previous_response_id"
PRIOR_RESPONSE = "prior_response_id"
RESPONSE_MESSAGE = "previous_response_message_id"
RESPONSE_INDEX = "previous_response_message_index"


def store(
    place: Place, key: str, messages: Any, given: Mapping[str, Any] | None, *, engine: bool
) -> tuple[Receipt, bool]:
    """Append the messages that are not stored yet, and merge the metadata; nothing stored is replaced.

    Args:
        place: where the conversation is stored.
        key: the conversation's id.
        messages: the messages; those whose ids are stored already are skipped.
        given: the metadata.
        engine: whether an engine passes back all messages that it read or made. A stored message then stays as it is,
            even if the engine changed its copy, and a message that was deleted meanwhile is not stored again.

    Returns:
        The receipt, and whether the conversation was created.

    Raises:
        MessageConflict: an id is stored with other content, and ``engine`` is False.
        NotOwner: the conversation belongs to another user than the one that the metadata names.
        ChatMemoryError: as ``Conversation.append``.
    """
    kept = about.to_store(given)
    chat = place.chat(key, about.owner_in(kept))
    ready = as_core(messages)
    stamped(ready)
    record, made = chat.get_or_create(metadata=kept)
    if not made:
        about.merge(chat, lambda _stored: kept, record)
        _go_back(chat, kept, ready)
    if not engine:
        return chat.append(*ready), made
    fresh = _not_at_home(chat, record, messages, ready)
    try:
        return chat.append(*fresh), made
    except MessageConflict:
        return chat.append(*_unknown(chat, fresh)), made


def _go_back(chat: Conversation, kept: Mapping[str, Any], ready: Sequence[CoreMessage]) -> None:
    """Truncate the conversation after the given messages, if jaf generates the answer at a message again.

    jaf then stores the messages to keep, and its metadata names the first message to remove. If there are branches, the
    removed messages stay on the former one.
    """
    point = kept.get("regeneration_point")
    if kept.get("regeneration_truncated") is not True or not isinstance(point, str):
        return
    shown = [str(message.id) for message in chat.messages()]
    given = {message.id for message in ready}
    if point not in shown or point in given:
        return
    staying = [message_id for message_id in shown if message_id in given]
    if staying:
        chat.truncate_after(staying[-1])
    else:
        chat.truncate_after(shown[0], inclusive=True)


def _not_at_home(
    chat: Conversation, record: SessionRecord, messages: Sequence[Any], ready: Sequence[CoreMessage]
) -> list[CoreMessage]:
    """The messages without those that were read from this conversation: they are stored, or were deleted since.

    Only the newest messages or all of them can be removed, so if the last one is there, those before it are too.
    """
    homes = [getattr(message, "home", None) for message in messages]
    pairs = list(zip(homes, ready, strict=True))
    new = [message for home, message in pairs if home is None]
    here = [(home.seq, message) for home, message in pairs if home and home.seq and home.session_id == record.id]
    if here:
        seq, last = max(here, key=itemgetter(0))
        stored = chat.get(seq)
        if stored is None or stored.id != last.id:  # it was removed since, and is passed back
            return _unknown(chat, [message for home, message in pairs if home is None or home.seq])
    return new


def _unknown(chat: Conversation, ready: Sequence[CoreMessage]) -> list[CoreMessage]:
    """The messages whose ids are not stored."""
    stored = {message.id for message in chat.messages()}
    fresh = [message for message in ready if message.id not in stored]
    logger.debug("Kept %d stored messages as they are", len(ready) - len(fresh))
    return fresh


def append(place: Place, key: str, messages: Any, given: Mapping[str, Any] | None) -> Receipt:
    """Append messages to a conversation that exists.

    Raises:
        SessionNotFound: there is no such conversation.
        ChatMemoryError: as ``Conversation.append``.
    """
    ready = as_core(messages)
    if given is None:
        return place.with_existing(key, lambda chat: chat.append(*ready))
    kept = about.to_store(given)
    stamped(ready)
    chat = place.chat(key, about.owner_in(kept))
    about.merge(chat, lambda _stored: kept)
    return chat.append(*ready)


def truncate(place: Place, key: str, message_id: str) -> int:
    """Remove a message and all after it; the number of them, 0 if there is no such message.

    Raises:
        SessionNotFound: there is no such conversation.
    """

    def cut(chat: Conversation) -> int:
        try:
            removed = chat.truncate_after(str(message_id), inclusive=True)
        except MessageNotFound:
            if chat.session() is None:
                raise SessionNotFound(chat.key, chat.workspace) from None
            return 0
        now = datetime.now(UTC).isoformat()
        noted = {"regeneration_truncated": True, "truncated_at": now, "messages_removed": removed}
        about.merge(chat, lambda _stored: noted)
        return removed

    return place.with_existing(key, cut)


def mark(place: Place, key: str, message_id: str, given: Mapping[str, Any]) -> None:
    """Add a regeneration point to the metadata.

    Raises:
        SessionNotFound: there is no such conversation.
        ValidationError: the metadata cannot be stored.
    """
    point = {"message_id": str(message_id), "timestamp": datetime.now(UTC).isoformat()} | about.to_store(given)

    def noted(stored: about.Metadata) -> about.Metadata:
        points = [*stored.get("regeneration_points", []), point]
        return {"regeneration_points": points, "last_regeneration": point, "regeneration_count": len(points)}

    place.with_existing(key, lambda chat: about.merge(chat, noted))


def set_response(
    place: Place, key: str, response_id: str, message: tuple[str | None, int | None], owner: str | None, *, shift: bool
) -> bool:
    """Record the newest response with its message's id and index; an unknown conversation is created.

    Args:
        place: where the conversation is stored.
        key: the conversation's id.
        response_id: the response's id.
        message: the id of its message, and the number of messages up to it.
        owner: the owner of the conversation, if it is created.
        shift: whether the former newest response becomes the prior one; otherwise there is no prior one.

    Returns:
        Whether the conversation was created.
    """
    fields = {RESPONSE: response_id, RESPONSE_MESSAGE: message[0], RESPONSE_INDEX: message[1]}
    record, made = place.chat(key).session(), False
    if record is None:
        given = about.to_store(fields | {PRIOR_RESPONSE: None})
        _record, made = place.chat(key, owner).get_or_create(metadata=given)
    if not made:
        about.merge(place.chat(key), lambda stored: fields | {PRIOR_RESPONSE: stored.get(RESPONSE) if shift else None})
    return made
