"""Owns what the block that answers a turn knows of it: its messages, and the ids of the next ones."""

from __future__ import annotations

from collections.abc import Sequence

from chat_memory.choices import PARTIAL, Role, TurnState
from chat_memory.exceptions import TurnLost, TurnNotFound
from chat_memory.history.turn_ids import check_known, named, next_id
from chat_memory.records import Budget, Commit, HeldTurn, Message
from chat_memory.rules.overlap import is_answered
from chat_memory.storage.contract import Adapter


class TurnMessages:
    """The messages of a turn, as far as one block knows them; they are read only if others may have changed them.

    Attributes:
        held: the turn.
        stored: its messages without the question, oldest first.
        version: the least version of the branch that a read may show.
        is_stale: whether they have to be read again.
        is_unsure: whether some were written in a transaction of the caller, which may be rolled back.
        is_over: whether the block has ended.
        goes_on: whether a message is being streamed that continues a partial one.
    """

    def __init__(self, held: HeldTurn, adapter: Adapter) -> None:
        self.held, self._adapter = held, adapter
        self.stored = list(held.messages)
        self.version = held.version
        self.is_stale = self.is_unsure = self.is_over = self.goes_on = False
        self._streamed: set[str] = set()

    @property
    def answered(self) -> bool:
        """Whether the turn has its answer."""
        return is_answered(self.stored)

    def holding(self) -> HeldTurn:
        """The turn, if this block may answer it.

        Raises:
            TurnLost: the block does not have the right to, or has ended.
        """
        if not self.held.holder or self.is_over:
            raise TurnLost(self.held.at.key, self.held.number)
        return self.held

    def state_with(self, more: Sequence[Message] = ()) -> TurnState:
        """The state of the turn once these are stored."""
        return TurnState.ANSWERED if is_answered([*self.stored, *more]) else TurnState.OPEN

    def named(self, ready: Sequence[Message], nameless: Sequence[bool]) -> list[Message]:
        """Messages that are to be stored; those that came without an id get one of the turn.

        Raises:
            MessageConflict: one has the id of a message that says something else.
        """
        made = named(self.held, ready, nameless, self.stored, self._streamed)
        check_known(made, (self.held.question, *self.stored))
        return made

    def next(self) -> tuple[str, Message | None]:
        """The id of the message to be streamed, and the partial message that it is to replace, if there is one.

        Raises:
            TurnLost: as ``holding``.
            TurnNotFound: as ``reload``.
        """
        self.holding()
        self.reload()
        last = self.stored[-1] if self.stored else None
        is_partial = last is not None and last.role == Role.ASSISTANT.value and last.state in PARTIAL
        return self.next_id(), last if is_partial else None

    def next_id(self) -> str:
        """The id of the next message."""
        return next_id(self.held, self.stored, self._streamed)

    def begun(self, message_id: str, *, goes_on: bool) -> None:
        """Record the id of a message that is being streamed, so that no other message gets it."""
        self._streamed.add(message_id)
        self.goes_on = goes_on

    def appended(self, commit: Commit) -> None:
        """Record the messages that an append has stored, or has found stored."""
        known = {message.id for message in self.stored}
        self.stored += [message for message in commit.messages if message.id not in known]
        self._note(commit)

    def streamed(self, commit: Commit) -> None:
        """Record the message that a stream has stored; it may replace a partial one."""
        (message,) = commit.messages
        kept = self.stored[:-1] if self.stored and self.stored[-1].id == message.id else self.stored
        self.stored, self.goes_on = [*kept, message], False
        self._note(commit)

    def reload(self) -> None:
        """Read the messages again, if others may have stored some or a rollback may have removed some.

        Raises:
            TurnNotFound: the question is not shown any more.
        """
        if not (self.is_stale or self.is_unsure):
            return
        held = self.held
        wanted = Budget(turns=1, system=False, until=held.number, min_version=self.version)
        shown = self._adapter.messages.window(held.at, wanted).messages
        own = [message for message in shown if message.turn == held.number]
        if not own or own[0].id != held.question.id:
            raise TurnNotFound(held.at.key, held.question.id)
        self.stored, self.is_stale, self.goes_on = own[1:], False, False

    def _note(self, commit: Commit) -> None:
        self.version, self.is_unsure = commit.header.version, self.is_unsure or commit.nested
