"""Owns which messages of a conversation a model is shown within a budget; it must not change stored messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from chat_memory.choices import Role
from chat_memory.exceptions import WindowTooSmall
from chat_memory.history import selection
from chat_memory.history.handle import Handle
from chat_memory.history.pairs import accepted, unanswered
from chat_memory.history.twins import twin
from chat_memory.records import Budget, Message, Slice, Summary, UnansweredCall
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.numbers import budget, check_flag
from chat_memory.storage.mapping import to_json
from chat_memory.storage.windowing import is_within, newest_turns


class Windows(Handle):
    """Views of the end of a conversation; the stored messages stay as they are."""

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

        A turn is a question (a user's message) and everything up to the next question. If not even the newest turn
        fits, the window has its question and the newest messages after it that fit. Each tool call has its results
        directly behind it; calls without a result, results without a call, and empty assistant's messages are left out.
        Stored messages are not changed. A budget of 0 gives no messages.

        Args:
            turns: the newest n turns.
            messages: as many of the newest whole turns as have no more than n messages; system messages do not count.
            tokens: as many of the newest whole turns as fit. The system messages that open the conversation count and
                are always included; later ones, newest first, while there is room beside the newest turn.
            system: whether to include system messages, also those from before the window.
            greeting: whether to include the messages before the first question, if there is room; some providers refuse
                a list that begins with an assistant's message.
            pending: whether to keep the newest calls without results, if only results follow them: for a caller that
                adds the results itself.
            min_version: as for ``tail``; give the version of a question's receipt if the window must have the question.

        Raises:
            ValidationError: not exactly one budget is given, or a number is not a whole number from 0.
            WindowTooSmall: ``tokens`` are too few for the newest question and the system messages that open the
                conversation.
        """
        wanted = budget(turns, messages, tokens, system=system, min_version=min_version, greeting=greeting)
        check_flag(pending, "pending")
        return shown(self._window(wanted).messages, wanted, pending=pending) if wanted else []

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
        return self._shown_within(wanted, self._window, pending=pending) if wanted else []

    acontext = twin(context)

    def context_within(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        min_version: int = 0,
        size: int,
        most: int,
    ) -> tuple[list[Message], bool]:
        """As ``context``, with a ceiling, for a caller that passes on a budget that somebody else has chosen.

        Args:
            turns: as for ``context``.
            messages: as for ``context``.
            tokens: as for ``context``.
            min_version: as for ``context``.
            size: the largest number of messages, system messages included.
            most: the largest number of bytes of the messages' JSON; the newest question comes even if it is larger.

        Returns:
            The messages, and whether the ceiling left out messages that fit the budget.

        Raises:
            ValidationError: as ``context``.
            WindowTooSmall: as ``context``.
        """
        wanted = budget(turns, messages, tokens, system=True, min_version=min_version)
        place, cut = self.place, False

        def window(wanted: Budget) -> Slice:
            nonlocal cut
            answer, cut = place.adapter.messages.window_within(place.address, wanted, size=size, most=most)
            place.remember(answer.header)
            return answer

        found = self._shown_within(wanted, window, pending=False) if wanted else []
        fitting = found if is_within(found, size, most) else _newest_within(found, size, most)
        return fitting, cut or len(fitting) < len(found)

    acontext_within = twin(context_within)

    def _shown_within(
        self, wanted: Budget, window: Callable[[Budget], Slice], *, pending: bool, before: int | None = None
    ) -> list[Message]:
        """What ``context`` shows, with ``window`` as the read; ``before``: only use summaries of messages before it."""
        summary = self._newest_summary(before)
        found, summary = _beside(window, wanted, summary) if summary else (window(wanted), None)
        if summary is None or not _is_shown(summary, found):
            return shown(found.messages, wanted, pending=pending)
        rest = selection.uncovered(found.messages, summary.last_seq)
        return selection.with_summary(shown(rest, wanted, pending=pending), summary)

    def unanswered_calls(self) -> list[UnansweredCall]:
        """The tool calls that have no result in the conversation, oldest first; ``window`` leaves them out.

        A process that died between a call and its result leaves such calls; a turn that still runs may have some too.
        """
        place = self.place
        return unanswered(place.adapter.messages.read(place.address).messages)

    aunanswered_calls = twin(unanswered_calls)

    def _window(self, wanted: Budget) -> Slice:
        place = self.place
        answer = place.adapter.messages.window(place.address, wanted)
        place.remember(answer.header)
        return answer

    def _newest_summary(self, before: int | None) -> Summary | None:
        adapter = self.place.adapter
        summaries = adapter.summaries.all(self.place.address) if adapter.summaries else []
        return next((each for each in reversed(summaries) if before is None or each.last_seq < before), None)


def _beside(window: Callable[[Budget], Slice], wanted: Budget, summary: Summary) -> tuple[Slice, Summary | None]:
    """The window that fits beside a summary, and the summary; if there is no room for it, the whole window and None."""
    if wanted.tokens is None:
        return window(wanted), summary
    left = wanted.tokens - summary.tokens
    if left > 0:
        try:
            return window(msgspec.structs.replace(wanted, tokens=left)), summary
        except WindowTooSmall:
            pass
    return window(wanted), None


def shown(messages: Sequence[Message], wanted: Budget, *, pending: bool) -> list[Message]:
    """A window in the form that a provider accepts; never more messages than wanted.

    A message with results of several messages' calls is split, so that the window may exceed its budget of messages; it
    is then cut again.
    """
    shown = accepted(messages, pending=pending)
    if wanted.messages is None or sum(message.role != Role.SYSTEM.value for message in shown) <= wanted.messages:
        return shown
    return accepted(newest_turns(shown, wanted, has_all=True) or [], pending=pending)


def _newest_within(messages: list[Message], size: int, most: int) -> list[Message]:
    """Of a context that is over a ceiling, the system messages, the newest question and the newest others that fit.

    An older turn whose question does not fit is left out, since a list that begins with its answer is refused.
    Since a message with results of several calls is split, there may be more messages than were read.
    """
    head = [message for message in messages if message.role == Role.SYSTEM.value][:size]
    rest = [message for message in messages if message.role != Role.SYSTEM.value]
    newest_first = range(len(rest) - 1, -1, -1)
    question = next((number for number in newest_first if starts_turn(rest[number])), None)
    kept = set() if question is None else {question}
    room = most - len(to_json([*head, *(rest[number] for number in kept)]))
    for number in newest_first:
        if number not in kept:
            room -= len(to_json(rest[number])) + 1
            if room < 0 or len(head) + len(kept) >= size:
                break
            kept.add(number)
    first = next((number for number in sorted(kept) if starts_turn(rest[number])), 0)
    return accepted([*head, *(rest[number] for number in sorted(kept) if number >= first)], pending=False)


def _is_shown(summary: Summary, window: Slice) -> bool:
    """Whether a summary is of what the window's conversation shows.

    It is not if the conversation was cleared, or another branch became the current one, after the summary was read.
    """
    header = window.header
    return header is not None and header.base_seq < summary.first_seq <= summary.last_seq <= header.last_seq
