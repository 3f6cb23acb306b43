"""Owns the clauses of summaries: claims, the messages that a summary covers, and the branches that show it."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from functools import partial

import pytest

from chat_memory.records import Claim, Summary
from chat_memory.testing.conformance.kit import SENT_AT, Kit, at_once, users, where

summarized = where("summaries")

WRITERS = 4
ROUNDS = 4


class SummaryClauses(Kit):
    """See ``SummaryStore``."""

    @summarized
    def test_a_summary_covers_all_but_the_newest(self) -> None:
        """Exactly ``keep`` messages are not covered, and no message is removed."""
        self.append(*"abcde")
        claim = self._claim(keep=2)
        assert (claim.first_seq, claim.last_seq, claim.previous) == (1, 3, None)
        assert self.summaries.all(self.at()) == []
        summary = summary_of(claim, text="é\u2028 all", model="m", tokens=7)
        assert self.summaries.keep(self.at(), claim, summary) is True
        assert self.summaries.all(self.at()) == [summary]
        assert self.ids() == [*"abcde"]

    @summarized
    @pytest.mark.parametrize("keep", [0, 1, 4])
    def test_any_number_may_be_kept(self, keep: int) -> None:
        self.append(*"abcde")
        assert self._claim(keep).last_seq == 5 - keep

    @summarized
    def test_there_is_no_claim_where_nothing_is_to_be_covered(self) -> None:
        assert self.summaries.claim(self.at(), 0) is None
        assert self.sessions.get(self.at()) is None
        self.append(*"abc")
        assert self.summaries.claim(self.at(), 3) is None
        assert self.summaries.claim(self.at(), 9) is None
        self._summarize(keep=1)
        assert self.summaries.claim(self.at(), 1) is None
        assert self.summaries.claim(self.at(), 2) is None
        assert self.summaries.all(self.at("unknown")) == []

    @summarized
    def test_a_later_summary_covers_the_earlier(self) -> None:
        self.append(*"abcde")
        first = self._summarize(keep=3)
        self.append(*"fg")
        claim = self._claim(keep=3)
        assert (claim.first_seq, claim.last_seq, claim.previous) == (1, 4, first)
        second = summary_of(claim, text="second")
        assert self.summaries.keep(self.at(), claim, second)
        assert self.summaries.all(self.at()) == [first, second]

    @summarized
    def test_a_claim_is_held_until_it_is_used(self) -> None:
        self.append(*"abcde")
        claim = self._claim(keep=2)
        for keep in (0, 2, 4):
            assert self.summaries.claim(self.at(branch="main"), keep) is None
        assert self.append("f").last_seq == 6
        assert self.summaries.keep(self.at(), claim, summary_of(claim))
        assert self.summaries.keep(self.at(), claim, summary_of(claim, text="twice")) is False
        assert [summary.text for summary in self.summaries.all(self.at())] == ["text"]
        assert self._claim(keep=2).last_seq == 4

    @summarized
    def test_a_claim_that_is_released_may_be_taken_at_once(self) -> None:
        """After a summarizer fails, no message is lost and the next one may start."""
        self.append(*"abc")
        released = self._claim(keep=0)
        self.summaries.release(self.at(), released)
        claim = self._claim(keep=0)
        assert claim.id != released.id
        self.summaries.release(self.at(), released)
        assert self.summaries.claim(self.at(), 0) is None
        assert self.summaries.keep(self.at(), released, summary_of(released)) is False
        assert self.summaries.keep(self.at(), claim, summary_of(claim))
        self.summaries.release(self.at(), claim)
        assert len(self.summaries.all(self.at())) == 1

    @summarized
    def test_a_claim_lapses_by_itself(self) -> None:
        """A crashed worker does not block others for longer; a slow worker's summary is refused after another claim."""
        self.append(*"abc")
        late = self._claim(keep=1)
        self.let_claims_lapse()
        claim = self._claim(keep=0)
        assert (claim.last_seq, claim.previous) == (3, None)
        assert self.summaries.keep(self.at(), late, summary_of(late)) is False
        self.summaries.release(self.at(), late)
        assert self.summaries.keep(self.at(), claim, summary_of(claim))
        assert [summary.last_seq for summary in self.summaries.all(self.at())] == [3]

    @summarized
    def test_one_of_several_concurrent_claims_is_given(self) -> None:
        """So two workers that start at the same time store one summary."""
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            self.messages.append(at, users("a", "b", "c"))
            claims = [claim for claim in at_once(*[partial(self.summaries.claim, at, 1)] * WRITERS) if claim]
            assert len(claims) == 1
            claim = claims[0]
            kept = at_once(*[partial(self.summaries.keep, at, claim, summary_of(claim))] * WRITERS)
            assert sorted(kept) == [False] * (WRITERS - 1) + [True]
            assert self.summaries.all(at) == [summary_of(claim)]

    @summarized
    def test_cleared_messages_have_no_summary(self) -> None:
        self.append(*"abc")
        self._summarize(keep=2)
        claim = self._claim(keep=1)
        self.messages.clear(self.at())
        assert self.summaries.all(self.at()) == []
        assert self.summaries.keep(self.at(), claim, summary_of(claim)) is False
        self.append(*"def")
        self.summaries.release(self.at(), claim)
        claim = self._claim(keep=1)
        assert (claim.first_seq, claim.last_seq, claim.previous) == (4, 5, None)

    @summarized
    def test_deleted_conversations_have_no_summary(self) -> None:
        self.append(*"abc")
        self._summarize(keep=1)
        claim = self._claim(keep=0)
        self.sessions.delete(self.at())
        assert self.summaries.all(self.at()) == []
        assert self.summaries.keep(self.at(), claim, summary_of(claim)) is False
        self.summaries.release(self.at(), claim)
        self.append(*"abc")
        assert self.summaries.all(self.at()) == []
        assert self._claim(keep=0).previous is None

    @summarized
    def test_conversations_share_no_summary(self) -> None:
        self.append(*"abc")
        self.append(*"abc", key="other")
        claim = self._claim(keep=1)
        assert self.summaries.keep(self.at("other"), claim, summary_of(claim)) is False
        assert self.summaries.claim(self.at("other"), 1) is not None
        assert self.summaries.keep(self.at(), claim, summary_of(claim))
        assert self.summaries.all(self.at("other")) == []

    @where("summaries", "branches")
    def test_a_branch_shows_the_summaries_of_what_it_shares(self) -> None:
        self.append(*"abcde")
        first = self._summarize(keep=3)
        second = self._summarize(keep=1)
        self.branches.fork(self.at(), "both", 4)
        self.branches.fork(self.at(), "draft", 3)
        self.branches.fork(self.at(), "none", 1)
        assert self.summaries.all(self.at(branch="both")) == [first, second]
        assert self.summaries.all(self.at(branch="draft")) == [first]
        assert self.summaries.all(self.at(branch="none")) == []
        self.append("x", "y", branch="draft")
        claim = self._claim(keep=1, branch="draft")
        assert (claim.first_seq, claim.last_seq, claim.previous) == (1, 4, first)
        own = summary_of(claim, text="own")
        assert self.summaries.keep(self.at(branch="draft"), claim, own)
        assert self.summaries.all(self.at(branch="draft")) == [first, own]
        assert self.summaries.all(self.at(branch="main")) == [first, second]
        self.branches.fork(self.at(branch="draft"), "deep", 4)
        assert self.summaries.all(self.at(branch="deep")) == [first, own]

    @where("summaries", "branches")
    def test_a_summary_made_on_a_branch_of_what_it_shares_is_shown_there(self) -> None:
        self.append(*"abcde")
        self.branches.fork(self.at(), "draft", switch=True)
        claim = self._claim(keep=2)
        assert self.summaries.claim(self.at(branch="draft"), 2) is None
        assert self.summaries.keep(self.at(), claim, summary_of(claim))
        assert self.summaries.all(self.at()) == self.summaries.all(self.at(branch="draft")) == [summary_of(claim)]
        assert self.messages.clear(self.at(branch="main")) is not None
        assert self.summaries.all(self.at()) == [summary_of(claim)]
        self.sessions.delete(self.at(branch="draft"))
        self.branches.fork(self.at(), "draft")
        assert self.summaries.all(self.at(branch="draft")) == []

    def _claim(self, keep: int, branch: str = "") -> Claim:
        claim = self.summaries.claim(self.at(branch=branch), keep)
        assert claim is not None
        return claim

    def _summarize(self, keep: int) -> Summary:
        claim = self._claim(keep)
        assert self.summaries.keep(self.at(), claim, summary_of(claim))
        return summary_of(claim)


def summary_of(claim: Claim, text: str = "text", model: str = "", tokens: int = 1) -> Summary:
    """A summary of the messages that a claim covers."""
    return Summary(claim.first_seq, claim.last_seq, text, model, tokens, SENT_AT)
