"""Owns what of a conversation a model is shown within a budget; it must not change what is stored."""

from __future__ import annotations

import msgspec

from chat_memory.history import selection
from chat_memory.history.handle import Handle
from chat_memory.history.twins import twin
from chat_memory.records import Budget, Message, Slice, Span, Summary
from chat_memory.rules.numbers import budget


class Windows(Handle):
    """Views of the end of a conversation, which stays whole."""

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

    awindow = twin(window)

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
        summary = self._newest_summary()
        if summary is None:
            return self._window(wanted).messages
        window = self._window(_beside(wanted, summary))
        if not window.messages and not self._has_room(wanted, summary):
            return self._window(wanted).messages
        header = window.header
        if header is None or not header.base_seq < summary.first_seq <= summary.last_seq <= header.last_seq:
            return window.messages  # cleared, or on another branch, since the summary was read
        return selection.with_summary(selection.uncovered(window.messages, summary.last_seq), summary)

    acontext = twin(context)

    def _window(self, wanted: Budget) -> Slice:
        place = self.place
        answer = place.adapter.messages.window(place.address, wanted)
        place.remember(answer.header)
        return Slice(selection.pair_safe(answer.messages), answer.header)

    def _newest_summary(self) -> Summary | None:
        adapter = self.place.adapter
        summaries = adapter.summaries.all(self.place.address) if adapter.summaries else []
        return summaries[-1] if summaries else None

    def _has_room(self, wanted: Budget, summary: Summary) -> bool:
        """Whether a budget has room for a summary beside the system messages; asked where a window came out empty."""
        if wanted.tokens is None:
            return True
        opening: list[Message] = []
        if wanted.system:
            opening = self.place.adapter.messages.read(self.place.address, Span(system=True)).messages
        return sum(message.tokens or 0 for message in opening) + summary.tokens <= wanted.tokens


def _beside(wanted: Budget, summary: Summary) -> Budget:
    """What a budget leaves for the window beside a summary."""
    if wanted.tokens is None:
        return wanted
    return msgspec.structs.replace(wanted, tokens=max(0, wanted.tokens - summary.tokens))
