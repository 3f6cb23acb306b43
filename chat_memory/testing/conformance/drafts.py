"""Owns the clauses of drafts: one writer, readers who follow, and one end."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from chat_memory.exceptions import (
    BranchNotFound,
    ChatMemoryError,
    DraftExists,
    DraftLost,
    MessageConflict,
    MessageNotFound,
    TooManyDrafts,
    ValidationError,
)
from chat_memory.records import Address, Draft, Lease, Message, NewDraft
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import Conclude, Settled
from chat_memory.testing.conformance.kit import SENT_AT, Kit, answer, at_once, users, where

streamed = where("drafts")
WRITERS = 4


def answer_of(draft: Draft, content: str, state: str) -> Message:
    """An answer with the id of a draft."""
    return Message("assistant", content, id=draft.id, state=state, created_at=SENT_AT, tokens=5)


def nothing(_draft: Draft, _stored: Message | None) -> None:
    """An end function that stores no message for the draft."""


class DraftClauses(Kit):
    """See ``DraftStore``."""

    @streamed
    def test_a_draft_grows_and_becomes_a_message(self) -> None:
        self.append("q")
        lease = self.begin("a", name="Bot", metadata={"x": [1]})
        assert (lease.draft.id, lease.draft.text, lease.draft.length, lease.replaced) == ("a", "", 0, None)
        assert self.drafts.write(self.at(), lease, "Hel", 0) is False
        assert self.drafts.write(self.at(), lease, "lö\U0001f600", 3) is False
        assert self.drafts.write(self.at(), lease, "", 6) is False
        (listed,) = self.drafts.all(self.at())
        found = self.drafts.find(self.at(), "a")
        assert found is not None
        assert (listed.id, listed.text, listed.length, listed.state) == ("a", "", 6, "streaming")
        assert (found.text, found.name, found.metadata, found.branch) == ("Hellö\U0001f600", "Bot", {"x": [1]}, "main")
        assert self.ids() == ["q"]
        commit = self.drafts.settle(self.at(), lease.draft, self.saying_all()).commit
        assert commit is not None
        assert [(each.seq, each.content) for each in commit.messages] == [(2, "Hellö\U0001f600")]
        assert (self.contents(), self.drafts.all(self.at())) == (["q", "Hellö\U0001f600"], [])
        assert self.drafts.find(self.at(), "a") is None

    @streamed
    def test_a_draft_moves_no_version_until_its_end(self) -> None:
        self.append("q")
        before = self.header()
        assert before is not None
        with self.listening() as events:
            lease = self.begin("a")
            self.drafts.write(self.at(), lease, "x", 0)
            self.drafts.stop(self.at(), "a")
            assert (self.header(), events) == (before, [])
            self.drafts.settle(self.at(), lease.draft, self.saying_all())
        assert [(event.kind, event.first_seq, event.last_seq) for event in events] == [(Kind.APPENDED, 2, 2)]
        assert self.version() == before.version + 1

    @streamed
    def test_a_reader_gets_what_came_since(self) -> None:
        lease = self.begin("a")
        self.drafts.write(self.at(), lease, "ä\U0001f600bc", 0)
        for after, text in ((0, "ä\U0001f600bc"), (2, "bc"), (4, ""), (2**30, "")):
            found = self.drafts.find(self.at(), "a", after)
            assert found is not None
            assert (found.text, found.length) == (text, 4)

    @streamed
    def test_a_draft_before_the_first_message_makes_the_session(self) -> None:
        with self.listening() as events:
            self.begin("a")
        assert [(event.kind, event.made) for event in events] == [(Kind.OPENED, True)]
        assert self.sessions.get(self.at()) is not None
        with pytest.raises(BranchNotFound):
            self.drafts.open(self.at(branch="none"), NewDraft("b", "assistant"))

    @streamed
    def test_a_stop_reaches_the_writer(self) -> None:
        assert self.drafts.stop(self.at(), "a") is False
        lease, other = self.begin("a"), self.begin("b")
        assert self.drafts.stop(self.at(), "a") is True
        assert self.drafts.write(self.at(), lease, "x", 0) is True
        assert self.drafts.write(self.at(), other, "x", 0) is False
        assert [draft.stop_asked for draft in self.drafts.all(self.at())] == [True, False]

    @streamed
    def test_an_id_has_one_draft_and_no_message(self) -> None:
        self.append("q")
        lease = self.begin("a")
        with pytest.raises(DraftExists):
            self.begin("a")
        with pytest.raises(MessageConflict):
            self.begin("q")
        self.drafts.settle(self.at(), lease.draft, nothing)
        self.begin("a")
        self.begin("a", key="other")

    @streamed
    def test_of_several_who_begin_the_same_draft_one_does(self) -> None:
        self.append("q")
        results = at_once(*[partial(refused_or, partial(self.begin, "a"))] * WRITERS)
        assert sorted(type(each).__name__ for each in results) == ["DraftExists"] * (WRITERS - 1) + ["Lease"]

    @streamed
    def test_a_conversation_has_few_drafts(self) -> None:
        from_settings = 10
        for number in range(from_settings):
            self.begin(f"d{number}")
        with pytest.raises(TooManyDrafts):
            self.begin("one more")
        assert [draft.id for draft in self.drafts.all(self.at())] == [f"d{number}" for number in range(from_settings)]
        self.begin("one more", key="other")

    @streamed
    def test_a_writer_that_lost_its_draft_is_told(self) -> None:
        self.append("q")
        lease = self.begin("a")
        self.drafts.settle(self.at(), lease.draft, self.saying_all())
        for lost in (self.writes(lease), self.settles(lease)):
            with pytest.raises(DraftLost):
                lost()
        assert len(self.ids()) == 2
        second = self.begin("b")
        with pytest.raises(DraftLost):
            self.drafts.write(self.at(), second, "x", 1)  # the draft is shorter than that offset
        self.sessions.delete(self.at())
        for lost in (self.writes(second), self.settles(second)):
            with pytest.raises(DraftLost):
                lost()

    @streamed
    def test_of_several_who_end_a_draft_one_does(self) -> None:
        self.append("q")
        lease = self.begin("a")
        results = at_once(*[partial(refused_or, self.settles(lease))] * WRITERS)
        assert sorted(type(each).__name__ for each in results) == ["DraftLost"] * (WRITERS - 1) + ["Settled"]
        assert self.ids() == ["q", "a"]

    @streamed
    def test_what_is_refused_at_the_end_leaves_the_draft(self) -> None:
        lease = self.begin("a")
        self.messages.append(self.at(), [answer("a")])
        self.drafts.write(self.at(), lease, "other", 0)
        with pytest.raises(MessageConflict):
            self.drafts.settle(self.at(), lease.draft, self.saying_all())
        assert len(self.drafts.all(self.at())) == 1
        assert self.drafts.settle(self.at(), lease.draft, nothing) == Settled(ended=True)
        assert self.drafts.all(self.at()) == []

    @streamed
    def test_only_what_nobody_writes_to_lapses(self) -> None:
        lease = self.begin("a")
        assert [draft.lapsed for draft in self.drafts.all(self.at())] == [False]
        assert self.drafts.settle(self.at(), lease.draft, self.saying_all(), lapsed=True) == Settled(ended=False)
        self.let_drafts_lapse()
        assert [draft.lapsed for draft in self.drafts.all(self.at())] == [True]
        self.drafts.write(self.at(), lease, "", 0)
        assert [draft.lapsed for draft in self.drafts.all(self.at())] == [False]
        self.let_drafts_lapse()
        settled = self.drafts.settle(self.at(), lease.draft, self.saying_all("abandoned"), lapsed=True)
        assert settled.commit is not None
        assert settled.commit.messages[0].state == "abandoned"

    @streamed
    def test_a_draft_comes_in_the_place_of_the_newest_partial_message(self) -> None:
        self.partial("So far")
        lease = self.begin("ignored", place="p", goes_on=True)
        assert (lease.draft.id, lease.draft.text, lease.draft.length) == ("p", "So far", 6)
        assert lease.replaced is not None
        self.drafts.write(self.at(), lease, ", so good", 6)
        with self.listening() as events:
            self.drafts.settle(self.at(), lease.draft, self.saying_all())
        assert [(event.kind, event.first_seq) for event in events] == [(Kind.EDITED, 2)]
        stored = self.messages.read(self.at()).messages[-1]
        assert (stored.seq, stored.id, stored.content, stored.state) == (2, "p", "So far, so good", "complete")

    @streamed
    def test_a_draft_may_begin_anew_in_that_place(self) -> None:
        self.partial("Wrong")
        lease = self.begin("ignored", place=2)
        assert (lease.draft.id, lease.draft.text) == ("p", "")
        self.drafts.write(self.at(), lease, "Right", 0)
        self.drafts.settle(self.at(), lease.draft, self.saying_all())
        assert self.contents() == ["q", "Right"]

    @streamed
    def test_nothing_else_is_replaced(self) -> None:
        self.partial("So far")
        self.append("next")
        refusals: list[tuple[int | str, type[ChatMemoryError]]] = [
            ("p", ValidationError),
            ("next", ValidationError),
            ("unknown", MessageNotFound),
            (9, MessageNotFound),
        ]
        for place, error in refusals:
            with pytest.raises(error):
                self.begin("x", place=place)
        assert self.drafts.all(self.at()) == []

    @where("drafts", "edits")
    def test_a_redaction_takes_the_draft_that_goes_on_from_the_message(self) -> None:
        self.partial("SECRET")
        lease = self.begin("x", place="p", goes_on=True)
        self.redact("p")
        with pytest.raises(DraftLost):
            self.drafts.write(self.at(), lease, "", 6)
        assert self.drafts.all(self.at()) == []

    @streamed
    def test_a_pop_takes_the_draft_that_goes_on_from_the_message(self) -> None:
        self.partial("SECRET")
        lease = self.begin("x", place="p", goes_on=True)
        other = self.begin("other")
        self.pop()
        with pytest.raises(DraftLost):
            self.drafts.write(self.at(), lease, "", 6)
        assert [draft.id for draft in self.drafts.all(self.at())] == [other.draft.id]

    @where("drafts", "branches")
    def test_a_draft_stays_on_its_branch_and_goes_with_it(self) -> None:
        self.append("q")
        self.branches.fork(self.at(), "b", 1)
        self.branches.fork(self.at(), "c", 1)
        on_b, on_c = (self.drafts.open(self.at(branch=name), NewDraft(name, "assistant")) for name in "bc")
        self.branches.switch(self.at(), "c")
        assert [draft.branch for draft in self.drafts.all(self.at(branch="main"))] == ["b", "c"]
        self.drafts.settle(self.at(), on_b.draft, self.saying_all())
        assert [self.ids(branch=name) for name in ("main", "b", "c")] == [["q"], ["q", "b"], ["q"]]
        self.sessions.delete(self.at(branch="c"))
        with pytest.raises(DraftLost):
            self.drafts.write(self.at(branch="main"), on_c, "x", 0)

    @streamed
    def test_drafts_of_another_conversation_are_not_there(self) -> None:
        self.append("q", key="other")
        self.begin("a")
        for at in (self.at("other"), self.at("unknown"), Address(f"{self.workspace}-unknown", "k")):
            assert self.drafts.all(at) == []
            assert self.drafts.find(at, "a") is None
            assert self.drafts.stop(at, "a") is False

    def begin(
        self,
        message_id: str,
        key: str = "k",
        *,
        name: str | None = None,
        metadata: dict[str, list[int]] | None = None,
        place: int | str | None = None,
        goes_on: bool = False,
    ) -> Lease:
        """Open a draft on the current branch."""
        return self.drafts.open(self.at(key), NewDraft(message_id, "assistant", name, metadata, place, goes_on))

    def partial(self, text: str) -> None:
        """A question, and the first part of an answer."""
        self.messages.append(
            self.at(), [*users("q"), Message("assistant", text, id="p", state="failed", created_at=SENT_AT, tokens=5)]
        )

    def saying_all(self, state: str = "complete") -> Conclude:
        """An end function that stores all that was written as the message."""
        return lambda draft, _stored: answer_of(draft, draft.text, state)

    def writes(self, lease: Lease) -> Callable[[], bool]:
        """A write, as a function to call later."""
        return lambda: self.drafts.write(self.at(), lease, "x", 0)

    def settles(self, lease: Lease) -> Callable[[], Settled]:
        """An end, as a function to call later."""
        return lambda: self.drafts.settle(self.at(), lease.draft, self.saying_all())


def refused_or(call: Callable[[], object]) -> object:
    """The result of a call, or the error that it raises."""
    try:
        return call()
    except ChatMemoryError as error:
        return error
