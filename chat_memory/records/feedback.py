"""Owns the records of feedback: one person's vote on a message, and the sums of votes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec


class Person(NamedTuple):
    """Who gives feedback: the primary key of a user of the host, or None; and the user's key, which is never empty."""

    user_id: Any
    user_key: str


class Verdict(NamedTuple):
    """A person's vote on a message, 1 or -1, and a comment; "" for none."""

    vote: int
    comment: str = ""


class Place(NamedTuple):
    """A place in the list of feedback, which is ordered by message, then by when the feedback was first given."""

    seq: int
    number: int


class Feedback(msgspec.Struct, frozen=True):
    """The feedback of one person on one message.

    Attributes:
        seq: the position of the message.
        message_id: the id of the message.
        vote: 1 (good) or -1 (bad).
        comment: the reason in the person's own words; "" if there is none, or if the message was redacted since.
        user_key: the person's key; kept when the user is deleted.
        user_id: the primary key of the user of the host; None for a user of another system and for a deleted one.
        model: the language model that the message names, as ``model`` in its further fields or metadata; "" for none.
        created_at: when the person first gave feedback on the message.
        updated_at: when the person last gave or changed it.
        number: its number among the feedback on one message; see ``Place``.
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
    """Sums of feedback.

    Attributes:
        up: the number of votes of 1.
        down: the number of votes of -1.
        comments: the number of votes with a comment.
    """

    up: int = 0
    down: int = 0
    comments: int = 0


class VotesOfDay(Votes, frozen=True, kw_only=True):
    """The feedback of one day in UTC, by the time at which it was last given or changed."""

    day: date


class VotesOfModel(Votes, frozen=True, kw_only=True):
    """The feedback on the messages of one language model; "" stands for messages that name none."""

    model: str
