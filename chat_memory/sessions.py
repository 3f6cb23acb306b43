"""Owns the lists, counts, totals and searches of a workspace's conversations; it must not change any."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, Unpack

import msgspec

from chat_memory import wiring
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ValidationError
from chat_memory.history.naming import address
from chat_memory.history.twins import function_twin
from chat_memory.records import Found, SessionChanges, SessionRecord, as_utc
from chat_memory.rules.json_values import shown
from chat_memory.rules.limits import limits
from chat_memory.rules.names import check_text, plain
from chat_memory.rules.numbers import LARGEST_PAGE, PAGE, page_of_changes, whole_number
from chat_memory.rules.searching import page_size, understood
from chat_memory.rules.session import check_session_fields
from chat_memory.rules.times import check_time
from chat_memory.storage.contract import Adapter, ChangeStore, SearchStore, Within
from chat_memory.storage.listing import Cursor, Filter, Usage
from chat_memory.storage.syncing import Listed

_PLACE = re.compile(r"[0-9]{1,9}", re.ASCII)


class Conditions(TypedDict, total=False):
    """Conditions on conversations; a result meets every condition that is given, and None is no condition.

    user: the owner: a saved user, or as text the user's key in another system. A saved user is compared by id and not
        by key, because whoever creates a conversation chooses its user key, and two systems may have equal keys.
    key: the one with this key.
    tags: a list; those that have all of these tags.
    title: those whose title contains this text, in upper or lower case.
    since: an aware datetime; those whose newest message is at this time or later; one without messages counts by the
        time it was created.
    until: an aware datetime; those whose newest message is before this time.
    archived: True: those that are archived; False: the others.
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


class FoundPage(msgspec.Struct, frozen=True):
    """Some results of a search, best first; ``next`` is the ``after`` of the next page, None on the last."""

    results: list[Found]
    next: str | None


class Page(msgspec.Struct, frozen=True):
    """Some conversations, last active first; ``next`` is the ``before`` of the next page, None on the last."""

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
    """A page of the conversations of a workspace, last active first, with their counts, by one query.

    The order is by ``active_at``, the time of the newest message. A conversation that gets a message between two pages
    moves to the front. No conversation is returned twice, and none that keeps its place is skipped.

    Args:
        workspace: the slug; None: DEFAULT_WORKSPACE. An unknown one has no conversations.
        before: ``next`` of the previous page.
        size: how many at most, 1 to 1,000.
        using: the database alias; None: where the router writes sessions.
        adapter: a back end other than Django's models.
        wanted: the fields of ``Conditions``.

    Raises:
        ValidationError: an argument is not usable; the text says which.
    """
    if not 1 <= whole_number(size, "size") <= LARGEST_PAGE:
        raise ValidationError(f"must be a whole number from 1 to {LARGEST_PAGE}, not {shown(size)}", field="size")
    place = None if before is None else Cursor.parse(before)
    slug, conditions = _understood(workspace, **wanted)
    records = _adapter(using, adapter).sessions.find(slug, conditions, before=place, size=size + 1)
    page = records[:size]
    return Page(page, str(Cursor.of(page[-1])) if len(records) > size else None)


afind_sessions = function_twin(find_sessions)


def changes(
    workspace: str | None = None,
    cursor: str | None = None,
    *,
    user: Any = None,
    size: int = PAGE,
    using: str | None = None,
    adapter: Adapter | None = None,
) -> SessionChanges:
    """The changes since a cursor, for a reader that keeps a list: conversations new, changed and deleted.

    To apply them: drop everything if the answer ``begins_anew``, store those in ``changed`` under their ids, drop those
    in ``gone``, keep the cursor, and repeat while there is ``more``. The list then equals that of ``find_sessions``. A
    conversation that did not change may be returned again.

    Args:
        workspace: the slug; None: DEFAULT_WORKSPACE. An unknown one has no conversations.
        cursor: ``cursor`` of the previous answer; None: the reader holds nothing. If it is older than TOMBSTONE_DAYS,
            or the database was restored since, the answer ``begins_anew``.
        user: as in ``Conditions``; ``gone`` has the ids of all users' conversations.
        size: how many conversations and ids at most, 1 to 1,000.
        using: the database alias; None: where the router writes sessions.
        adapter: a back end other than Django's models.

    Raises:
        ValidationError: an argument is not usable; the text says which.
        NotSupported: the back end cannot tell what changed.
    """
    listed = None if cursor is None else Listed.parse(cursor)
    slug, conditions = _understood(workspace, user=user)
    store = _adapter(using, adapter).part(ChangeStore)
    return store.sessions(slug, conditions, listed, size=page_of_changes(size))


achanges = function_twin(changes)


def count_sessions(
    workspace: str | None = None,
    *,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> int:
    """How many conversations a workspace has; the arguments are those of ``find_sessions``."""
    slug, conditions = _understood(workspace, **wanted)
    return _adapter(using, adapter).sessions.count(slug, conditions)


acount_sessions = function_twin(count_sessions)


def usage(
    workspace: str | None = None,
    *,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> Usage:
    """The numbers of messages and tokens of a workspace's conversations, and the costs stored with the messages.

    Every stored message counts once, whichever branches show it; the arguments are those of ``find_sessions``.
    """
    slug, conditions = _understood(workspace, **wanted)
    return _adapter(using, adapter).sessions.usage(slug, conditions)


ausage = function_twin(usage)


def search(
    text: str,
    workspace: str | None = None,
    *,
    after: str | None = None,
    size: int = 20,
    using: str | None = None,
    adapter: Adapter | None = None,
    **wanted: Unpack[Conditions],
) -> FoundPage:
    """The conversations of a workspace with messages that match a search, each with its best match, best first.

    The syntax is that of search engines: all words must occur, ``"words in quotes"`` are a phrase, ``-word`` excludes,
    ``or`` separates alternatives, ``begin*`` is a prefix. Only the messages on current branches are searched, and only
    the newest 500 matches are ranked. Each page is ranked anew: if messages come in between, a conversation may be on
    two pages or on none.

    Args:
        text: the search, 500 characters and 32 words and phrases at most.
        workspace: the slug; None: DEFAULT_WORKSPACE. An unknown one has no conversations.
        after: ``next`` of the previous page.
        size: how many conversations at most, 1 to 100.
        using: the database alias; None: where the router writes sessions.
        adapter: a back end other than Django's models.
        wanted: the fields of ``Conditions``; ``since`` and ``until`` limit the messages here: those at this time or
            later, and those before it.

    Raises:
        ValidationError: the search or an argument is not usable; the text says which.
        NotSupported: the back end has no full-text search, for example if ``chat_memory.search`` is not installed.
        SearchTooLong: the search took longer than SEARCH_SECONDS.
    """
    query = understood(text)
    skip, size = _place(after), page_size(size)
    slug, conditions = _understood(workspace, **wanted)
    store = _adapter(using, adapter).part(SearchStore)
    within = Within(conditions, since=conditions.since, until=conditions.until)
    found, is_cut = store.find(slug, query, within, skip=skip, size=size)
    return FoundPage(found, str(skip + size) if is_cut else None)


asearch = function_twin(search)


def _place(after: str | None) -> int:
    """The number of conversations before a page of a search.

    Raises:
        ValidationError: ``after`` is not the ``next`` of a page.
    """
    if after is None:
        return 0
    check_text(after, "after")
    if not _PLACE.fullmatch(str(plain(after))):
        raise ValidationError("must be what a page returned as next", field="after")
    return int(after)


def _adapter(using: str | None, adapter: Adapter | None) -> Adapter:
    return wiring.adapter(using) if adapter is None else adapter


def _understood(workspace: str | None, **wanted: Unpack[Conditions]) -> tuple[str, Filter]:
    """The workspace's slug and the conditions, checked by the rules for stored values.

    Raises:
        ValidationError: one is not usable; the text says which.
        TypeError: there is no condition of this name.
    """
    for name in wanted.keys() - Conditions.__optional_keys__:
        raise TypeError(f"{name!r} is no condition; there are {', '.join(sorted(Conditions.__optional_keys__))}")
    return _filter(workspace, **wanted)


def _filter(
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
    """See ``_understood``."""
    at = address("any" if key is None else key, workspace, user, MAIN_BRANCH)
    if user is not None and not at.user_key:
        # Otherwise every visitor would be shown the conversations that have no owner.
        raise ValidationError("is anonymous, and an anonymous user owns no conversations", field="user")
    described = {"tags": list(tags) if isinstance(tags, tuple) else tags, "title": title, "pinned": pinned}
    fields = check_session_fields({name: value for name, value in described.items() if value is not None}, limits())
    return at.workspace, Filter(
        # A known owner is compared by id: whoever creates a session may give it the user key of somebody else.
        user_id=at.user_id,
        user_key=None if at.user_id is not None else at.user_key or None,
        outside=True if at.user_key and at.user_id is None else None,
        key=plain(key),
        tags=tuple(fields.get("tags", ())),
        title=fields.get("title"),
        since=_moment(since, "since"),
        until=_moment(until, "until"),
        archived=_flag(archived, "archived"),
        pinned=fields.get("pinned"),
    )


def _moment(moment: datetime | None, field: str) -> datetime | None:
    if moment is not None:
        check_time(moment, field)
    return as_utc(moment)


def _flag(given: object, field: str) -> bool | None:
    if given is not None and not isinstance(given, bool):
        raise ValidationError(f"must be true or false, not {type(given).__name__}", field=field)
    return given
