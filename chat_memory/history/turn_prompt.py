"""Owns what a model is shown to answer the question of a turn."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from chat_memory.choices import BROKEN, Role
from chat_memory.exceptions import TurnNotFound
from chat_memory.history.windows import Windows
from chat_memory.records import Budget, HeldTurn, Message, Slice
from chat_memory.storage.contract import Adapter


def prompted(held: HeldTurn, adapter: Adapter, budget: Budget, *, pending: bool, left: bool) -> list[Message]:
    """What ``context`` shows up to and including a turn, on the branch of its question.

    ``left``: whether to include the partial answer that a broken attempt left.

    Raises:
        WindowTooSmall: as ``Conversation.window``.
        TurnNotFound: the question is not shown any more.
    """

    def window(wanted: Budget) -> Slice:
        found = adapter.messages.window(held.at, wanted)
        return found if left else _without_left(found, held.number)

    wanted = structs.replace(budget, until=held.number)
    shown = _View(held.at, adapter).shown(wanted, window, pending=pending, before=held.question.seq)
    if all((message.id, message.turn) != (held.question.id, held.number) for message in shown):
        raise TurnNotFound(held.at.key, held.question.id)
    return shown


def _without_left(found: Slice, number: int) -> Slice:
    """A window without the partial answer that a broken attempt left in a turn, because the next message replaces it.

    A model would continue the part, and some providers refuse a list that ends with an assistant's message.
    """
    said = [message for message in found.messages if message.role != Role.SYSTEM.value]
    last = said[-1] if said else None
    if last is None or last.turn != number or last.role != Role.ASSISTANT.value or last.state not in BROKEN:
        return found
    return Slice([message for message in found.messages if message is not last], found.header)


class _View(Windows):
    """The windows of the branch that a turn is on."""

    def shown(
        self, wanted: Budget, window: Callable[[Budget], Slice], *, pending: bool, before: int | None
    ) -> list[Message]:
        """What ``context`` shows, with summaries only of messages before a position."""
        return self._shown_within(wanted, window, pending=pending, before=before)
