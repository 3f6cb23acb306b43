"""Owns claims and summaries in the states of a branch, which are no change of its history; it must not lock."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from chat_memory.records import Claim, Summary, uuid7
from chat_memory.storage.base import CLAIM_LAPSES
from chat_memory.storage.memory.states import Conversation, Held, State, View


def claimed(view: View, keep: int, now: datetime) -> tuple[Conversation, Claim] | None:
    """The conversation with a claim on all but the newest ``keep`` messages; None where nobody may have one."""
    state, previous = view.state, next(reversed(view.summaries()), None)
    first, done = (previous.first_seq, previous.last_seq) if previous else (state.base_seq + 1, state.base_seq)
    last = state.last_seq - keep
    if last <= done or _is_taken(state, now):
        return None
    claim = Claim(uuid7(), first, last, previous, state.name)
    return _with(view, held=Held(claim, now)), claim


def kept(view: View, claim: Claim, summary: Summary) -> Conversation | None:
    """The conversation with what was claimed; None where the claim is another's, or nothing it covers is shown."""
    if not _has(view.state, claim) or view.state.base_seq >= claim.last_seq:
        return None
    covering = msgspec.structs.replace(summary, first_seq=claim.first_seq, last_seq=claim.last_seq)
    return _with(view, held=None, summaries=(*view.state.summaries, covering))


def released(view: View, claim: Claim) -> Conversation:
    """The conversation without that claim."""
    return _with(view, held=None) if _has(view.state, claim) else view.conversation


def _has(state: State, claim: Claim) -> bool:
    return state.held is not None and state.held.claim.id == claim.id


def _is_taken(state: State, now: datetime) -> bool:
    return state.held is not None and now - state.held.since < timedelta(seconds=CLAIM_LAPSES)


def _with(view: View, **fields: object) -> Conversation:
    return view.conversation.holding(msgspec.structs.replace(view.state, **fields))
