"""Owns summaries of a history that are only made again when the history has changed."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any

import msgspec

from chat_memory.flow.base import Wrapper
from chat_memory.flow.messages import as_message
from chat_memory.records import Message

REMEMBERED = 100
"""The most sessions whose summaries an object keeps."""


class CachedHistory(Wrapper):
    """A history whose summary is cached until the history changes.

    Derive from it and override ``summarize``, or pass a function.

    Args:
        base_history: the wrapped history.
        summarizer: takes the messages and returns the summary, sync or async.
    """

    def __init__(self, base_history: Any, summarizer: Callable[[list[Message]], Any] | None = None) -> None:
        super().__init__(base_history)
        self._summarizer = summarizer
        self._summaries: OrderedDict[str, tuple[object, Any]] = OrderedDict()

    def summarize(self, messages: list[Message]) -> Any:
        """The summary of messages, or an awaitable of it.

        Raises:
            NotImplementedError: no function was given, and no subclass overrides this.
        """
        if self._summarizer is None:
            raise NotImplementedError("CachedHistory needs a summarizer, or a subclass with summarize")
        return self._summarizer(messages)

    async def get_cached_summary(self, session_id: str) -> Any:
        """The summary of the history as it is now, cached under a session id."""
        state = await self._version()
        messages = None
        if state is None:
            messages = await self.get_messages()
            state = _fingerprint(messages)
        known, summary = self._summaries.get(session_id, (None, None))
        if known == state:
            self._summaries.move_to_end(session_id)
            return summary
        made = self.summarize(await self.get_messages() if messages is None else messages)
        summary = await made if isawaitable(made) else made
        self._summaries[session_id] = state, summary
        if len(self._summaries) > REMEMBERED:
            self._summaries.popitem(last=False)
        return summary

    async def invalidate_cache(self, session_id: str) -> None:
        """Forget the summary of one session; the others stay."""
        self._summaries.pop(session_id, None)

    async def _version(self) -> object:
        """A value that differs after every change of the conversation; None if the wrapped history has no version."""
        stored = self.beneath
        if stored is None:
            return None
        record = await stored.conversation.asession()
        return (record.id, record.version, record.vtoken) if record else ()


def _fingerprint(messages: Sequence[Any]) -> bytes:
    """A digest of the messages; different lists have different ones."""
    return hashlib.sha256(msgspec.json.encode([as_message(message).to_dict() for message in messages])).digest()
