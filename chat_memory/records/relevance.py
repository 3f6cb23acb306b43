"""Owns the record of a message that is similar to a text."""

from __future__ import annotations

import msgspec

from chat_memory.records.message import Message


class Relevant(msgspec.Struct, frozen=True):
    """A message that is similar to a text, with its score.

    Attributes:
        message: the message.
        score: the cosine similarity of the embeddings, from -1 to 1; None if the conversation is so short that nothing
            was compared.
    """

    message: Message
    score: float | None = None
