"""Owns what of a conversation a model is shown within a budget; it must not change what is stored."""

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
        """As ``context``, with a ceiling, for a caller that hands it on and does not choose the budget.

        Args:
            turns: as for ``context``.
            messages: as for ``context``.
            tokens: as for ``context``.
            min_version: as for ``context``.
            size: the largest number of messages, system messages included.
            most: the largest number of bytes of the messages' JSON; the newest question comes even if it is larger.

        Returns:
            The messages, and whether some that the budget takes were left out for the ceiling.

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
        """What ``context`` shows, from windows that a function gives; ``before``: by summaries of what precedes it."""
        summary = self._newest_summary(before)
        found, summary = _beside(window, wanted, summary) if summary else (window(wanted), None)
        if summary is None or not _is_shown(summary, found):
            return shown(found.messages, wanted, pending=pending)
        rest = selection.uncovered(found.messages, summary.last_seq)
        return selection.with_summary(shown(rest, wanted, pending=pending), summary)

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

    def _newest_summary(self, before: int | None) -> Summary | None:
        adapter = self.place.adapter
        summaries = adapter.summaries.all(self.place.address) if adapter.summaries else []
        return next((each for each in reversed(summaries) if before is None or each.last_seq < before), None)


def _beside(window: Callable[[Budget], Slice], wanted: Budget, summary: Summary) -> tuple[Slice, Summary | None]:
    """The window that fits beside a summary; where there is no room for that one, the window alone."""
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
    """What a provider accepts of a window; never more messages than wanted.

    A message with results of several messages' calls is shown as several, so that a window within its budget may come
    out larger; the window of what came out does not.
    """
    shown = accepted(messages, pending=pending)
    if wanted.messages is None or sum(message.role != Role.SYSTEM.value for message in shown) <= wanted.messages:
        return shown
    return accepted(newest_turns(shown, wanted, has_all=True) or [], pending=pending)


def _newest_within(messages: list[Message], size: int, most: int) -> list[Message]:
    """Of a context that is over a ceiling, the system messages, the newest question and the newest others that fit.

    An older turn whose question does not fit is left out, since a list that begins with its answer is refused.
    Where results of several calls in one message are shown as several, there may be more messages than were read.
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
