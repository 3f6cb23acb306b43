"""Owns the in-memory part for summaries and claims; neither of them changes a branch's version."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from chat_memory.records import Address, Claim, Summary, uuid7
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import CLAIM_LAPSES, SummaryStore
from chat_memory.storage.memory.states import BranchState, ConversationState, HeldClaim
from chat_memory.storage.memory.store import MemoryStore
from chat_memory.storage.memory.view import BranchView


class MemorySummaries(SummaryStore):
    """See ``SummaryStore``."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def all(self, at: Address) -> list[Summary]:
        """See ``SummaryStore.all``."""
        view = self._store.find(at)
        return view.summaries() if view else []

    def claim(self, at: Address, keep: int) -> Claim | None:
        """See ``SummaryStore.claim``; a caller cannot open a transaction here, so TransactionOpen is never raised."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            claim = _new_claim(view, keep, transaction.now) if view else None
            if view and claim:
                transaction.keep(_with(view, held=HeldClaim(claim, transaction.now)))
            return claim

    def keep(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """See ``SummaryStore.keep``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view is None or not _holds(view.state, claim) or view.state.base_seq >= claim.last_seq:
                return False
            covered = {"first_seq": claim.first_seq, "last_seq": claim.last_seq}
            summaries = (*view.state.summaries, msgspec.structs.replace(summary, **covered))
            conversation = _with(view, held=None, summaries=summaries)
            transaction.keep(conversation)
            transaction.add_event(Kind.SUMMARIZED, at, view.in_state(conversation), **covered)
            return True

    def release(self, at: Address, claim: Claim) -> None:
        """See ``SummaryStore.release``."""
        with self._store.transaction() as transaction:
            view = transaction.find(at)
            if view and _holds(view.state, claim):
                transaction.keep(_with(view, held=None))


def _new_claim(view: BranchView, keep: int, now: datetime) -> Claim | None:
    """A claim on all but the newest ``keep`` messages; None where no message is new, or another claim is held."""
    state, previous = view.state, next(reversed(view.summaries()), None)
    first, covered = (previous.first_seq, previous.last_seq) if previous else (state.base_seq + 1, state.base_seq)
    last = state.last_seq - keep
    if last <= covered or _is_held(state, now):
        return None
    return Claim(uuid7(), first, last, previous, state.name)


def _holds(state: BranchState, claim: Claim) -> bool:
    return state.held is not None and state.held.claim.id == claim.id


def _is_held(state: BranchState, now: datetime) -> bool:
    return state.held is not None and now - state.held.since < timedelta(seconds=CLAIM_LAPSES)


def _with(view: BranchView, **fields: object) -> ConversationState:
    return view.conversation.with_branches(msgspec.structs.replace(view.state, **fields))
