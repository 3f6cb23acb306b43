"""Owns what a model is shown to answer the question of a turn."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from chat_memory.exceptions import TurnNotFound
from chat_memory.history.windows import Windows
from chat_memory.records import Budget, HeldTurn, Message, Slice
from chat_memory.storage.contract import Adapter


def prompted(held: HeldTurn, adapter: Adapter, budget: Budget, *, pending: bool) -> list[Message]:
    """What ``context`` shows up to a turn and with it, on the branch that its question is on.

    Raises:
        WindowTooSmall: as ``Conversation.window``.
        TurnNotFound: the question is not shown any more.
    """

    def window(wanted: Budget) -> Slice:
        return adapter.messages.window(held.at, wanted)

    wanted = structs.replace(budget, until=held.number)
    shown = _View(held.at, adapter).shown(wanted, window, pending=pending, before=held.question.seq)
    if all(message.id != held.question.id for message in shown):
        raise TurnNotFound(held.at.key, held.question.id)
    return shown


class _View(Windows):
    """The windows of the branch that a turn is on."""

    def shown(
        self, wanted: Budget, window: Callable[[Budget], Slice], *, pending: bool, before: int | None
    ) -> list[Message]:
        """What ``context`` shows, by summaries of what precedes a position."""
        return self._shown_within(wanted, window, pending=pending, before=before)
