"""Owns summaries of a history that are made again only when it has changed."""

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
"""The summaries of at most so many sessions are kept in an object."""


class CachedHistory(Wrapper):
    """Another history, whose summary is remembered while the history stays as it is.

    Derive from it and write ``summarize``, or give a function.

    Args:
        base_history: the other history.
        summarizer: takes the messages and gives the summary, sync or async.
    """

    def __init__(self, base_history: Any, summarizer: Callable[[list[Message]], Any] | None = None) -> None:
        super().__init__(base_history)
        self._summarizer = summarizer
        self._summaries: OrderedDict[str, tuple[object, Any]] = OrderedDict()

    def summarize(self, messages: list[Message]) -> Any:
        """The summary of messages, or a coroutine of it.

        Raises:
            NotImplementedError: no function was given, and no subclass has its own.
        """
        if self._summarizer is None:
            raise NotImplementedError("CachedHistory needs a summarizer, or a subclass with summarize")
        return self._summarizer(messages)

    async def get_cached_summary(self, session_id: str) -> Any:
        """The summary of what the history holds now, under the name of a session."""
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
        """What changes with the conversation; None where the other history has no such thing."""
        stored = self.beneath
        if stored is None:
            return None
        record = await stored.conversation.asession()
        return (record.id, record.version, record.vtoken) if record else ()


def _fingerprint(messages: Sequence[Any]) -> bytes:
    """What differs for any two lists of messages."""
    return hashlib.sha256(msgspec.json.encode([as_message(message).to_dict() for message in messages])).digest()
