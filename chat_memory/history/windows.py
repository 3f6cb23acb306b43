"""Owns what of a conversation a model is shown within a budget; it must not change what is stored."""

from __future__ import annotations

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.history import selection
from chat_memory.history.bounds import budget
from chat_memory.history.handle import Handle
from chat_memory.records import Budget, Message, Slice, Span, Summary


class Windows(Handle):
    """Views of the end of a conversation, which stays whole (FEATURES E01, N36)."""

    def window(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        min_version: int = 0,
    ) -> list[Message]:
        """The newest whole turns within a budget, and the system messages, oldest first.

        A turn is a user's message and all that follows up to the next one. A tool call and its results are in it or
        out of it together, so that a provider takes the window as it is; the first message that is not a system
        message is a user's.

        Args:
            turns: the newest n turns.
            messages: as many whole newest turns as have no more messages; system messages do not count.
            tokens: as many whole newest turns as fit, the system messages included; none at all where even those are
                over it.
            system: whether the system messages come along, also those from before the window.
            min_version: as for ``tail``; a prompt that must have the question in it names the version of its receipt.

        Raises:
            ValidationError: not exactly one budget, or a number is no whole one from 0; a budget of 0 gives none.
        """
        wanted = budget(turns, messages, tokens, system=system, min_version=min_version)
        return self._window(wanted).messages if wanted else []

    def context(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        min_version: int = 0,
    ) -> list[Message]:
        """As ``window``, with the newest summary in place of the turns that it covers.

        The summary is a system message "Previous conversation summary: ...", after those that open the conversation.
        With ``tokens`` it counts too, and is left out where there is no room for it.

        Raises:
            ValidationError: as ``window``.
        """
        wanted = budget(turns, messages, tokens, system=system, min_version=min_version)
        if wanted is None:
            return []
        summary = self._newest_summary(wanted)
        if summary is None:
            return self._window(wanted).messages
        found = self._window(_beside(wanted, summary))
        header = found.header
        if header is None or not header.base_seq < summary.first_seq <= summary.last_seq <= header.last_seq:
            return found.messages  # cleared, or on another branch, since the summary was read
        return selection.with_summary(selection.uncovered(found.messages, summary.last_seq), summary)

    async def awindow(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        min_version: int = 0,
    ) -> list[Message]:
        """Async twin of ``window``."""
        return await sync_to_async(self.window)(
            turns=turns, messages=messages, tokens=tokens, system=system, min_version=min_version
        )

    async def acontext(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        min_version: int = 0,
    ) -> list[Message]:
        """Async twin of ``context``."""
        return await sync_to_async(self.context)(
            turns=turns, messages=messages, tokens=tokens, system=system, min_version=min_version
        )

    def _window(self, wanted: Budget) -> Slice:
        found = self._adapter.window(self._address, wanted)
        self._remember(found.header)
        return Slice(selection.pair_safe(found.messages), found.header)

    def _newest_summary(self, wanted: Budget) -> Summary | None:
        """The summary that a budget has room for beside the system messages."""
        kept = self._adapter.summaries(self._address) if self._adapter.can_summarize else []
        if not kept or wanted.tokens is None:
            return kept[-1] if kept else None
        opening = self._adapter.read(self._address, Span(system=True)).messages if wanted.system else []
        spent = sum(message.tokens or 0 for message in opening) + kept[-1].tokens
        return kept[-1] if spent <= wanted.tokens else None


def _beside(wanted: Budget, summary: Summary) -> Budget:
    """What a budget leaves for the window beside a summary."""
    if wanted.tokens is None:
        return wanted
    return msgspec.structs.replace(wanted, tokens=max(0, wanted.tokens - summary.tokens))
