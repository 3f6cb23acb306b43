"""Owns finding, counting and summing up the conversations of a workspace; it must not read messages or change any."""

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
    """Which conversations are wanted: those that meet every condition given; None is no condition.

    user: whose they are: a saved user, who owns them, or the user's key in another system as text. A conversation with
        an equal user key is not therefore a user's: the writer of a conversation chooses its user key, and the keys of
        two systems may be the same text.
    key: the one of this key.
    tags: a list; those that have all of these.
    title: those whose title contains this text, upper or lower case alike.
    since: an aware datetime; those whose newest message is of then or later; one without messages counts from when
        it was made.
    until: an aware datetime; those whose newest message is from before.
    archived: True: those put aside; False: the others.
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
    """Conversations with what was found in them, the best hit first; ``next`` is the ``after`` of the next page."""

    results: list[Found]
    next: str | None


class Page(msgspec.Struct, frozen=True):
    """Some conversations, last active first; ``next`` is the ``before`` of the page after it, None on the last."""

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
    """A page of the conversations of a workspace, last active first, with their counts: one query.

    The order is by ``active_at``, the time of the newest message. A conversation that gets a message while the pages
    are turned moves to the front; none is shown twice, and none that stays in its place is skipped.

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
    """What a reader has to be told who keeps a list: which conversations are new or changed since a cursor, and gone.

    Drop what is held where the answer ``begins_anew``, put ``changed`` in place of what is held under their ids, drop
    what is ``gone``, and keep the cursor; while there is ``more``, ask again. The list is then what ``find_sessions``
    gives. A conversation may be given again that the reader knows as it is.

    Args:
        workspace: the slug; None: DEFAULT_WORKSPACE. An unknown one has no conversations.
        cursor: ``cursor`` of the answer before; None: the reader holds nothing. One that is older than TOMBSTONE_DAYS,
            or of a database that was restored since, begins anew.
        user: as in ``Conditions``; what is gone is told by the ids of all users' conversations.
        size: how many conversations and ids at most, 1 to 1,000.
        using: the database alias; None: where the router writes sessions.
        adapter: another back end than Django's models.

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
    """What the conversations of a workspace hold: messages, tokens, and the costs stored with the messages.

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
    """The conversations of a workspace in which messages fit a search, each with its best hit, the best of all first.

    The search is in the syntax of search engines: all words are wanted, ``"words in quotes"`` stay together, ``-word``
    excludes, ``or`` stands between alternatives, ``begin*`` means every word that begins so. Found is what a
    conversation shows on its current branch. Of more than 500 hits the newest 500 are compared. The pages are cut from
    the order of the moment: where messages come in between, a conversation may be on two pages, or on none.

    Args:
        text: the search, 500 characters and 32 words and phrases at most.
        workspace: the slug; None: DEFAULT_WORKSPACE. An unknown one has no conversations.
        after: ``next`` of the page before.
        size: how many conversations at most, 1 to 100.
        using: the database alias; None: where the router writes sessions.
        adapter: another back end than Django's models.
        wanted: the fields of ``Conditions``, of which ``since`` and ``until`` are about the messages here: those of
            then or later, and those from before.

    Raises:
        ValidationError: the search or an argument is not usable; the text says which.
        NotSupported: the back end has no full text, as where ``chat_memory.search`` is not installed.
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
    """How many conversations come before a page of a search.

    Raises:
        ValidationError: it is not what a page returned.
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
    """The workspace's slug and the conditions, checked by the rules for what is stored.

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
        # Else every visitor would be shown what was written without a user.
        raise ValidationError("is anonymous, and an anonymous user owns no conversations", field="user")
    described = {"tags": list(tags) if isinstance(tags, tuple) else tags, "title": title, "pinned": pinned}
    fields = check_session_fields({name: value for name, value in described.items() if value is not None}, limits())
    return at.workspace, Filter(
        # The owner counts, where it is known: whoever makes a session may give it the user key of another.
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
