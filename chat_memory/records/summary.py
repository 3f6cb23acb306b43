"""Owns the record of a summary, and of a caller's claim to make one."""

from __future__ import annotations

import uuid
from datetime import datetime

import msgspec


class Summary(msgspec.Struct, frozen=True):
    """A text that stands for a range of messages in a context; the messages stay stored.

    Attributes:
        first_seq: the position of the first message it covers, earlier summaries included.
        last_seq: the position of the last message it covers.
        text: the summarizer's text.
        model: the name of the language model, as the caller gave it; "" where the caller gave none.
        tokens: the number of tokens of the text, for budgets.
        created_at: when the summary was stored.
    """

    first_seq: int
    last_seq: int
    text: str
    model: str
    tokens: int
    created_at: datetime


class Claim(msgspec.Struct, frozen=True):
    """One caller's exclusive right to summarise a range of messages; it lapses by itself after a while.

    Attributes:
        id: the id of the claim.
        first_seq: the first position the new summary will cover.
        last_seq: the last position the new summary will cover.
        previous: the summary that the new one includes and replaces; None where there is none.
        branch: the name of the branch that was current when the claim was made; another may become current meanwhile.
    """

    id: uuid.UUID
    first_seq: int
    last_seq: int
    previous: Summary | None
    branch: str
