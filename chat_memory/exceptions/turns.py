"""Owns the errors about turns: one question and all that answers it."""

from __future__ import annotations

from chat_memory.exceptions.base import Conflict, NotFound, quoted


class TurnNotFound(NotFound):
    """The conversation shows no question with this id, so it has no turn.

    Attributes:
        key: the session's key.
        message_id: the requested id.
    """

    def __init__(self, key: str, message_id: object) -> None:
        super().__init__(f"conversation {key!r} has no visible question with id {quoted(message_id)}")
        self.key = key
        self.message_id = message_id


class TurnTaken(Conflict):
    """Somebody else is answering this question, or an earlier one that this caller does not want to answer beside.

    Attributes:
        key: the session's key.
        turn: the number of the turn that is taken.
        seconds: the seconds until its lease lapses, unless its holder renews it.
    """

    def __init__(self, key: str, turn: int, seconds: float) -> None:
        super().__init__(
            f"turn {turn} of conversation {key!r} is taken: somebody else is answering it, whose right lapses in "
            f"{seconds:.1f} seconds unless it is renewed"
        )
        self.key = key
        self.turn = turn
        self.seconds = seconds


class TurnLost(Conflict):
    """The caller does not have the right to answer any more, or never had it; nothing was written.

    Attributes:
        key: the session's key.
        turn: the number of the turn; 0: its block was not entered.
    """

    def __init__(self, key: str, turn: int) -> None:
        super().__init__(
            f"turn {turn} of conversation {key!r} is not this caller's: its lease lapsed and somebody else took it, it "
            "was interrupted, its question is not shown any more, its block has ended, or it was never held"
            if turn
            else f"a turn of conversation {key!r} can only be used inside of its with block, which was not entered"
        )
        self.key = key
        self.turn = turn
