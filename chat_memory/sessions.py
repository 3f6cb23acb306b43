"""Owns finding, counting and summing up the conversations of a workspace; it must not read messages or change any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

import msgspec
from asgiref.sync import sync_to_async

from chat_memory import wiring
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ValidationError
from chat_memory.history.bounds import whole
from chat_memory.history.naming import address
from chat_memory.history.stamping import limits
from chat_memory.history.validation import check_session_fields, check_time, plain
from chat_memory.records import SessionRecord, as_utc
from chat_memory.storage.base import Adapter
from chat_memory.storage.listing import Cursor, Filter, Usage

LARGEST_PAGE = 1000


class Conditions(TypedDict, total=False):
    """Which conversations are wanted: those that meet every condition given; None is no condition.

    user: whose they are: a saved user, or the user's key in another system as text.
    key: the one of this key.
    tags: a list; those that have all of these.
    title: those whose title contains this text, upper or lower case alike.
    since: an aware datetime; those that changed last then or later.
    until: an aware datetime; those that changed last before.
    archived: True: those put aside; False: the others, which are active.
    pinned: True: those that are pinned; False: the others.
    """

    user: Any
    key: str | None
    tags: Sequence[str] | None
    title: str | None
    since: datetime | None
    until: datetime | None
    archived: bool | None
    pinned: bool | None


class Page(msgspec.Struct, frozen=True):
    """Some conversations, last changed first; ``next`` is the ``before`` of the page after it, None on the last."""

    sessions: list[SessionRecord]
    next: str | None


def find_sessions(
    workspace: str | None = None,
    *,
    before: str | None = None,
    size: int = 50,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> Page:
    """A page of the conversations of a workspace, last changed first, with their counts: one query.

    A conversation that changes while somebody turns the pages moves to the front; none is shown twice, and none that
    stays as it is is skipped.

    Args:
        workspace: the slug; None: DEFAULT_WORKSPACE. An unknown one has no conversations.
        before: ``next`` of the page before.
        size: how many at most, 1 to 1,000.
        using: the database alias; None: where the router writes sessions.
        adapter: another back end than Django's models.
        wanted: the fields of ``Conditions``.

    Raises:
        ValidationError: an argument is not usable; the text says which.
    """
    if not 1 <= whole(size, "size") <= LARGEST_PAGE:
        raise ValidationError(f"must be a whole number from 1 to {LARGEST_PAGE}", field="size")
    place = None if before is None else Cursor.parse(before)
    slug, conditions = _understood(workspace, **wanted)
    found = _adapter(using, adapter).find(slug, conditions, before=place, size=size + 1)
    page = found[:size]
    return Page(page, str(Cursor.of(page[-1])) if len(found) > size else None)


def count_sessions(
    workspace: str | None = None,
    *,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> int:
    """How many conversations a workspace has (FEATURES S0.22); the arguments are those of ``find_sessions``."""
    slug, conditions = _understood(workspace, **wanted)
    return _adapter(using, adapter).count(slug, conditions)


def usage(
    workspace: str | None = None,
    *,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> Usage:
    """What the conversations of a workspace hold: messages, tokens, and the costs stored with the messages.

    Every stored message counts once, whichever branches show it; the arguments are those of ``find_sessions``.
    """
    slug, conditions = _understood(workspace, **wanted)
    return _adapter(using, adapter).usage(slug, conditions)


async def afind_sessions(
    workspace: str | None = None,
    *,
    before: str | None = None,
    size: int = 50,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> Page:
    """Async twin of ``find_sessions``."""
    find = sync_to_async(find_sessions)
    return await find(workspace, before=before, size=size, using=using, adapter=adapter, **wanted)


async def acount_sessions(
    workspace: str | None = None,
    *,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> int:
    """Async twin of ``count_sessions``."""
    return await sync_to_async(count_sessions)(workspace, using=using, adapter=adapter, **wanted)


async def ausage(
    workspace: str | None = None,
    *,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> Usage:
    """Async twin of ``usage``."""
    return await sync_to_async(usage)(workspace, using=using, adapter=adapter, **wanted)


def _adapter(using: str | None, adapter: Adapter | None) -> Adapter:
    return wiring.adapter(using) if adapter is None else adapter


def _understood(
    workspace: str | None,
    *,
    user: Any = None,
    key: str | None = None,
    tags: Sequence[str] | None = None,
    title: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    archived: bool | None = None,
    pinned: bool | None = None,
) -> tuple[str, Filter]:
    """The workspace's slug and the conditions, checked by the rules for what is stored.

    Raises:
        ValidationError: one is not usable; the text says which.
    """
    at = address("any" if key is None else key, workspace, user, MAIN_BRANCH)
    if user is not None and not at.user_key:
        # What was written without a user would be shown to every visitor.
        raise ValidationError("is anonymous: nobody's conversations are not theirs", field="user")
    described = {"tags": list(tags) if isinstance(tags, tuple) else tags, "title": title, "pinned": pinned}
    fields = check_session_fields({name: value for name, value in described.items() if value is not None}, limits())
    return at.workspace, Filter(
        user_key=at.user_key or None,
        key=plain(key),
        tags=tuple(fields.get("tags", ())),
        title=fields.get("title"),
        since=_moment(since, "since"),
        until=_moment(until, "until"),
        archived=_flag(archived, "archived"),
        pinned=fields.get("pinned"),
    )


def _moment(given: object, field: str) -> datetime | None:
    if given is None:
        return None
    if not isinstance(given, datetime) or given.tzinfo is None:
        raise ValidationError("must be an aware datetime", field=field)
    check_time(given, field)
    return as_utc(given)


def _flag(given: object, field: str) -> bool | None:
    if given is not None and not isinstance(given, bool):
        raise ValidationError(f"must be true or false, not {type(given).__name__}", field=field)
    return given
