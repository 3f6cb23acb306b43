"""Owns the records of a search: what is looked for, and what was found where."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Term(msgspec.Struct, frozen=True):
    """A word, or the words of a phrase in their order.

    Attributes:
        text: as the search has it, without quotes and sign.
        is_prefix: whether words that begin with it are meant too.
    """

    text: str
    is_prefix: bool = False


class Alternative(msgspec.Struct, frozen=True):
    """What a message has to say, and must not say; the sides of ``or`` are alternatives.

    Attributes:
        wanted: all of these; there is one at least.
        unwanted: none of these.
    """

    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...] = ()


class Query(msgspec.Struct, frozen=True):
    """A search as it was understood: a message is found where one of the alternatives fits."""

    alternatives: tuple[Alternative, ...]

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The terms of all alternatives that a message may be found by."""
        return tuple(term for alternative in self.alternatives for term in alternative.wanted)


class Piece(msgspec.Struct, frozen=True):
    """A piece of an excerpt: plain text, which a page has to escape, and whether the search found it."""

    text: str
    marked: bool = False


class Hit(msgspec.Struct, frozen=True):
    """A message that was found, without its content.

    Attributes:
        seq: its position.
        id: its id.
        role: its role.
        created_at: its time.
        excerpt: a part of its text, in pieces; where the words are that were looked for, they are marked.
    """

    seq: int
    id: str
    role: str
    created_at: datetime
    excerpt: tuple[Piece, ...] = ()

    @property
    def text(self) -> str:
        """The excerpt as one text."""
        return "".join(piece.text for piece in self.excerpt)


class Found(msgspec.Struct, frozen=True):
    """A conversation in which messages were found; ``conversation(key, workspace)`` has the rest of it.

    Attributes:
        id: the id of its first row.
        workspace: the slug of its workspace.
        key: its key.
        title: its title; "" where it has none.
        user_id: the primary key of its owner, if that is a user of the host.
        user_key: the owner's key; "" where it has no owner.
        pinned: whether it is pinned.
        archived_at: when it was archived; None where it is not.
        active_at: the time of its newest message.
        hit: the message that fits best; of several that fit alike, the newest.
        hits: how many of its messages were found, among those that the search looked at.
    """

    id: UUID
    workspace: str
    key: str
    title: str
    user_id: Any
    user_key: str
    pinned: bool
    archived_at: datetime | None
    active_at: datetime
    hit: Hit
    hits: int
