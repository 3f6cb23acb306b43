"""Owns a provider's calls on many conversations: queries, statistics, and the deletion of a user's conversations."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from django.utils.module_loading import import_string

from chat_memory import wiring
from chat_memory.conf import live
from chat_memory.providers import metadata as about
from chat_memory.providers.conversations import ConversationMemory
from chat_memory.providers.messages import moment, plain_json, shown
from chat_memory.providers.places import Place
from chat_memory.records import Message as CoreMessage, SessionRecord
from chat_memory.rules.numbers import LARGEST_PAGE, optional_number
from chat_memory.sessions import find_sessions
from chat_memory.storage.listing import Filter, every

STORED_BYTES = "chat_memory.maintenance.statistics.stored_bytes"
"""Imported when it is called, because it needs the models, which are only loaded once Django has started."""


def made(record: SessionRecord, messages: list[CoreMessage]) -> ConversationMemory:
    """A conversation in the form of this dialect."""
    return ConversationMemory(
        record.key, about.owner_of(record), [shown(message) for message in messages], about.to_show(record)
    )


def find(place: Place, query: Any, newest: int | None) -> list[ConversationMemory]:
    """The conversations that meet a query, last active first, each with its ``newest`` messages; None: all.

    Raises:
        ValidationError: a condition cannot be used; the error names it.
    """
    limit, offset = optional_number(query.limit, "limit"), optional_number(query.offset, "offset") or 0
    trace = None if query.trace_id is None else plain_json(query.trace_id, about.TRACE)
    times = {name: None if given is None else moment(given, name) for name, given in _times(query)}
    records = matching(place, query.user_id, key=query.conversation_id, **times)
    met = (record for record in records if trace is None or record.metadata.get(about.TRACE) == trace)
    wanted = islice(met, offset, None if limit is None else offset + limit)
    return [made(record, _messages(place, record, newest)) for record in wanted]


def _times(query: Any) -> tuple[tuple[str, Any], ...]:
    return ("since", query.since), ("until", query.until)


def matching(
    place: Place, user: Any, *, key: str | None = None, since: datetime | None = None, until: datetime | None = None
) -> Iterator[SessionRecord]:
    """The conversations of a user, or of all users for None, last active first.

    A user's conversations are those that the user owns, and those without an owner whose metadata names the user.

    Raises:
        ValidationError: a condition cannot be used.
    """
    if user is None:
        return _pages(place, key=key, since=since, until=until)
    whose = user if hasattr(user, "pk") else _text(user)
    owned = _pages(place, user=whose, key=key, since=since, until=until)
    adapter = wiring.adapter(place.using) if place.adapter is None else place.adapter
    nobodys = every(adapter.sessions.find, workspace_of(place), Filter(user_key="", key=key, since=since, until=until))
    name = str(getattr(user, "pk", whose))
    named = (record for record in nobodys if record.user_id is None and about.owner_in(record.metadata) == name)
    return heapq.merge(owned, named, key=lambda record: (record.active_at, record.id), reverse=True)


def workspace_of(place: Place) -> str:
    """The slug of a place's workspace."""
    return live.now().default_workspace if place.workspace is None else place.workspace


def _text(user: Any) -> str:
    plain = plain_json(user, about.OWNER)
    return plain if isinstance(plain, str) else str(plain)


def _pages(place: Place, **wanted: Any) -> Iterator[SessionRecord]:
    before = None
    while True:
        page = find_sessions(
            place.workspace, before=before, size=LARGEST_PAGE, using=place.using, adapter=place.adapter, **wanted
        )
        yield from page.sessions
        before = page.next
        if before is None:
            return


def _messages(place: Place, record: SessionRecord, newest: int | None) -> list[CoreMessage]:
    chat = place.chat(record.key)
    return chat.messages() if newest is None else chat.tail(newest)


def erase(place: Place, user: Any) -> int:
    """Delete all conversations of a user; the number of them.

    Raises:
        ValidationError: ``user`` is None or empty.
    """
    somebody = "" if user is None else user  # None would mean all users
    keys = [record.key for record in matching(place, somebody)]
    return sum(place.chat(key).delete() for key in keys)


def stats(place: Place, user: Any) -> dict[str, Any]:
    """The number and size of conversations and messages, and when the oldest and the newest conversation began.

    Raises:
        ValidationError: ``user`` cannot be used.
    """
    records = list(matching(place, user))
    messages = sum(record.message_count for record in records)
    began = [record.created_at for record in records]
    counted = {
        "total_conversations": len(records),
        "total_messages": messages,
        "avg_messages_per_conversation": messages / len(records) if records else 0.0,
        "total_storage_size": _size(place, [record.key for record in records]),
        "oldest_conversation": min(began, default=None),
        "newest_conversation": max(began, default=None),
    }
    return counted if user is None else counted | {"user_conversations": len(records), "user_messages": messages}


def _size(place: Place, keys: list[str]) -> int:
    """The bytes of the stored messages of conversations."""
    if place.adapter is None:
        size: int = import_string(STORED_BYTES)(keys, workspace=workspace_of(place), using=place.using)
        return size
    stored = (message for key in keys for message in place.chat(key).messages())
    return sum(len(msgspec.json.encode(message.to_dict())) for message in stored)
