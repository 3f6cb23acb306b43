"""Owns the clauses of data derived from a message that changes or goes: the generated title, summaries, claims."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable

import msgspec

from chat_memory.records import Message, Summary
from chat_memory.testing.conformance.kit import SENT_AT, Kit, answer, user, where

described = where("edits", "summaries")


class DerivedClauses(Kit):
    """What is removed from a message is also removed from the data derived from it."""

    @where("edits")
    def test_a_title_that_was_made_of_an_edited_message_is_made_anew(self) -> None:
        self._entitled("secret", answer("r"), user("b"))
        self.rewrite(3, "not the first")
        assert self._title_now() == "secret"
        self.rewrite(1, "harmless")
        assert self._title_now() == "harmless"
        self.rewrite(1, [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}])
        assert self._title_now() == ""
        self.rewrite(1, "again")
        assert self._title_now() == "again"

    @where("edits")
    def test_a_title_that_users_set_outlives_the_message(self) -> None:
        self._entitled("mine")
        self.sessions.update(self.at(), {"title": "mine"})
        self.rewrite(1, "new")
        self.redact(1)
        assert self._title_now() == "mine"

    @where("edits")
    def test_a_title_that_was_made_of_a_redacted_message_is_emptied(self) -> None:
        self._entitled("secret", user("b"))
        self.redact(2)
        assert self._title_now() == "secret"
        self.redact(1)
        assert self._title_now() == ""
        self.messages.append(self.at(), [user("c")], title="c")
        assert self._title_now() == ""

    @where("edits", "branches")
    def test_a_title_that_was_made_on_a_branch_follows_its_message(self) -> None:
        """The title is the conversation's, so its version moves though its messages stay as they are."""
        self.sessions.open(self.at())
        self.branches.fork(self.at(), "draft")
        self.messages.append(self.at(branch="draft"), [user("a", "secret")], title="secret")
        self.append("b")
        self.rewrite(1, "of main")
        assert self._title_now() == "secret"
        before = self.header(branch="main")
        self.redact(1, branch="draft")
        assert self._title_now() == ""
        assert self.header(branch="main") != before

    @described
    def test_summaries_of_an_edited_message_are_made_anew(self) -> None:
        self._assert_made_anew(lambda: self.rewrite(3, "new"))

    @described
    def test_summaries_of_a_redacted_message_are_made_anew(self) -> None:
        self._assert_made_anew(lambda: self.redact(3))

    @described
    def test_summaries_outlive_an_edit_that_says_nothing_else(self) -> None:
        self.append(*"abcde")
        kept = self._summarized(keep=2)
        self.edits.edit(self.at(), 1, lambda stored: msgspec.structs.replace(stored, metadata={"a": 1}))
        self.rewrite(4, "not covered")
        assert self.summaries.all(self.at()) == [kept]

    @described
    def test_a_claim_on_a_message_that_changes_is_lost(self) -> None:
        """The summarizer was shown what the message said before."""
        changes: tuple[Callable[[], object], ...] = (lambda: self.rewrite(1, "new"), lambda: self.redact(2))
        for change in changes:
            self.append(*"abc")
            claim = self.summaries.claim(self.at(), 0)
            assert claim is not None
            change()
            stale = Summary(claim.first_seq, claim.last_seq, "stale", "", 1, SENT_AT)
            assert self.summaries.keep(self.at(), claim, stale) is False
            assert self.summaries.all(self.at()) == []
            assert self.summaries.claim(self.at(), 0) is not None
            self.sessions.delete(self.at())

    @where("edits", "summaries", "branches")
    def test_summaries_go_on_every_branch_that_shares_the_message(self) -> None:
        self.append(*"abc")
        for name in ("one", "early"):
            self.branches.fork(self.at(), name, 2 if name == "one" else 1)
            self.append(f"{name}-a", f"{name}-b", branch=name)
        kept = {name: self._summarized(keep=1, branch=name) for name in ("main", "one", "early")}
        self.rewrite(2, "new", branch="one")
        assert [self.summaries.all(self.at(branch=name)) for name in kept] == [[], [], [kept["early"]]]

    @where("summaries")
    def test_a_message_that_is_popped_takes_its_summary_along(self) -> None:
        self.append(*"abc")
        early = self._summarized(keep=1)
        self._summarized(keep=0)
        self.pop()
        assert self.summaries.all(self.at()) == [early]
        assert self.summaries.claim(self.at(), 0) is None
        self.append("d")
        claim = self.summaries.claim(self.at(), 0)
        assert claim is not None
        assert (claim.previous, claim.last_seq) == (early, 3)

    def test_a_message_that_is_popped_takes_its_title_along(self) -> None:
        self._entitled("secret", answer("r"))
        self.pop()
        assert self._title_now() == "secret"
        self.pop()
        assert self._title_now() == ""
        self.messages.append(self.at(), [user("b")], title="b")
        assert self._title_now() == "b"

    def _assert_made_anew(self, change: Callable[[], object]) -> None:
        self.append(*"abcdef")
        early = self._summarized(keep=4)
        self._summarized(keep=3)
        self._summarized(keep=1)
        change()
        assert self.summaries.all(self.at()) == [early]
        claim = self.summaries.claim(self.at(), 1)
        assert claim is not None
        assert (claim.first_seq, claim.last_seq, claim.previous) == (1, 5, early)

    def _entitled(self, first: str, *others: Message) -> None:
        self.messages.append(self.at(), [user("a", first), *others], title=first)

    def _title_now(self) -> str:
        record = self.sessions.get(self.at())
        assert record is not None
        return record.title

    def _summarized(self, keep: int, branch: str = "") -> Summary:
        claim = self.summaries.claim(self.at(branch=branch), keep)
        assert claim is not None
        summary = Summary(claim.first_seq, claim.last_seq, f"up to {claim.last_seq}", "", 1, SENT_AT)
        assert self.summaries.keep(self.at(branch=claim.branch), claim, summary)
        return summary
