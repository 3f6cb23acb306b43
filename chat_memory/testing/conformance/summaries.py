"""Owns the clauses of summaries: who may make one, what it covers, who is shown it."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync

from chat_memory.exceptions import NotSupported
from chat_memory.records import Claim, Summary
from chat_memory.testing.conformance.kit import SENT_AT, Kit, at_once, users, where

summarized = where("can_summarize")

WRITERS = 4
ROUNDS = 4


class SummaryClauses(Kit):
    """See ``SummaryStore``."""

    def test_without_summaries_they_are_refused(self) -> None:
        if self.adapter.can_summarize:
            return
        before = self.append("a")
        claim = Claim(uuid4(), 1, 1, None, "main")
        calls: list[Any] = [
            lambda: self.adapter.summaries(self.at()),
            lambda: self.adapter.claim_summary(self.at(), 0),
            lambda: self.adapter.keep_summary(self.at(), claim, said(claim)),
            lambda: self.adapter.release_summary(self.at(), claim),
        ]
        for call in calls:
            with pytest.raises(NotSupported):
                call()
        assert self.header() == before

    @summarized
    def test_a_summary_covers_all_but_the_newest(self) -> None:
        """FEATURES S0.35, N45: exactly so many are left, and all messages stay."""
        self.append(*"abcde")
        claim = self._claim(keep=2)
        assert (claim.first_seq, claim.last_seq, claim.previous) == (1, 3, None)
        assert self.adapter.summaries(self.at()) == []
        summary = said(claim, text="é\u2028 all", model="m", tokens=7)
        assert self.adapter.keep_summary(self.at(), claim, summary) is True
        assert self.adapter.summaries(self.at()) == [summary]
        assert self.ids() == [*"abcde"]

    @summarized
    @pytest.mark.parametrize("keep", [0, 1, 4])
    def test_any_number_may_be_kept(self, keep: int) -> None:
        self.append(*"abcde")
        assert self._claim(keep).last_seq == 5 - keep

    @summarized
    def test_there_is_no_right_where_nothing_is_to_be_covered(self) -> None:
        assert self.adapter.claim_summary(self.at(), 0) is None
        assert self.adapter.get(self.at()) is None
        self.append(*"abc")
        assert self.adapter.claim_summary(self.at(), 3) is None
        assert self.adapter.claim_summary(self.at(), 9) is None
        self._summarize(keep=1)
        assert self.adapter.claim_summary(self.at(), 1) is None
        assert self.adapter.claim_summary(self.at(), 2) is None
        assert self.adapter.summaries(self.at("unknown")) == []

    @summarized
    def test_a_later_summary_covers_the_earlier(self) -> None:
        self.append(*"abcde")
        first = self._summarize(keep=3)
        self.append(*"fg")
        claim = self._claim(keep=3)
        assert (claim.first_seq, claim.last_seq, claim.previous) == (1, 4, first)
        second = said(claim, text="second")
        assert self.adapter.keep_summary(self.at(), claim, second)
        assert self.adapter.summaries(self.at()) == [first, second]

    @summarized
    def test_one_has_the_right_until_it_is_used(self) -> None:
        self.append(*"abcde")
        claim = self._claim(keep=2)
        for keep in (0, 2, 4):
            assert self.adapter.claim_summary(self.at(branch="main"), keep) is None
        assert self.append("f").last_seq == 6
        assert self.adapter.keep_summary(self.at(), claim, said(claim))
        assert self.adapter.keep_summary(self.at(), claim, said(claim, text="twice")) is False
        assert [summary.text for summary in self.adapter.summaries(self.at())] == ["said"]
        assert self._claim(keep=2).last_seq == 4

    @summarized
    def test_a_right_given_back_is_anothers_at_once(self) -> None:
        """FEATURES N44: a failing summarizer loses and blocks nothing."""
        self.append(*"abc")
        given_back = self._claim(keep=0)
        self.adapter.release_summary(self.at(), given_back)
        claim = self._claim(keep=0)
        assert claim.id != given_back.id
        self.adapter.release_summary(self.at(), given_back)
        assert self.adapter.claim_summary(self.at(), 0) is None
        assert self.adapter.keep_summary(self.at(), given_back, said(given_back)) is False
        assert self.adapter.keep_summary(self.at(), claim, said(claim))
        self.adapter.release_summary(self.at(), claim)
        assert len(self.adapter.summaries(self.at())) == 1

    @summarized
    def test_a_right_lapses_by_itself(self) -> None:
        """Where a worker has not come back; one that comes late has lost it to whoever took it."""
        self.append(*"abc")
        late = self._claim(keep=1)
        self.let_claims_lapse()
        claim = self._claim(keep=0)
        assert (claim.last_seq, claim.previous) == (3, None)
        assert self.adapter.keep_summary(self.at(), late, said(late)) is False
        self.adapter.release_summary(self.at(), late)
        assert self.adapter.keep_summary(self.at(), claim, said(claim))
        assert [summary.last_seq for summary in self.adapter.summaries(self.at())] == [3]

    @summarized
    def test_of_several_at_once_one_has_the_right(self) -> None:
        """FEATURES N45: two workers at the threshold make one summary."""
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            self.adapter.append(at, users("a", "b", "c"))
            claims = [claim for claim in at_once(*[partial(self.adapter.claim_summary, at, 1)] * WRITERS) if claim]
            assert len(claims) == 1
            claim = claims[0]
            kept = at_once(*[partial(self.adapter.keep_summary, at, claim, said(claim))] * WRITERS)
            assert sorted(kept) == [False] * (WRITERS - 1) + [True]
            assert self.adapter.summaries(at) == [said(claim)]

    @summarized
    def test_cleared_messages_have_no_summary(self) -> None:
        self.append(*"abc")
        self._summarize(keep=2)
        claim = self._claim(keep=1)
        self.adapter.clear(self.at())
        assert self.adapter.summaries(self.at()) == []
        assert self.adapter.keep_summary(self.at(), claim, said(claim)) is False
        self.append(*"def")
        self.adapter.release_summary(self.at(), claim)
        claim = self._claim(keep=1)
        assert (claim.first_seq, claim.last_seq, claim.previous) == (4, 5, None)

    @summarized
    def test_deleted_conversations_have_no_summary(self) -> None:
        self.append(*"abc")
        self._summarize(keep=1)
        claim = self._claim(keep=0)
        self.adapter.delete(self.at())
        assert self.adapter.summaries(self.at()) == []
        assert self.adapter.keep_summary(self.at(), claim, said(claim)) is False
        self.adapter.release_summary(self.at(), claim)
        self.append(*"abc")
        assert self.adapter.summaries(self.at()) == []
        assert self._claim(keep=0).previous is None

    @summarized
    def test_conversations_share_no_summary(self) -> None:
        self.append(*"abc")
        self.append(*"abc", key="other")
        claim = self._claim(keep=1)
        assert self.adapter.keep_summary(self.at("other"), claim, said(claim)) is False
        assert self.adapter.claim_summary(self.at("other"), 1) is not None
        assert self.adapter.keep_summary(self.at(), claim, said(claim))
        assert self.adapter.summaries(self.at("other")) == []

    @summarized
    def test_a_branch_shows_the_summaries_of_what_it_shares(self) -> None:
        if not self.adapter.can_branch:
            return
        self.append(*"abcde")
        first = self._summarize(keep=3)
        second = self._summarize(keep=1)
        self.adapter.fork(self.at(), "both", 4)
        self.adapter.fork(self.at(), "draft", 3)
        self.adapter.fork(self.at(), "none", 1)
        assert self.adapter.summaries(self.at(branch="both")) == [first, second]
        assert self.adapter.summaries(self.at(branch="draft")) == [first]
        assert self.adapter.summaries(self.at(branch="none")) == []
        self.append("x", "y", branch="draft")
        claim = self._claim(keep=1, branch="draft")
        assert (claim.first_seq, claim.last_seq, claim.previous) == (1, 4, first)
        own = said(claim, text="own")
        assert self.adapter.keep_summary(self.at(branch="draft"), claim, own)
        assert self.adapter.summaries(self.at(branch="draft")) == [first, own]
        assert self.adapter.summaries(self.at(branch="main")) == [first, second]
        self.adapter.fork(self.at(branch="draft"), "deep", 4)
        assert self.adapter.summaries(self.at(branch="deep")) == [first, own]

    @summarized
    def test_a_summary_made_on_a_branch_of_what_it_shares_is_shown_there(self) -> None:
        if not self.adapter.can_branch:
            return
        self.append(*"abcde")
        self.adapter.fork(self.at(), "draft", switch=True)
        claim = self._claim(keep=2)
        assert self.adapter.claim_summary(self.at(branch="draft"), 2) is None
        assert self.adapter.keep_summary(self.at(), claim, said(claim))
        assert self.adapter.summaries(self.at()) == self.adapter.summaries(self.at(branch="draft")) == [said(claim)]
        assert self.adapter.clear(self.at(branch="main")) is not None
        assert self.adapter.summaries(self.at()) == [said(claim)]
        self.adapter.delete(self.at(branch="draft"))
        self.adapter.fork(self.at(), "draft")
        assert self.adapter.summaries(self.at(branch="draft")) == []

    @summarized
    def test_summary_verbs_have_twins(self) -> None:
        self.append(*"abc")
        claim = async_to_sync(self.adapter.aclaim_summary)(self.at(), 2)
        assert claim is not None
        async_to_sync(self.adapter.arelease_summary)(self.at(), claim)
        again = async_to_sync(self.adapter.aclaim_summary)(self.at(), 1)
        assert again is not None
        assert async_to_sync(self.adapter.akeep_summary)(self.at(), again, said(again))
        assert async_to_sync(self.adapter.asummaries)(self.at()) == [said(again)]

    def _claim(self, keep: int, branch: str = "") -> Claim:
        claim = self.adapter.claim_summary(self.at(branch=branch), keep)
        assert claim is not None
        return claim

    def _summarize(self, keep: int) -> Summary:
        claim = self._claim(keep)
        assert self.adapter.keep_summary(self.at(), claim, said(claim))
        return said(claim)


def said(claim: Claim, text: str = "said", model: str = "", tokens: int = 1) -> Summary:
    """What a summarizer made of a claim."""
    return Summary(claim.first_seq, claim.last_seq, text, model, tokens, SENT_AT)
