"""Owns the in-memory part for turns; rights are kept with the branch, and change no version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from chat_memory.choices import CURRENT, TurnState
from chat_memory.exceptions import BranchNotFound, TurnLost, TurnNotFound, TurnTaken
from chat_memory.records import Address, Budget, Commit, HeldTurn, Message, OpenTurn, TurnRight
from chat_memory.rules.calls import starts_turn
from chat_memory.rules.overlap import check_of_turn, is_answered
from chat_memory.storage import windowing
from chat_memory.storage.contract import TurnStore
from chat_memory.storage.mapping import check_replay
from chat_memory.storage.memory.messages import append_in
from chat_memory.storage.memory.states import Right
from chat_memory.storage.memory.store import MemoryStore, Transaction
from chat_memory.storage.memory.view import BranchView

_OPEN = TurnState.OPEN


class MemoryTurns(TurnStore):
    """See ``TurnStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def take(
        self,
        at: Address,
        question: Message | str,
        *,
        holder: str,
        lease: float,
        title: str | None = None,
        known: bool = True,
        alone: bool = False,
    ) -> HeldTurn:
        """See ``TurnStore.take``; a caller cannot open a transaction here, so TransactionOpen is never raised."""
        with self._store.transaction() as transaction:
            ident = question if isinstance(question, str) else question.id or ""
            view = transaction.find(at)
            found = view and known and _showing(view, at, ident)
            if found:
                view, stored = found
                if isinstance(question, Message):
                    check_replay(stored, question)
            elif isinstance(question, str):
                raise TurnNotFound(at.key, ident)
            else:
                view, stored = _asked(transaction, at, question, title, alone=alone)
            return _taken(transaction, at, view, stored, holder=holder, lease=lease, alone=alone, is_new=not found)

    def append(self, held: HeldTurn, messages: Sequence[Message], *, lease: float, state: TurnState) -> Commit:
        """See ``TurnStore.append``."""
        with self._store.transaction() as transaction:
            view = held_view(transaction, held)
            known = view.stored(messages)
            check_of_turn(held, known.values())
            fresh = [message for message in messages if message.id not in known]
            commit = Commit((), view.header, None, view.state.name)
            if fresh:
                commit = append_in(transaction, held.at, fresh, None, None, under=held.number)
            _note(transaction, held, lease=lease, state=state)
            placed = known | {message.id: message for message in commit.messages}
            return msgspec.structs.replace(commit, messages=tuple(placed[message.id] for message in messages))

    def renew(self, held: HeldTurn, *, lease: float) -> None:
        """See ``TurnStore.renew``."""
        with self._store.transaction() as transaction:
            renew_in(transaction, TurnRight(held, lease))

    def release(self, held: HeldTurn) -> None:
        """See ``TurnStore.release``."""
        with self._store.transaction() as transaction:
            view = transaction.find(held.at)
            right = view.state.rights.get(held.number) if view and view.state.id == held.at.session_id else None
            if view and right and right.holder == held.holder and right.state == _OPEN:
                freed = right._replace(until=transaction.now, state=TurnState.FREE)
                _keep(transaction, view, view.state.rights | {held.number: freed})

    def open(self, at: Address) -> list[OpenTurn]:
        """See ``TurnStore.open``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            return _open(view, transaction.now) if view else []

    def interrupt(self, at: Address, *, before: int | None = None, state: TurnState) -> list[OpenTurn]:
        """See ``TurnStore.interrupt``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            found = _open(view, transaction.now) if view else []
            ended = [turn for turn in found if before is None or turn.number < before]
            if view and ended:
                rights = {turn.number: Right(turn.seq, "", transaction.now, state) for turn in ended}
                _keep(transaction, view, view.state.rights | rights)
            return ended


def _showing(view: BranchView, at: Address, ident: str) -> tuple[BranchView, Message] | None:
    """The branch that shows a question, and the question; other branches are searched if the address names none.

    Raises:
        TurnNotFound: the message is no question.
    """
    views = [view]
    if at.branch == CURRENT:
        own = (
            state for state in view.conversation.branches.values() if state.ledger.position_of(ident, state.last_seq)
        )
        views += [BranchView(view.conversation, state) for state in own]
    for each in views:
        seq = each.locate(ident)
        if seq is not None:
            message = each.message(seq)
            if not starts_turn(message):
                raise TurnNotFound(at.key, ident)
            return each, message
    return None


def _asked(
    transaction: Transaction, at: Address, question: Message, title: str | None, *, alone: bool
) -> tuple[BranchView, Message]:
    """The branch with a new question, and the question as it is stored."""
    before = transaction.find(at)
    if before is not None:
        _check_alone(before, at, None, transaction.now, alone=alone)
    commit = append_in(transaction, at, [question], title, None)
    after = transaction.find(msgspec.structs.replace(at, branch=commit.branch or at.branch))
    if after is None or commit.change is None:  # the message with the id is hidden
        raise TurnNotFound(at.key, question.id)
    return after, commit.messages[0]


def _taken(
    transaction: Transaction,
    at: Address,
    view: BranchView,
    question: Message,
    *,
    holder: str,
    lease: float,
    alone: bool,
    is_new: bool,
) -> HeldTurn:
    number, state = question.turn or 0, view.state
    own = msgspec.structs.replace(
        at, branch=state.name, session_id=state.id, workspace_id=view.conversation.workspace_id, pinned=True
    )
    shown = windowing.read(view.slice, Budget(turns=1, system=False, until=number)).messages
    answers, right = tuple(shown[1:]), state.rights.get(number)
    left = (right.until - transaction.now).total_seconds() if right and right.state == _OPEN else 0.0
    if left > 0 or is_answered(answers):
        return HeldTurn(own, number, question, answers, "", max(left, 0.0), state.version)
    _check_alone(view, at, number, transaction.now, alone=alone)
    right = Right(question.seq or 0, holder, transaction.now + timedelta(seconds=lease), _OPEN)
    _keep(transaction, view, state.rights | {number: right})
    return HeldTurn(own, number, question, answers, holder, 0.0, state.version, is_new=is_new)


def _check_alone(view: BranchView, at: Address, number: int | None, now: datetime, *, alone: bool) -> None:
    others = [turn for turn in _open(view, now) if turn.number != number] if alone else []
    if others:
        raise TurnTaken(at.key, others[-1].number, others[-1].seconds)


def held_view(transaction: Transaction, held: HeldTurn) -> BranchView:
    """The branch of a turn that the caller holds.

    Raises:
        TurnLost: the caller does not hold it.
    """
    try:
        view = transaction.find(held.at)
    except BranchNotFound:
        view = None
    right = view.state.rights.get(held.number) if view and view.state.id == held.at.session_id else None
    if view is None or right is None or not held.holder or right.holder != held.holder or not shows(view, held.number):
        raise TurnLost(held.at.key, held.number)
    return view


def shows(view: BranchView, number: int) -> bool:
    """Whether a branch shows the question of a turn that was taken."""
    right = view.state.rights.get(number)
    return right is not None and view.shows(right.seq)


def renew_in(transaction: Transaction, right: TurnRight, state: TurnState | None = None) -> BranchView:
    """Renew the right to a turn, set its state if one is given, and return its branch.

    Raises:
        TurnLost: the caller does not hold the turn.
    """
    held = right.held
    present = held_view(transaction, held).state.rights[held.number].state
    _note(transaction, held, lease=right.lease, state=state or present)
    return held_view(transaction, held)


def is_there_free(view: BranchView, number: int, now: datetime) -> bool | None:
    """Whether nobody is answering a turn; None: there is no such turn."""
    right = view.state.rights.get(number)
    if right is None or not view.shows(right.seq):
        return None
    return right.state != _OPEN or right.until <= now


def _note(transaction: Transaction, held: HeldTurn, *, lease: float, state: TurnState) -> None:
    """Set the state of a turn that the caller holds, and the end of its lease."""
    view, until = held_view(transaction, held), transaction.now + timedelta(seconds=lease)
    right = view.state.rights[held.number]._replace(until=until, state=state)
    _keep(transaction, view, view.state.rights | {held.number: right})


def _keep(transaction: Transaction, view: BranchView, rights: dict[int, Right]) -> None:
    transaction.keep(view.conversation.with_branches(msgspec.structs.replace(view.state, rights=rights)))


def _is_open(view: BranchView, right: Right, now: datetime) -> bool:
    return right.state == _OPEN and right.until > now and view.shows(right.seq)


def _open(view: BranchView, now: datetime) -> list[OpenTurn]:
    rights = sorted((n, r) for n, r in view.state.rights.items() if _is_open(view, r, now))
    return [OpenTurn(number, right.seq, (right.until - now).total_seconds()) for number, right in rights]
