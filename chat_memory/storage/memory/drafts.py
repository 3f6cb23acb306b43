"""Owns the in-memory part for drafts; a draft moves no version until it becomes a message."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import count
from typing import Any

import msgspec

from chat_memory.choices import State, TurnState
from chat_memory.conf import settings
from chat_memory.exceptions import DraftExists, DraftLost, MessageConflict, TooManyDrafts, TurnLost
from chat_memory.records import Address, Draft, Lease, Message, NewDraft, TurnRight
from chat_memory.rules.drafts import check_partial
from chat_memory.rules.overlap import is_answered
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Conclude, DraftStore, Settled
from chat_memory.storage.contract.edits import not_found
from chat_memory.storage.memory.edits import rewrite_in
from chat_memory.storage.memory.messages import append_in
from chat_memory.storage.memory.states import ConversationState, HeldDraft
from chat_memory.storage.memory.store import MemoryStore, Transaction
from chat_memory.storage.memory.turns import is_there_free, renew_in
from chat_memory.storage.memory.view import BranchView

replace = msgspec.structs.replace
_TAKEN = -1
"""Returned instead of the number of a turn: somebody is answering it."""


class MemoryDrafts(DraftStore):
    """See ``DraftStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._numbers = count(1)

    def open(self, at: Address, new: NewDraft, right: TurnRight | None = None) -> Lease:
        """See ``DraftStore.open``."""
        with self._store.transaction() as transaction:
            view = renew_in(transaction, right) if right else transaction.find(at) or _made(transaction, at)
            seq, stored = _replaced(at, view, new, in_turn=right is not None)
            message_id = new.id if stored is None else str(stored.id)
            known = view.stored([Message(new.role, id=new.id)]) if stored is None else {}
            if known:
                raise MessageConflict(message_id, seq=known[new.id].seq)
            held = view.conversation.drafts
            if any(each.draft.id == message_id for each in held):
                raise DraftExists(at.key, message_id)
            if len(held) >= settings.max_drafts:
                raise TooManyDrafts(at.key, settings.max_drafts)
            text = str(stored.content or "") if stored is not None and new.goes_on else ""
            draft = Draft(
                id=message_id,
                role=new.role if stored is None else stored.role,
                state=State.STREAMING.value,
                text=text,
                length=len(text),
                branch=view.state.name,
                name=new.name if stored is None else stored.name,
                begun_at=transaction.now,
                touched_at=transaction.now,
                metadata=_copy(new.metadata),
                number=next(self._numbers),
                turn=right.held.number if right else None,
            )
            place = None if stored is None else (view.state.name, seq)
            transaction.keep(replace(view.conversation, drafts=(*held, HeldDraft(draft, place))))
            return Lease(draft, view.conversation.workspace_id, view.state.id, stored)

    def write(self, at: Address, lease: Lease, piece: str, length: int) -> bool:
        """See ``DraftStore.write``."""
        with self._store.transaction() as transaction:
            conversation, held = _held(transaction, at, lease.draft)
            draft = held.draft
            if draft.length != length:
                raise DraftLost(at.key, draft.id)
            text = draft.text + piece
            grown = replace(draft, text=text, length=len(text), touched_at=transaction.now)
            others = (held._replace(draft=grown) if each is held else each for each in conversation.drafts)
            transaction.keep(replace(conversation, drafts=tuple(others)))
            return draft.stop_asked

    def settle(
        self, at: Address, draft: Draft, conclude: Conclude, *, lapsed: bool = False, right: TurnRight | None = None
    ) -> Settled:
        """See ``DraftStore.settle``."""
        with self._store.transaction() as transaction:
            settled = _settled(transaction, at, draft, conclude, lapsed=lapsed, right=right)
        if settled is None and not lapsed:
            raise DraftLost(at.key, draft.id)
        return settled or Settled(ended=True)

    def stop(self, at: Address, message_id: str) -> bool:
        """See ``DraftStore.stop``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            drafts = view.conversation.drafts if view else ()
            found = [each for each in drafts if each.draft.id == message_id]
            if view is None or not found:
                return False
            asked = [
                each._replace(draft=replace(each.draft, stop_asked=True)) if each in found else each for each in drafts
            ]
            transaction.keep(replace(view.conversation, drafts=tuple(asked)))
            return True

    def all(self, at: Address) -> list[Draft]:
        """See ``DraftStore.all``."""
        return [replace(draft, text="") for draft in self._seen(at)]

    def find(self, at: Address, message_id: str, after: int = 0) -> Draft | None:
        """See ``DraftStore.find``."""
        found = next((draft for draft in self._seen(at) if draft.id == message_id), None)
        return None if found is None else replace(found, text=found.text[after:])

    def _seen(self, at: Address) -> Iterable[Draft]:
        view, now = self._store.find(at), self._store.now()
        return [_seen(each.draft, now) for each in view.conversation.drafts] if view else []


def _made(transaction: Transaction, at: Address) -> BranchView:
    """Create the conversation of a draft that is begun before its first message."""
    view = transaction.new_conversation(at, {"version": 1})
    transaction.keep(view.conversation)
    transaction.add_event(Kind.OPENED, at, view, made=True)
    return view


def _settled(
    transaction: Transaction, at: Address, draft: Draft, conclude: Conclude, *, lapsed: bool, right: TurnRight | None
) -> Settled | None:
    """See ``MemoryDrafts.settle``; None: nothing was stored, because the draft is no longer wanted (``_is_wanted``)."""
    if right:
        renew_in(transaction, right)
    conversation, held = _held(transaction, at, draft)
    record = _seen(held.draft, transaction.now)
    under = record.turn if right else _free_turn(at, conversation, record, transaction.now, lapsed=lapsed)
    if (lapsed and not record.lapsed) or under == _TAKEN:
        return Settled(ended=False)
    rest = tuple(each for each in conversation.drafts if each is not held)
    conversation = replace(conversation, drafts=rest)
    transaction.keep(conversation)
    there = replace(at, branch=record.branch, session_id=None, pinned=False, any_owner=True)
    view = BranchView.of(conversation, record.branch)
    seq = held.place[1] if held.place else 0
    if view is None or not _is_wanted(view, seq, record):
        return None
    message = conclude(record, view.message(seq) if seq else None)
    if message and seq and record.turn and is_answered([message]) and _is_shared(view, seq):
        seq, message = 0, conclude(record, None)
    if message is None:
        return Settled(ended=True)
    if seq:
        message = replace(message, seq=seq, created_at=view.message(seq).created_at)
        commit = rewrite_in(transaction, there, view, message, Kind.EDITED)
    else:
        commit = append_in(transaction, there, [message], None, None, under=under)
    if right and is_answered(commit.messages):
        renew_in(transaction, right, TurnState.ANSWERED)
    return Settled(ended=True, commit=commit)


def _free_turn(
    at: Address, conversation: ConversationState, draft: Draft, now: datetime, *, lapsed: bool
) -> int | None:
    """The number of the turn to store a draft in, if nobody is answering the turn; None: the draft has no turn.

    If somebody is answering it: _TAKEN with ``lapsed``, otherwise an error.

    Raises:
        TurnLost: somebody is answering the turn, and ``lapsed`` is False.
    """
    view = BranchView.of(conversation, draft.branch)
    free = None if draft.turn is None or view is None else is_there_free(view, draft.turn, now)
    if free is not False:
        return draft.turn
    if not lapsed:
        raise TurnLost(at.key, draft.turn or 0)
    return _TAKEN


def _is_wanted(view: BranchView, seq: int, draft: Draft) -> bool:
    """Whether a branch still shows the message that a draft replaces, or the question of the draft's turn."""
    if not seq and draft.turn is None:
        return True
    right = view.state.rights.get(draft.turn or 0)
    return view.shows(seq or (right.seq if right else 0))


def _replaced(at: Address, view: BranchView, new: NewDraft, *, in_turn: bool) -> tuple[int, Message | None]:
    """The position of the message that a draft replaces, and the message; 0 and None if the draft is a new message.

    In a turn, a partial message that another branch shows too is not replaced, because that branch may have its own
    answer after it; the draft is then a new message.

    Raises:
        MessageNotFound: the branch does not show the message.
        ValidationError: the message may not be replaced.
    """
    if new.place is None:
        return 0, None
    seq = view.position(new.place)
    if seq is None:
        raise not_found(at.key, new.place)
    if in_turn and _is_shared(view, seq):
        return 0, None
    stored = view.message(seq)
    check_partial(stored, seq if in_turn else view.state.last_seq, goes_on=new.goes_on)
    return seq, stored


def _is_shared(view: BranchView, seq: int) -> bool:
    """Whether another branch shows the message at a position of this one."""
    return view.owner(seq) is not view.state or len(view.conversation.sharing(view.state.name, seq)) > 1


def _held(transaction: Transaction, at: Address, draft: Draft) -> tuple[ConversationState, HeldDraft]:
    """A conversation and its stored draft.

    Raises:
        DraftLost: the draft was settled or removed.
    """
    view = transaction.find(msgspec.structs.replace(at, branch=draft.branch))
    for held in view.conversation.drafts if view else ():
        if view is not None and held.draft.number == draft.number:
            return view.conversation, held
    raise DraftLost(at.key, draft.id)


def _seen(draft: Draft, now: datetime) -> Draft:
    """A draft as a caller sees it now."""
    age = (now - draft.touched_at).total_seconds() if draft.touched_at else 0.0
    return replace(draft, lapsed=age > settings.draft_lapse_seconds, metadata=_copy(draft.metadata))


def _copy(metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    copied: dict[str, Any] | None = msgspec.json.decode(msgspec.json.encode(metadata))
    return copied
