"""Owns which reads an entry can answer, and which messages of it; it does no I/O."""

from __future__ import annotations

from chat_memory.cache.entry import Entry
from chat_memory.records import Header, Message, Span


def selected(messages: list[Message], span: Span) -> list[Message]:
    """The messages of a span, oldest first, among ``messages`` that hold it."""
    if span.after is not None:
        messages = [message for message in messages if (message.seq or 0) > span.after]
    if span.before is not None:
        messages = [message for message in messages if (message.seq or 0) < span.before]
    if span.last is not None:
        return messages[max(0, len(messages) - span.last) :]
    return messages if span.first is None else messages[: span.first]


def is_newest(span: Span) -> bool:
    """Whether a span is the newest n and nothing else."""
    return span.last is not None and span.after is None and span.before is None


def fills(span: Span) -> bool:
    """Whether the read of a span brings what an entry holds: the newest messages without a gap."""
    return span.after is None and span.before is None and span.first is None


def number_to_ask(span: Span, tail: int) -> int:
    """How many of the newest messages to ask for: the newest before a position are not the newest of all."""
    return tail if span.last is None or span.before is not None else min(span.last, tail)


def may_answer(span: Span, header: Header | None, tail: int) -> bool:
    """Whether asking is worth it: a read of more than the cache holds goes to the database."""
    if is_newest(span):
        return (span.last or 0) <= tail
    if header is None:
        return True
    return header.last_seq - max(span.after or 0, header.base_seq) <= tail


def answers(span: Span, entry: Entry) -> bool:
    """Whether the entry holds the whole span."""
    if entry.has_everything:
        return True
    if is_newest(span):
        return len(entry.messages) >= (span.last or 0)
    return span.after is not None and entry.last_seq - len(entry.messages) <= span.after


def is_in_vain(span: Span, header: Header, entry: Entry | None) -> bool:
    """Whether the entry is right and too short since its messages are heavy: a new one would be no longer."""
    return entry is not None and entry.is_cut_by_size and entry.is_at(header) and not answers(span, entry)
