"""Owns the arguments of adapter calls: the address of a conversation, a span of messages, the budget of a window."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from chat_memory.choices import CURRENT, MAIN_BRANCH
from chat_memory.records.answers import Header


class Address(msgspec.Struct, frozen=True):
    """The conversation that a call is about, and its owner in case the call creates it.

    Attributes:
        workspace: the workspace's slug.
        key: the session's key.
        branch: the name of a branch; or CURRENT: whichever branch is current when the adapter runs the call.
        user_id: the primary key of the owner, if the owner is a user of the host.
        user_key: the owner's key; "" for no owner.
        workspace_id: the id that an earlier call found. If nothing is stored under the ids, the adapter looks up slug
            and key again.
        session_id: the id that an earlier call found; the id of ``main`` where ``branch`` is CURRENT.
        pinned: whether the address means only the session with this ``session_id``, and no later one with its key; or,
            without a ``session_id``, only a session of the workspace with this ``workspace_id``, which no call makes.
        cache_ttl: seconds that a cache in mode strict may keep the session; None: until evicted; 0: not at all; unset:
            the setting CACHE_TTL.
        any_owner: whether the address also reaches a session that belongs to somebody other than its user.
        anonymous: whether the caller is a visitor who is not logged in, so only sessions without an owner are reached.
        most: the most bytes of stored messages in the answer of an append with several replays; beyond them the adapter
            over Django's models refuses the append before it loads the messages. None: no limit.
    """

    workspace: str
    key: str
    branch: str = CURRENT
    user_id: Any = None
    user_key: str = ""
    workspace_id: int | None = None
    session_id: uuid.UUID | None = None
    pinned: bool = False
    cache_ttl: float | msgspec.UnsetType | None = msgspec.UNSET
    any_owner: bool = False
    anonymous: bool = False
    most: int | None = None

    @property
    def is_checked(self) -> bool:
        """Whether the address only reaches a session that is its user's or has no owner."""
        return (self.user_key != "" or self.anonymous) and not self.any_owner and not self.pinned

    def owns(self, user_id: Any, user_key: str, *, left: bool = False) -> bool:
        """Whether a session with this owner is the user's: compared by id for a user object, by key for a text.

        ``left``: whether the owner was a user of the host who was deleted; an equal key then does not own the session.
        """
        if self.user_id is not None:
            return bool(user_id == self.user_id)
        return user_id is None and not left and user_key == self.user_key

    def reaches(self, user_id: Any, user_key: str, *, left: bool = False) -> bool:
        """Whether the address reaches a session with this owner."""
        is_nobodys = user_id is None and not user_key
        return not self.is_checked or is_nobodys or self.owns(user_id, user_key, left=left)

    @property
    def means_whole(self) -> bool:
        """Whether the address names no branch other than ``main``, so that a write may create the conversation."""
        return self.branch in (CURRENT, MAIN_BRANCH)


class Span(msgspec.Struct, frozen=True):
    """The messages that a read returns, oldest first.

    Attributes:
        after: only messages after this position; None: from the first visible one.
        before: only messages before this position; None: up to the newest.
        first: of these, only the first n; cannot be combined with ``last``.
        last: of these, only the last n.
        min_version: a cache must not answer with a state before this version (mode bounded may be behind).
        most: with ``first`` or ``last``: of these, only as many as have at most this many bytes together, but at least
            one. Bytes of JSON where the answer is JSON, otherwise of the text as it is stored.
        system: only system messages; cannot be combined with ``first`` or ``last``.
        seen: the state that the caller has just read from the database; a cache in mode strict then compares its entry
            with it, instead of asking the database.
    """

    after: int | None = None
    before: int | None = None
    first: int | None = None
    last: int | None = None
    most: int | None = None
    min_version: int = 0
    system: bool = False
    seen: Header | None = None


class Budget(msgspec.Struct, frozen=True):
    """The size of a window at the end of a conversation; exactly one of the first three is set, to at least 1.

    A turn is a user message with everything that follows, up to the next user message; a user message
    that is only tool results does not begin one.

    Attributes:
        turns: this many of the newest turns.
        messages: as many of the newest whole turns as have at most this many messages; system messages do not count.
        tokens: as many of the newest whole turns as have at most this many tokens; included system messages count.
        system: whether the window includes the conversation's system messages; otherwise it has none.
        greeting: whether to include the messages before the first turn, if there is room for all of them.
        min_version: see ``Span.min_version``.
        until: the number of the turn with which the window ends, as if no later question had been asked; None: the
            newest.
    """

    turns: int | None = None
    messages: int | None = None
    tokens: int | None = None
    system: bool = True
    min_version: int = 0
    greeting: bool = False
    until: int | None = None
