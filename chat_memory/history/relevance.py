"""Owns the search for messages that are similar to a text; it must not know how embeddings are compared."""

from __future__ import annotations

from typing import Any

from chat_memory.choices import State
from chat_memory.exceptions import ValidationError
from chat_memory.history.embedding import BATCH_SIZE, usable
from chat_memory.history.handle import Place
from chat_memory.records import Relevant, Span
from chat_memory.rules.json_values import shown
from chat_memory.rules.names import check_text, plain
from chat_memory.rules.numbers import whole_number
from chat_memory.storage.contract import VectorStore

LONGEST_QUERY = 8_000
"""The most characters of a query."""
LARGEST = 1_000
"""The most messages that a call returns."""


def relevant(place: Place, query: object, k: object, embedder: Any) -> list[Relevant]:
    """See ``Conversation.relevant``."""
    store = place.adapter.part(VectorStore)
    text, number, embed = _text(query), _number(k), usable(embedder)
    header = place.adapter.messages.peek(place.address)
    place.remember(header)
    if header is None:
        return []
    if header.last_seq - header.base_seq <= number:
        whole = place.adapter.messages.read(place.address, Span(last=number, min_version=header.version)).messages
        return [Relevant(message) for message in whole if message.state != State.REDACTED.value]
    (vector,) = embed([text])
    size, after = len(vector), 0
    # Messages appended meanwhile are not embedded: with an embedder that writes to the conversation this would not end.
    while after < header.last_seq and (
        lacking := store.unembedded(place.address, embed.name, size, after=after, size=BATCH_SIZE)
    ):
        store.keep(embed.name, embed.of_messages(lacking, size))
        after = lacking[-1].seq
    return store.nearest(place.address, embed.name, vector, size=number)


def _text(query: object) -> str:
    """The query, checked.

    Raises:
        ValidationError: it is not text, is too long, or is blank.
    """
    if query is None:
        raise ValidationError("must be text, not NoneType", field="query")
    check_text(query, "query", LONGEST_QUERY)
    text = str(plain(query))
    if not text.strip():
        raise ValidationError("must have a word", field="query")
    return text


def _number(k: object) -> int:
    """The number of messages to return, checked.

    Raises:
        ValidationError: it is not a whole number from 1 to LARGEST.
    """
    number = whole_number(k, "k")
    if not 1 <= number <= LARGEST:
        raise ValidationError(f"must be a whole number from 1 to {LARGEST}, not {shown(k)}", field="k")
    return number
