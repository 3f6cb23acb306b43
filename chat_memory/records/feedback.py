"""Owns the records of feedback: what one person thinks of a message, and how many think so."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec


class Person(NamedTuple):
    """Who gives feedback: the primary key of a user of the host, or None; and the user's key, which is never empty."""

    user_id: Any
    user_key: str


class Verdict(NamedTuple):
    """What a person says of a message: 1 or -1, and a comment, often ""."""

    vote: int
    comment: str = ""


class Place(NamedTuple):
    """A place in the list of feedback, which is in the order of the messages, then as it was first given."""

    seq: int
    number: int


class Feedback(msgspec.Struct, frozen=True):
    """What one person thinks of one message.

    Attributes:
        seq: the position of the message.
        message_id: the id of the message.
        vote: 1 (good) or -1 (bad).
        comment: why, in the person's own words; "" where none was given, or the message was redacted since.
        user_key: the person's key; kept when the user is deleted.
        user_id: the primary key of the user of the host; None for another system's user, and for one who was deleted.
        model: the language model that the message names, as ``model`` in its further fields or metadata; "" for none.
        created_at: when the person first gave feedback on the message.
        updated_at: when the person gave it as it is.
        number: tells feedback on the same message apart; see ``Place``.
    """

    seq: int
    message_id: str
    vote: int
    comment: str
    user_key: str
    user_id: Any
    model: str
    created_at: datetime
    updated_at: datetime
    number: int = 0

    @property
    def place(self) -> Place:
        """Where it is in the list."""
        return Place(self.seq, self.number)


class Votes(msgspec.Struct, frozen=True):
    """How much feedback there is.

    Attributes:
        up: the number of votes of 1.
        down: the number of votes of -1.
        comments: of all these, the number of those with a comment.
    """

    up: int = 0
    down: int = 0
    comments: int = 0


class VotesOfDay(Votes, frozen=True, kw_only=True):
    """The feedback of one day in UTC, by the time at which it was given as it is."""

    day: date


class VotesOfModel(Votes, frozen=True, kw_only=True):
    """The feedback on the messages of one language model; "" stands for messages that name none."""

    model: str
