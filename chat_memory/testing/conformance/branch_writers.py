"""Owns the clauses of concurrent forks, switches and edits: threads that start at the same moment, without sleeping."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.test import override_settings

from chat_memory.exceptions import BranchExists, BranchInUse, BranchNotFound, TooManyBranches
from chat_memory.records import Address, Branch, Commit, Content, Header
from chat_memory.testing.conformance.branches import branched
from chat_memory.testing.conformance.kit import Kit, at_once, positions, users, where

WRITERS = 4
ROUNDS = 8


class BranchWriterClauses(Kit):
    """See ``BranchStore`` and ``EditStore``, with several writers."""

    @branched
    def test_concurrent_forks_of_one_name_create_one_branch(self) -> None:
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            self.messages.append(at, users("a", "b"))
            calls = [partial(self._try_fork, at, "draft", 1 + writer % 2) for writer in range(WRITERS)]
            made = [branch for branch in at_once(*calls) if branch]
            assert len(made) == 1
            assert self.branches.all(at)[1:] == made

    @branched
    @override_settings(CHAT_MEMORY={"MAX_BRANCHES": 3})
    def test_concurrent_forks_make_no_more_branches_than_the_setting_allows(self) -> None:
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            self.messages.append(at, users("a"))
            made = at_once(*(partial(self._try_fork, at, f"{writer}", 1) for writer in range(WRITERS)))
            assert sum(branch is not None for branch in made) == 2
            assert [branch.number for branch in self.branches.all(at)] == [0, 1, 2]

    @branched
    def test_concurrent_forks_of_an_unknown_conversation_create_one(self) -> None:
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            at_once(*(partial(self.branches.fork, at, f"{writer}") for writer in range(WRITERS)))
            names = [branch.name for branch in self.branches.all(at)]
            assert (names[0], sorted(names[1:])) == ("main", [f"{writer}" for writer in range(WRITERS)])
        assert len(self.sessions.find(self.workspace)) == ROUNDS

    @branched
    def test_append_racing_a_fork_with_a_switch(self) -> None:
        """An append before the fork is on the old current branch, one after it on the new branch."""
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            self.messages.append(at, users("first", "second"))
            append, fork = partial(self.messages.append, at, users("a", "b")), partial(self._cut, at, 1)
            commit, left = at_once(append, fork)
            assert isinstance(commit, Commit)
            assert isinstance(left, Header)
            old, new = self.ids(key=at.key, branch="main"), self.ids(key=at.key)
            assert len(old) == left.last_seq
            if commit.header.session_id == left.session_id:
                assert (old, new) == (["first", "second", "a", "b"], ["first"])
            else:
                assert (old, new) == (["first", "second"], ["first", "a", "b"])
                assert positions(commit.messages) == [2, 3]

    @branched
    def test_append_racing_a_switch(self) -> None:
        """All messages of an append are on one branch, and the versions that readers see only increase."""
        self.append("first")
        self.branches.fork(self.at(), "draft")
        sent: list[str] = []
        for number in range(ROUNDS):
            target = "main" if number % 2 else "draft"
            before, ids = self.version(), [f"{number}.a", f"{number}.b"]
            at_once(partial(self.append, *ids), partial(self.branches.switch, self.at(), target))
            sent += ids
            places = [self.ids(branch=name)[-2:] == ids for name in ("main", "draft")]
            assert sorted(places) == [False, True]
            assert self.version() == before + 2 or self.version() > before + 1
        both = self.ids(branch="main") + self.ids(branch="draft")
        assert sorted(filter(None, both)) == sorted(["first", "first", *sent])

    @branched
    def test_versions_never_go_back_for_a_reader(self) -> None:
        self.append(*(f"{number}" for number in range(5)))
        self.branches.fork(self.at(), "draft", 2)

        def watch() -> list[int]:
            return [self.version() for _look in range(6 * ROUNDS)]

        def change(call: Callable[[int], object]) -> list[int]:
            for number in range(ROUNDS):
                call(number)
            return []

        seen, *_none = at_once(
            watch,
            partial(change, lambda number: self.branches.switch(self.at(), "main" if number % 2 else "draft")),
            partial(change, lambda number: self.append(f"m{number}", branch="main")),
            partial(change, lambda number: self.append(f"d{number}")),
        )
        assert seen == sorted(seen)

    @branched
    def test_concurrent_switches_leave_one_current_branch(self) -> None:
        self.append("a")
        names = [f"{writer}" for writer in range(WRITERS)]
        for name in names:
            self.branches.fork(self.at(), name)
        for _round in range(ROUNDS):
            at_once(*(partial(self.branches.switch, self.at(), name) for name in names))
            current = self.current()
            assert current in names
            assert self.header() == self.header(branch=current)

    @branched
    def test_fork_racing_the_deletion_of_its_source(self) -> None:
        """No branch is left whose shared messages are deleted."""
        for number in range(ROUNDS):
            key, source = f"k{number}", self.at(f"k{number}", branch="source")
            self.append("a", key=key)
            self.branches.fork(self.at(key), "source")
            self.append("b", key=key, branch="source")
            made, gone = at_once(partial(self._try_fork, source, "new", 2), partial(self._try_delete, source))
            assert bool(made) != bool(gone)
            assert self.ids(key=key, branch="new") == (["a", "b"] if made else [])

    @branched
    def test_edits_at_once_are_each_kept(self) -> None:
        self.append("a")
        self.branches.fork(self.at(), "draft")
        texts = [f"{number}" for number in range(WRITERS * 2)]
        edits = [partial(self.rewrite, 1, text, "draft" if number % 2 else "main") for number, text in enumerate(texts)]
        at_once(*edits)
        former = [revision.content for revision in self.edits.revisions(self.at(), 1)]
        assert former[0] == "a"
        assert sorted(map(str, [*former[1:], *self.contents("main")])) == texts
        assert self.contents("main") == self.contents("draft")

    @where("edits", "branches")
    def test_readers_see_an_edit_whole(self) -> None:
        """Two reads with equal headers have equal texts, on every branch that shares the message."""
        self.append("a", "b")
        self.branches.fork(self.at(), "draft")

        def write() -> list[tuple[Header | None, Content]]:
            for number in range(2 * ROUNDS):
                self.rewrite(1, f"{number}", "main")
            return []

        def watch(branch: str) -> list[tuple[Header | None, Content]]:
            found = [self.messages.read(self.at(branch=branch)) for _look in range(4 * ROUNDS)]
            return [(seen.header, seen.messages[0].content) for seen in found]

        watched = at_once(write, partial(watch, "main"), partial(watch, "draft"))
        for seen in watched[1:]:
            assert len({header for header, _content in seen}) == len(set(seen))
            numbers = [-1 if content == "a" else int(str(content)) for _header, content in seen]
            assert numbers == sorted(numbers)

    @branched
    def test_append_racing_an_edit(self) -> None:
        for number in range(ROUNDS):
            at = self.at(f"k{number}")
            before = self.messages.append(at, users("a")).header.version
            append = partial(self.messages.append, at, users("b"))
            edit = partial(self.rewrite, 1, "new", key=at.key)
            commits = at_once(append, edit)
            assert sorted(commit.header.version for commit in commits) == [before + 1, before + 2]
            assert [message.content for message in self.messages.read(at).messages] == ["new", "b"]

    def _cut(self, at: Address, seq: int) -> Header:
        return self.branches.fork(at, "new", seq, switch=True)[1]

    def _try_fork(self, at: Address, name: str, seq: int) -> Branch | None:
        try:
            return self.branches.fork(at, name, seq)[0]
        except (BranchExists, BranchNotFound, TooManyBranches):
            return None

    def _try_delete(self, at: Address) -> bool:
        try:
            return self.sessions.delete(at)
        except BranchInUse:
            return False
