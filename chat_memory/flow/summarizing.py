"""Owns a history that shows a summary in place of its oldest messages; it must not remove any."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any

import msgspec
from asgiref.sync import iscoroutinefunction, sync_to_async

from chat_memory.exceptions import ValidationError
from chat_memory.flow.base import Wrapper
from chat_memory.flow.messages import as_message, as_messages
from chat_memory.history.conversation import Conversation
from chat_memory.history.pairs import accepted
from chat_memory.history.selection import summary_message, uncovered, with_summary
from chat_memory.records import Message, Summary
from chat_memory.rules.numbers import whole_number

logger = logging.getLogger("chat_memory.flow")


class SummarizingHistory(Wrapper):
    """A history that shows a summary in place of its oldest messages once it has more than ``max_messages``.

    All messages stay stored. If the wrapped history is in memory or in Django's database, the summary is stored with
    them, made by one caller at a time and seen by all; otherwise it belongs to this object. A failure of the summarizer
    is logged: the message is stored, and the next message tries again.

    Args:
        base_history: the wrapped history.
        summarizer_node: an object with a method ``summarize``, or a function. It takes the messages to cover, with the
            summary before them as a system message, and returns a text; sync or async.
        max_messages: the most messages without a summary, from 2; beyond them the oldest half is summarised.

    Attributes:
        summary: the newest summary that this object has made or shown; None before there is one.

    Raises:
        ValidationError: there is no such method, or ``max_messages`` is not a whole number from 2.
    """

    def __init__(self, base_history: Any, summarizer_node: Any, max_messages: int = 50) -> None:
        super().__init__(base_history)
        if whole_number(max_messages, "max_messages") < 2:
            raise ValidationError("must be a whole number from 2", field="max_messages")
        self.summarizer = summarizer_node
        self.max_messages = max_messages
        self.summary: str | None = None
        self._summarize = getattr(summarizer_node, "summarize", summarizer_node)
        if not callable(self._summarize):
            raise ValidationError("must have a method summarize, or be a function", field="summarizer_node")
        self._own: Summary | None = None

    @property
    def outlives_handle(self) -> bool:  # type: ignore[override]
        """Whether both the wrapped history and the summary do."""
        return super().outlives_handle and self._chat is not None

    @property
    def _chat(self) -> Conversation | None:
        """The conversation that stores the summary; None if this object keeps it."""
        stored = self.beneath
        return stored.conversation if stored and stored.conversation.place.adapter.summaries else None

    async def get_messages(self) -> list[Message]:
        """The newest summary and the messages it does not cover, as a model takes them; without a summary, all."""
        chat = self._chat
        if chat is None:
            return self._beside_own(_counted(await self.base.get_messages()))
        covered, left = await self._state(chat)
        if covered is None:
            messages: list[Message] = await self.base.get_messages()
            return messages
        self.summary = covered.text
        # A turn that the summary covers in part is shown whole.
        return await chat.acontext(messages=left + self.max_messages, greeting=True, pending=True)

    async def add_message(self, message: Message) -> None:
        """Add a message, and summarise the oldest ones if there are too many."""
        await self.add_messages([message])

    async def add_messages(self, messages: list[Message]) -> None:
        """Add messages, and summarise the oldest ones if there are too many."""
        await self.base.add_messages(as_messages(messages))
        try:
            await self._summarize_if_due()
        except Exception as error:  # noqa: BLE001  # the messages are stored: after an error a caller would store them again
            logger.warning("a summary could not be made (%s); the next message tries again", type(error).__name__)

    async def clear(self) -> None:
        """Remove all messages and the summary."""
        await self.base.clear()
        self.summary = self._own = None

    async def _summarize_if_due(self) -> None:
        keep = self.max_messages - self.max_messages // 2 + 1
        chat = self._chat
        if chat is None:
            await self._make_own(_counted(await self.base.get_messages()), keep)
            return
        _covered, left = await self._state(chat)
        if left > self.max_messages:
            made = await chat.asummarize(self._summarize, keep=keep)
            self.summary = made.text if made else self.summary

    async def _state(self, chat: Conversation) -> tuple[Summary | None, int]:
        """The newest summary, and the number of messages that it does not cover."""
        record, summaries = await chat.asession(), await chat.asummaries()
        if record is None:
            return None, 0
        newest = summaries[-1] if summaries else None
        return newest, record.last_seq - max(record.base_seq, newest.last_seq if newest else 0)

    async def _make_own(self, messages: Sequence[Message], keep: int) -> None:
        self._forget_if_shorter(messages)
        before = [summary_message(self._own)] if self._own else []
        covered = self._own.last_seq if self._own else 0
        if len(messages) - covered <= self.max_messages:
            return
        last = len(messages) - keep
        text = await _given(self._summarize, [*before, *messages[covered:last]])
        if not isinstance(text, str) or not text.strip():
            raise ValidationError("must give a text that says something", field="summarizer_node")
        self.summary, self._own = text, Summary(1, last, text, "", 0, datetime.now(UTC))

    def _beside_own(self, messages: list[Message]) -> list[Message]:
        self._forget_if_shorter(messages)
        if self._own is None:
            return messages
        rest = accepted(uncovered(messages, self._own.last_seq), pending=True)
        return with_summary(rest, self._own)

    def _forget_if_shorter(self, messages: Sequence[Message]) -> None:
        """Forget the summary if somebody else has cleared the history."""
        if self._own is not None and len(messages) < self._own.last_seq:
            self.summary = self._own = None


def _counted(messages: Sequence[Any]) -> list[Message]:
    """The messages with positions counted from 1, in place of the positions they have."""
    return [msgspec.structs.replace(as_message(message), seq=seq) for seq, message in enumerate(messages, 1)]


async def _given(summarize: Any, messages: list[Message]) -> Any:
    """The summarizer's text; a sync summarizer runs in a thread of its own."""
    if iscoroutinefunction(summarize):
        return await summarize(messages)
    text = await sync_to_async(summarize, thread_sensitive=False)(messages)
    return await text if isawaitable(text) else text
