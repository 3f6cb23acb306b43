"""Whole conversations come in by two ways, at once and one by one, and are the same conversations."""

from typing import Any
from unittest import mock

import msgspec
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.django import TestCase

from chat_memory.exceptions import ChatMemoryError
from chat_memory.maintenance import integrity
from chat_memory.models import Message as MessageRow, Session, Summary as SummaryRow
from chat_memory.records import Address, Message, Transcript, TranscriptBranch, TranscriptSummary
from chat_memory.storage.contract import ArchiveStore
from chat_memory.storage.orm import DjangoAdapter, restoring
from tests.acceptance.test_import_groups import YEARS_AGO

NAMES = ("main", "b", "c", "d")


@st.composite
def transcripts(draw: Any) -> Transcript:
    """Conversations whose branches and summaries mostly fit, and now and then do not."""
    base = draw(st.sampled_from([0, 0, 3]))
    main = draw(runs("main"))
    branches: list[TranscriptBranch] = []
    ends = {"main": base + len(main)}
    for name in NAMES[1 : draw(st.integers(1, len(NAMES)))]:
        parent = draw(st.sampled_from(sorted(ends)))
        fork_seq = draw(st.integers(0, ends[parent] + draw(st.sampled_from([0] * 9 + [1]))))
        own = draw(runs(name)) if draw(st.integers(0, 9)) else main[:1]
        base_seq = draw(st.sampled_from([base, base, fork_seq, fork_seq + 1, 0]))
        is_current = not any(branch.current for branch in branches) and draw(st.booleans())
        branches.append(TranscriptBranch(name, parent, fork_seq, base_seq, own, is_current, YEARS_AGO))
        ends[name] = max(fork_seq, base_seq) + len(own)
    summaries = [
        TranscriptSummary(name, 1, draw(st.integers(1, max(1, end))), "text", "m", YEARS_AGO, 3)
        for name, end in ends.items()
        if draw(st.integers(0, 3)) == 0
    ]
    began = YEARS_AGO.replace(year=2020)
    return Transcript("k", main, "", began, base, {"title": "T"}, branches, summaries)


def runs(name: str) -> st.SearchStrategy[list[Message]]:
    """Some messages, each with an id and a time."""
    days = [YEARS_AGO.replace(day=day) for day in range(1, 6)]
    roles = st.lists(st.sampled_from(["user", "assistant", "system"]), max_size=len(days))
    return roles.map(
        lambda drawn: [
            Message(role, "text", id=f"{name}-{day.day}", created_at=day, tokens=1)
            for role, day in zip(drawn, days, strict=False)
        ]
    )


def stored_tables(workspace: str) -> dict[str, Any]:
    """What is in the tables, without what differs between any two conversations."""
    of_workspace = {"workspace__slug": workspace}
    names = dict(Session.objects.filter(**of_workspace).values_list("pk", "branch"))
    sessions = ("branch", "parent_id", "head_id", "fork_seq", "base_seq", "last_seq", "last_turn", "message_count")
    messages = ("session_id", "seq", "turn", "client_id", "role", "content", "created_at", "state", "tokens")
    summaries = ("session_id", "first_seq", "last_seq", "text", "model", "tokens", "created_at")
    found: dict[str, Any] = {}
    for model, columns in ((Session, sessions), (MessageRow, messages), (SummaryRow, summaries)):
        rows = model._default_manager.filter(**of_workspace).values_list(*columns)
        found[model.__name__] = sorted([[names.get(value, value) for value in row] for row in rows], key=str)
    roots = Session.objects.filter(parent=None, **of_workspace)
    found["times"] = list(roots.values_list("created_at", "active_at", "title", "title_made"))
    return found


class BothWays(TestCase):
    """In a database of either kind."""

    @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
    @given(transcripts())
    def test_both_ways_store_the_same(self, transcript: Transcript) -> None:
        archive = DjangoAdapter().part(ArchiveStore)
        pair = Address("at-once", "k"), transcript
        (at_once,) = archive.restore([pair])
        with mock.patch.object(restoring, "_make", return_value={}):
            (alone,) = archive.restore([(Address("alone", "k"), transcript)])
        assert (at_once.error is None) == (alone.error is None), (at_once.error, alone.error)
        assert isinstance(at_once.error, ChatMemoryError | None)
        assert msgspec.structs.replace(at_once, error=None) == msgspec.structs.replace(alone, error=None)
        assert stored_tables("at-once") == stored_tables("alone")
        assert integrity.check().violations == 0
        if at_once.error is None:
            again = archive.restore([pair])[0]
            assert (again.made, again.messages, again.replayed, again.error) == (False, 0, transcript.size, None)
            assert stored_tables("at-once") == stored_tables("alone")
