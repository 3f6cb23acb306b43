"""Owns which reads an entry can answer, and which of its messages are the answer; it does no I/O."""

from __future__ import annotations

from chat_memory.cache.entry import Entry
from chat_memory.records import Header, Message, Span


def selected(messages: list[Message], span: Span) -> list[Message]:
    """The messages of a span, oldest first; ``messages`` must contain the whole span."""
    if span.after is not None:
        messages = [message for message in messages if (message.seq or 0) > span.after]
    if span.before is not None:
        messages = [message for message in messages if (message.seq or 0) < span.before]
    if span.last is not None:
        return messages[max(0, len(messages) - span.last) :]
    return messages if span.first is None else messages[: span.first]


def is_newest(span: Span) -> bool:
    """Whether a span is the newest n messages, without other bounds."""
    return span.last is not None and span.after is None and span.before is None


def fills(span: Span) -> bool:
    """Whether reading a span can fill an entry: the span is all messages or the newest n."""
    return span.after is None and span.before is None and span.first is None


def number_to_ask(span: Span, tail: int) -> int:
    """How many of the newest messages to read from an entry; all of them, if the span ends before the newest one."""
    return tail if span.last is None or span.before is not None else min(span.last, tail)


def may_answer(span: Span, header: Header | None, tail: int) -> bool:
    """Whether an entry of ``tail`` messages could hold the span; ``header`` None: the session's state is unknown."""
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


def is_refill_useless(span: Span, header: Header, entry: Entry | None) -> bool:
    """Whether the entry is current but too short for the span because of HEAVIEST; a refill would not be longer."""
    return entry is not None and entry.is_cut_by_size and entry.is_at(header) and not answers(span, entry)
