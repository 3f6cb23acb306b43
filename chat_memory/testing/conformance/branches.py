"""Owns the clauses of branches with one writer: what a fork shares, what it adds, and where it may begin."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import UTC

import pytest
from django.test import override_settings

from chat_memory.exceptions import (
    BranchExists,
    BranchNotFound,
    MessageConflict,
    MessageNotFound,
    TooManyBranches,
    VersionConflict,
    WorkspaceNotFound,
)
from chat_memory.records import Budget, Span
from chat_memory.testing.conformance.kit import Kit, answer, positions, user, users, where
from chat_memory.testing.conformance.reading import SPANS

branched = where("branches")


class BranchClauses(Kit):
    """See ``BranchStore``, and the other parts on branches."""

    @branched
    def test_main_is_there_from_the_start(self) -> None:
        assert self.branches.all(self.at()) == []
        header = self.append("a", "b")
        (main,) = self.branches.all(self.at())
        assert (main.name, main.parent, main.fork_seq, main.current) == ("main", None, 0, True)
        assert (main.last_seq, main.message_count, main.version) == (2, 2, header.version)

    @branched
    def test_a_fork_shares_what_there_is_up_to_a_position(self) -> None:
        before = self.append("a", "b", "c")
        made, left = self.branches.fork(self.at(), "draft", 2)
        assert left == before == self.header()
        assert (made.name, made.parent, made.fork_seq, made.current) == ("draft", "main", 2, False)
        assert (made.last_seq, made.message_count) == (2, 2)
        assert made.version >= 1
        assert (made.created_at.tzinfo, made.updated_at.tzinfo) == (UTC, UTC)
        assert self.branches.all(self.at())[1:] == [made]
        assert (self.ids(branch="draft"), self.ids()) == (["a", "b"], ["a", "b", "c"])
        shared = self.messages.read(self.at(branch="draft"))
        assert shared.messages == self.messages.read(self.at(), Span(first=2)).messages
        assert shared.header is not None
        assert (shared.header.last_seq, shared.header.version) == (2, made.version)
        assert shared.header.session_id != left.session_id

    @branched
    def test_a_fork_without_a_position_shares_everything(self) -> None:
        self.append("a", "b")
        assert self.branches.fork(self.at(), "draft")[0].fork_seq == 2
        assert self.ids(branch="draft") == ["a", "b"]

    @branched
    def test_a_fork_of_an_unknown_conversation_makes_it(self) -> None:
        made, left = self.branches.fork(self.at(user_key="bob"), "draft")
        assert (made.parent, made.fork_seq, made.last_seq, made.message_count) == ("main", 0, 0, 0)
        assert left == self.header()
        record = self.sessions.get(self.at())
        assert record is not None
        assert (record.version, record.user_key, record.branch) == (1, "bob", "main")
        assert [branch.name for branch in self.branches.all(self.at())] == ["main", "draft"]
        assert self.append("a", branch="draft").last_seq == 1
        assert self.ids() == []

    @branched
    def test_each_branch_goes_on_from_the_fork(self) -> None:
        """Each has its own dense positions and counters, and shows no message that another added."""
        self.messages.append(self.at(), [user("a"), answer("r"), user("b"), answer("s")])
        self.branches.fork(self.at(), "draft", 3)
        self.branches.fork(self.at(), "early", 2)
        assert positions(self.messages.append(self.at(branch="draft"), [user("x"), answer("y")]).messages) == [4, 5]
        assert self.append("c").last_seq == 5
        assert self.ids(branch="draft") == ["a", "r", "b", "x", "y"]
        assert self.ids() == ["a", "r", "b", "s", "c"]
        assert self.ids(branch="early") == ["a", "r"]
        counters = {"main": (5, 5, 3), "draft": (5, 5, 3), "early": (2, 2, 1)}
        for name, expected in counters.items():
            record = self.sessions.get(self.at(branch=name))
            assert record is not None
            assert (record.branch, record.key) == (name, "k")
            assert (record.last_seq, record.message_count, record.last_turn) == expected

    @branched
    @pytest.mark.parametrize("name", SPANS)
    def test_spans_reach_across_the_forks(self, name: str) -> None:
        grow(self)
        span, expected = SPANS[name]
        assert self.ids(span, branch="two") == list(expected)
        assert self.messages.read(self.at(branch="two"), span).header == self.messages.peek(self.at(branch="two"))

    @branched
    def test_windows_and_ids_reach_across_the_forks(self) -> None:
        grow(self)
        two = self.at(branch="two")
        assert positions(self.messages.window(two, Budget(turns=4)).messages) == [2, 3, 4, 5]
        assert positions(self.messages.window(two, Budget(tokens=10)).messages) == [4, 5]
        assert [self.messages.locate(two, name) for name in "12345zy"] == [1, 2, 3, 4, 5, None, None]
        assert self.messages.read_json(two, Span(last=2)).count == 2

    @branched
    def test_the_parent_of_a_branch_is_the_one_that_holds_the_position(self) -> None:
        grow(self)
        made, _left = self.branches.fork(self.at(branch="two"), "three", 1)
        assert (made.parent, made.fork_seq) == ("main", 1)
        found = {branch.name: (branch.parent, branch.fork_seq) for branch in self.branches.all(self.at())}
        assert found == {"main": (None, 0), "one": ("main", 2), "two": ("one", 4), "three": ("main", 1)}
        assert [*found] == ["main", "one", "two", "three"]
        assert self.branches.all(self.at(branch="two")) == self.branches.all(self.at())
        assert self.ids(branch="three") == ["1"]

    @branched
    def test_an_id_is_stored_once_along_a_lineage(self) -> None:
        """The id of a shared message is a replay; the id of a message on another branch only is not."""
        self.append("a", "b", "c")
        self.branches.fork(self.at(), "draft", 2)
        commit = self.messages.append(self.at(branch="draft"), [user("c", "other"), user("a")])
        assert positions(commit.messages) == [3, 1]
        assert self.messages.append(self.at(branch="draft"), users("b")).change is None
        with pytest.raises(MessageConflict):
            self.messages.append(self.at(branch="draft"), [user("d"), user("a", "other")])
        assert self.messages.append(self.at(), users("c")).change is None
        assert self.ids(branch="draft") == ["a", "b", "c"]

    @branched
    def test_versions_are_a_branchs_own(self) -> None:
        before = self.append("a")
        made, _left = self.branches.fork(self.at(), "draft")
        draft = self.at(branch="draft")
        with pytest.raises(VersionConflict) as caught:
            self.messages.append(draft, users("b"), if_version=made.version + 5)
        assert caught.value.actual == made.version
        commit = self.messages.append(draft, users("b"), if_version=made.version)
        assert commit.change is not None
        assert (commit.change.prev_version, commit.header.version) == (made.version, made.version + 1)
        assert commit.header == self.header(branch="draft")
        assert self.header() == before

    @branched
    def test_a_fork_begins_where_its_source_shows_something(self) -> None:
        """From ``base_seq``, the last position that is hidden, to ``last_seq``."""
        self.append("a", "b")
        self.messages.clear(self.at())
        self.append("c")
        before = self.branches.all(self.at())
        for seq in (-1, 0, 1, 4):
            with pytest.raises(MessageNotFound):
                self.branches.fork(self.at(), "draft", seq)
        with pytest.raises(MessageNotFound):
            self.branches.fork(self.at("unknown"), "draft", 1)
        assert self.branches.all(self.at()) == before
        assert self.sessions.get(self.at("unknown")) is None
        assert self.branches.fork(self.at(), "empty", 2)[0].message_count == 0
        assert self.ids(branch="empty") == []
        assert self.append("d", branch="empty").last_seq == 3
        assert self.ids(branch="empty") == ["d"]

    @branched
    def test_a_branch_name_is_used_once(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft")
        self.append("b", branch="draft")
        before = self.branches.all(self.at())
        for name in ("draft", "main"):
            with pytest.raises(BranchExists):
                self.branches.fork(self.at(), name, switch=True)
        assert self.branches.all(self.at()) == before
        assert self.branches.fork(self.at(), "Draft")[0].name == "Draft"
        assert self.branches.fork(self.at("other"), "draft")[0].message_count == 0

    @branched
    def test_branches_are_in_the_order_they_were_made(self) -> None:
        """By their numbers, of which none is given twice, also where another branch was deleted meanwhile."""
        self.append("a")
        names = [f"{10 - number}" for number in range(6)]
        numbers = [self.branches.fork(self.at(), name)[0].number for name in names]
        assert numbers == sorted({*numbers})
        self.sessions.delete(self.at(branch=names[-1]))
        last, _left = self.branches.fork(self.at(), "last")
        assert last.number > numbers[-1]
        found = self.branches.all(self.at())
        assert [branch.name for branch in found] == ["main", *names[:-1], "last"]
        assert [branch.number for branch in found] == [0, *numbers[:-1], last.number]

    @branched
    def test_branches_are_found_in_parts(self) -> None:
        self.append("a")
        for number in range(5):
            self.branches.fork(self.at(), f"{number}")
        known = self.branches.all(self.at())
        for index, branch in enumerate(known):
            assert self.branches.find(self.at(), after=branch.number, size=2) == known[index + 1 : index + 3]
            assert self.branches.find(self.at(), before=branch.number, size=2) == known[max(0, index - 2) : index]
        assert self.branches.find(self.at(), size=2) == known[:2]
        assert self.branches.find(self.at()) == known
        assert self.branches.find(self.at("unknown")) == []

    @branched
    def test_a_conversation_has_no_more_branches_than_the_setting_allows(self) -> None:
        """A branch that was deleted makes room for another."""
        self.append("a")
        with override_settings(CHAT_MEMORY={"MAX_BRANCHES": 3}):
            self.branches.fork(self.at(), "one")
            self.branches.fork(self.at(), "two")
            before = self.branches.all(self.at())
            with pytest.raises(TooManyBranches) as caught:
                self.branches.fork(self.at(), "three", switch=True)
            assert (caught.value.key, caught.value.limit) == ("k", 3)
            assert self.branches.all(self.at()) == before
            with pytest.raises(BranchExists):
                self.branches.fork(self.at(), "two")
            self.sessions.delete(self.at(branch="one"))
            assert self.branches.fork(self.at(), "three")[0].name == "three"

    @branched
    def test_a_fork_of_an_unknown_branch_is_refused(self) -> None:
        self.append("a")
        for key in ("k", "unknown"):
            with pytest.raises(BranchNotFound):
                self.branches.fork(self.at(key, branch="draft"), "new")
        assert len(self.branches.all(self.at())) == 1
        assert self.sessions.get(self.at("unknown")) is None

    @branched
    @override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False})
    def test_a_fork_makes_no_workspace_where_that_is_not_allowed(self) -> None:
        with pytest.raises(WorkspaceNotFound):
            self.branches.fork(self.at(), "draft")
        assert self.branches.all(self.at()) == []


def grow(kit: Kit) -> None:
    """Store ``main`` (1 2 z), its branch ``one`` (1 2 3 4 y), and ``two``, a branch of ``one`` (1 2 3 4 5)."""
    kit.append("1", "2", "z")
    kit.branches.fork(kit.at(), "one", 2)
    kit.append("3", "4", "y", branch="one")
    kit.branches.fork(kit.at(branch="one"), "two", 4)
    kit.append("5", branch="two")
