"""Owns the record of a message that is like a text."""

from __future__ import annotations

import msgspec

from chat_memory.records.message import Message


class Relevant(msgspec.Struct, frozen=True):
    """A message that is like what was asked for, and how much it is.

    Attributes:
        message: the message.
        score: how alike the two are, from -1 to 1: the cosine of their embeddings; None where the conversation is so
            short that nothing was compared.
    """

    message: Message
    score: float | None = None
