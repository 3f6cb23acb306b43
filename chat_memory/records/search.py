"""Owns the records of a search: the parsed query and its results."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Term(msgspec.Struct, frozen=True):
    """A word, or the words of a phrase in their order.

    Attributes:
        text: the text in the search, without quotes and minus.
        is_prefix: whether words that begin with it match too.
    """

    text: str
    is_prefix: bool = False


class Alternative(msgspec.Struct, frozen=True):
    """The terms that a message must have and must not have; ``or`` separates alternatives.

    Attributes:
        wanted: the message must have all of these; at least one.
        unwanted: the message must have none of these.
    """

    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...] = ()


class Query(msgspec.Struct, frozen=True):
    """A parsed search; a message matches if one of the alternatives does."""

    alternatives: tuple[Alternative, ...]

    @property
    def wanted(self) -> tuple[Term, ...]:
        """The wanted terms of all alternatives."""
        return tuple(term for alternative in self.alternatives for term in alternative.wanted)


class Piece(msgspec.Struct, frozen=True):
    """A piece of an excerpt: plain text, which a page must escape, and whether it matches the search."""

    text: str
    marked: bool = False


class Hit(msgspec.Struct, frozen=True):
    """A message that matches a search, without its content.

    Attributes:
        seq: its position.
        id: its id.
        role: its role.
        created_at: its time.
        excerpt: a part of its text, in pieces; the matching words are marked.
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
    """A conversation with matching messages; ``conversation(key, workspace)`` returns the handle on it.

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
        hit: the best match; of equal ones the newest.
        hits: how many of its messages match, among those that the search ranked.
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
