"""Owns the reading of a whole conversation for an export; it bypasses the cache, as the entries would not be reused."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from django.db.models import Exists, OuterRef, Q

from chat_memory.choices import AT_ONCE, MAIN_BRANCH
from chat_memory.fields import SETTABLE
from chat_memory.history.naming import address_of
from chat_memory.models import Feedback, Session, Summary
from chat_memory.records import (
    Address,
    Branch,
    FeedbackPlace,
    Slice,
    Span,
    Transcript,
    TranscriptBranch,
    TranscriptFeedback,
    TranscriptSummary,
)
from chat_memory.storage.contract import BranchStore, FeedbackStore
from chat_memory.storage.orm import DjangoAdapter


def of_current_branch(session: Session) -> Transcript | None:
    """The conversation with the messages of its current branch only; None where it was deleted meanwhile."""
    shown = DjangoAdapter(session._state.db).messages.read(address_of(session))
    return _transcript(session, shown) if shown.header else None


def whole(session: Session) -> Transcript | None:
    """The conversation with branches, summaries and feedback at one moment; None where it was deleted meanwhile."""
    adapter, main = DjangoAdapter(session._state.db), msgspec.structs.replace(address_of(session), branch=MAIN_BRANCH)
    shown = adapter.messages.read(main)
    if shown.header is None or not _has_more(session):
        return _transcript(session, shown) if shown.header else None
    branch_store = adapter.part(BranchStore)
    while True:
        before = branch_store.all(main)
        shown = adapter.messages.read(main)
        if shown.header is None:
            return None
        branches = _branches(adapter, main, before[1:], shown.header.base_seq)
        summaries = _summaries(adapter.alias, main)
        feedback = _feedback(adapter, main, branches)
        after = branch_store.all(main)
        if after == before or not (len(after) > 1 or summaries or feedback):
            transcript = _transcript(session, shown)
            return msgspec.structs.replace(transcript, branches=branches, summaries=summaries, feedback=feedback)


def _has_more(session: Session) -> bool:
    """Whether a conversation has other branches than ``main``, summaries or feedback; most have none of these."""
    rows = Session.objects.using(session._state.db).filter(workspace_id=session.workspace_id, key=session.key)
    summaries = Summary.objects.filter(workspace_id=session.workspace_id, session_id=OuterRef("pk"), text__isnull=False)
    rated = Feedback.objects.filter(workspace_id=session.workspace_id, session_id=OuterRef("pk"))
    return rows.filter(Q(parent__isnull=False) | Exists(summaries) | Exists(rated)).exists()


def _transcript(session: Session, shown: Slice) -> Transcript:
    fields = {field: getattr(session, field) for field in SETTABLE}
    base_seq = shown.header.base_seq if shown.header else 0
    return Transcript(session.key, shown.messages, session.user_key, session.created_at, base_seq, fields)


def _branches(adapter: DjangoAdapter, main: Address, stored: Sequence[Branch], base_seq: int) -> list[TranscriptBranch]:
    """The branches of a conversation except ``main``, parents before children.

    ``base_seq`` is that of ``main``: the position up to which its messages are hidden.
    """
    branches: list[TranscriptBranch] = []
    bases, origins = {MAIN_BRANCH: base_seq}, {MAIN_BRANCH: (MAIN_BRANCH, -1)}
    waiting_for = _pending(adapter.alias, main) if any(branch.pending for branch in stored) else {}
    waiting = list(stored)
    while waiting:  # parents first: a branch that an import added may share messages of one with a higher number
        branch = next(each for each in waiting if (each.parent or MAIN_BRANCH) in bases)
        waiting.remove(branch)
        base = branch.last_seq - branch.message_count
        parent = branch.parent or MAIN_BRANCH
        # Messages that the parent has cleared are not exported with the parent; they are exported with this branch.
        fork_seq = base if bases[parent] > base else branch.fork_seq
        while fork_seq <= origins[parent][1]:  # the parent shares this position too: take the branch that stores it
            parent = origins[parent][0]
        origins[branch.name] = parent, fork_seq
        at = Address(main.workspace, main.key, branch.name)
        own = adapter.messages.read(at, Span(after=max(fork_seq, base))).messages
        kind = waiting_for.get(branch.name, "")
        pending = "" if branch.current or (own and kind in AT_ONCE) else kind
        branches.append(
            TranscriptBranch(branch.name, parent, fork_seq, base, own, branch.current, branch.created_at, pending)
        )
        bases[branch.name] = base
    return branches


def _pending(alias: str, main: Address) -> dict[str, str]:
    """The ``pending`` value of each pending branch of a conversation, by the branch's name."""
    rows = Session.objects.using(alias).filter(workspace__slug=main.workspace, key=main.key).exclude(pending="")
    return dict(rows.values_list("branch", "pending"))


def _summaries(alias: str, main: Address) -> list[TranscriptSummary]:
    """The summaries of a conversation, branch by branch, without those whose messages are all cleared."""
    kept = Summary.objects.using(alias).filter(
        workspace__slug=main.workspace, session__key=main.key, text__isnull=False
    )
    kept = kept.select_related("session").order_by("session_id", "last_seq", "id")
    rows = sorted(kept, key=lambda row: (row.session.parent_id is not None, row.session.branch_number))
    return [
        TranscriptSummary(row.session.branch, row.first_seq, row.last_seq, row.text or "", row.model, row.created_at)
        for row in rows
        if row.last_seq > row.session.base_seq
    ]


def _feedback(adapter: DjangoAdapter, main: Address, branches: Sequence[TranscriptBranch]) -> list[TranscriptFeedback]:
    """The feedback on a transcript's messages, each once: with the branch that stores its message."""
    places = {MAIN_BRANCH: main} | {each.name: Address(main.workspace, main.key, each.name) for each in branches}
    begins = {MAIN_BRANCH: 0} | {branch.name: max(branch.fork_seq, branch.base_seq) for branch in branches}
    store = adapter.part(FeedbackStore)
    return [
        TranscriptFeedback(
            name, each.message_id, each.vote, each.user_key, each.comment, each.created_at, each.updated_at
        )
        for name, begin in begins.items()
        for each in store.find(places[name], after=FeedbackPlace(begin + 1, 0))
    ]
