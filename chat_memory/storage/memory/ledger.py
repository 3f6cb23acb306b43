"""Owns the rows of a branch's own messages; a ledger only grows at its end, and any other change makes a new ledger."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

from chat_memory.choices import Role
from chat_memory.records import Message
from chat_memory.storage.mapping import Row, to_row

_SYSTEM = Role.SYSTEM.value


class Ledger:
    """The rows of one branch, shared by all its states; a state uses only the rows up to its ``last_seq``.

    ``offset`` is the position before the first row.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self._rows: list[Row] = []
        self._turns: list[int] = []
        self._begun: list[int] = []
        self._system: list[int] = []
        self._positions: dict[str, int] = {}

    def put(self, messages: Sequence[Message], in_turns: Sequence[int], turns_before: int) -> None:
        """Add messages at adjacent positions; rows that a failed call has left at these positions are replaced."""
        first = messages[0].seq or 0
        start = first - 1 - self.offset
        rows = [to_row(message) for message in messages]
        self._rows[start:] = rows
        self._turns[start:] = in_turns
        self._begun[start:] = list(accumulate(in_turns, max, initial=turns_before))[1:]
        self._system[bisect_left(self._system, first) :] = [
            seq for seq, row in enumerate(rows, first) if row.role == _SYSTEM
        ]
        self._positions.update({row.client_id: seq for seq, row in enumerate(rows, first)})

    def up_to(self, seq: int) -> Ledger:
        """A new ledger with only the rows up to a position; states that use this one keep it unchanged."""
        return self._copied(seq - self.offset)

    def with_row(self, seq: int, row: Row) -> Ledger:
        """A new ledger in which a row replaces the one at a position; its id and role must be the same."""
        made = self._copied(len(self._rows))
        made._rows[seq - 1 - self.offset] = row
        return made

    def _copied(self, size: int) -> Ledger:
        made = Ledger(self.offset)
        made._rows, made._turns, made._begun = self._rows[:size], self._turns[:size], self._begun[:size]
        made._system = self._system[: bisect_right(self._system, self.offset + size)]
        made._positions = dict(self._positions)
        return made

    def row(self, seq: int) -> Row:
        """The row at a position as it was appended, without later edits."""
        return self._rows[seq - 1 - self.offset]

    def turns_until(self, seq: int) -> int:
        """The number of turns that began at or before a position."""
        return self._begun[seq - 1 - self.offset] if seq > self.offset else 0

    def turn(self, seq: int) -> int:
        """The turn that the message at a position belongs to."""
        return self._turns[seq - 1 - self.offset]

    def system_positions(self, low: int, high: int) -> list[int]:
        """The positions of system messages after ``low``, up to and including ``high``."""
        return self._system[bisect_right(self._system, low) : bisect_right(self._system, high)]

    def position_of(self, message_id: str, high: int) -> int | None:
        """The position of the message with this id; None where there is none up to and including ``high``."""
        seq = self._positions.get(message_id, 0)
        # A failed call may leave an entry whose row was replaced since, so the id in the row is compared.
        return seq if self.offset < seq <= high and self.row(seq).client_id == message_id else None
