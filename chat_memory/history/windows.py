"""Owns what of a conversation a model is shown within a budget; it must not change what is stored."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from chat_memory.choices import Role
from chat_memory.exceptions import WindowTooSmall
from chat_memory.history import selection
from chat_memory.history.handle import Handle
from chat_memory.history.pairs import accepted, unanswered
from chat_memory.history.twins import twin
from chat_memory.records import Budget, Message, Slice, Summary, UnansweredCall
from chat_memory.rules.numbers import budget, check_flag
from chat_memory.storage.windowing import newest_turns


class Windows(Handle):
    """Views of the end of a conversation, which stays whole."""

    def window(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        greeting: bool = False,
        pending: bool = False,
        min_version: int = 0,
    ) -> list[Message]:
        """The newest whole turns within a budget, and the system messages, as a provider accepts them.

        A turn is a question, which is a user's message, and all that follows up to the next question. Where not even
        the newest turn fits, its question comes, with the newest messages after it that fit. Each tool call has its
        results directly behind it; a call without a result, a result without its call, and an assistant's message with
        nothing in it are left out. Nothing stored changes.

        Args:
            turns: the newest n turns.
            messages: as many whole newest turns as have no more messages; system messages do not count.
            tokens: as many whole newest turns as fit. The system messages that open the conversation count and always
                come; later ones come as far as there is room beside the newest turn, newest first.
            system: whether the system messages come along, also those from before the window.
            greeting: whether what precedes the first question comes with it, if there is room; some providers refuse a
                list that begins with an assistant's message.
            pending: whether the newest calls come without their results too, where no message but results is behind
                them: for a caller that adds the results itself.
            min_version: as for ``tail``; a prompt that must have the question in it names the version of its receipt.

        Raises:
            ValidationError: not exactly one budget, or a number is no whole one from 0; a budget of 0 gives none.
            WindowTooSmall: ``tokens`` are too few for the newest question and the system messages that open the
                conversation.
        """
        wanted = budget(turns, messages, tokens, system=system, min_version=min_version, greeting=greeting)
        check_flag(pending, "pending")
        return _shown(self._window(wanted).messages, wanted, pending=pending) if wanted else []

    awindow = twin(window)

    def context(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        greeting: bool = False,
        pending: bool = False,
        min_version: int = 0,
    ) -> list[Message]:
        """As ``window``, with the newest summary in place of the turns that it covers.

        The summary is a system message "Previous conversation summary: ...", after those that open the conversation.
        With ``tokens`` it counts too, and is left out where there is no room for it beside the newest question.

        Raises:
            ValidationError: as ``window``.
            WindowTooSmall: as ``window``.
        """
        wanted = budget(turns, messages, tokens, system=system, min_version=min_version, greeting=greeting)
        check_flag(pending, "pending")
        if wanted is None:
            return []
        summary = self._newest_summary()
        found, summary = self._beside(wanted, summary) if summary else (self._window(wanted), None)
        if summary is None or not _is_shown(summary, found):
            return _shown(found.messages, wanted, pending=pending)
        rest = selection.uncovered(found.messages, summary.last_seq)
        return selection.with_summary(_shown(rest, wanted, pending=pending), summary)

    acontext = twin(context)

    def unanswered_calls(self) -> list[UnansweredCall]:
        """The tool calls to which the conversation has no result, oldest first; ``window`` leaves them out.

        A process that ended between a call and its result leaves such calls, and a turn that still runs has some.
        """
        place = self.place
        return unanswered(place.adapter.messages.read(place.address).messages)

    aunanswered_calls = twin(unanswered_calls)

    def _window(self, wanted: Budget) -> Slice:
        place = self.place
        answer = place.adapter.messages.window(place.address, wanted)
        place.remember(answer.header)
        return answer

    def _beside(self, wanted: Budget, summary: Summary) -> tuple[Slice, Summary | None]:
        """The window that fits beside a summary; where there is no room for that one, the window alone."""
        if wanted.tokens is None:
            return self._window(wanted), summary
        left = wanted.tokens - summary.tokens
        if left > 0:
            try:
                return self._window(msgspec.structs.replace(wanted, tokens=left)), summary
            except WindowTooSmall:
                pass
        return self._window(wanted), None

    def _newest_summary(self) -> Summary | None:
        adapter = self.place.adapter
        summaries = adapter.summaries.all(self.place.address) if adapter.summaries else []
        return summaries[-1] if summaries else None


def _shown(messages: Sequence[Message], wanted: Budget, *, pending: bool) -> list[Message]:
    """What a provider accepts of a window; never more messages than wanted.

    A message with results of several messages' calls is shown as several, so that a window within its budget may come
    out larger; the window of what came out does not.
    """
    shown = accepted(messages, pending=pending)
    if wanted.messages is None or sum(message.role != Role.SYSTEM.value for message in shown) <= wanted.messages:
        return shown
    return accepted(newest_turns(shown, wanted, has_all=True) or [], pending=pending)


def _is_shown(summary: Summary, window: Slice) -> bool:
    """Whether a summary is of what the window's conversation shows.

    It is not if the conversation was cleared, or another branch became the current one, after the summary was read.
    """
    header = window.header
    return header is not None and header.base_seq < summary.first_seq <= summary.last_seq <= header.last_seq
