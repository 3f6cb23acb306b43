"""Owns the clauses for readers who keep copies, for alternatives, and for branches that are pending."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from msgspec import structs

from chat_memory.choices import Pending
from chat_memory.records import Changes
from chat_memory.storage.contract import ChangeStore
from chat_memory.storage.listing import NO_FILTER
from chat_memory.storage.syncing import Held, Listed
from chat_memory.testing.conformance.branches import branched
from chat_memory.testing.conformance.kit import Kit, at_once, where

synced = where("changes")


class SyncClauses(Kit):
    """See ``ChangeStore``, ``BranchStore.siblings``, and ``fork`` with ``pending``."""

    @property
    def changes(self) -> ChangeStore:
        """The adapter's part for readers who keep copies."""
        return self.adapter.part(ChangeStore)

    @synced
    def test_a_reader_who_holds_nothing_is_told_all(self) -> None:
        self.append("a", "b", "c")
        first = self.told(None, size=2)
        assert (ids(first), first.void_from, first.more) == (["a", "b"], 1, True)
        rest = self.told(first, size=2)
        assert (ids(rest), rest.void_from, rest.more) == (["c"], None, False)

    @synced
    def test_a_reader_is_told_what_is_new(self) -> None:
        self.append("a")
        before = self.told(None)
        self.append("b")
        after = self.told(before)
        assert (ids(after), after.changed, after.void_from) == (["b"], [], None)

    @synced
    @where("edits")
    def test_a_reader_is_told_what_says_something_else(self) -> None:
        self.append("a", "b")
        before = self.told(None)
        self.edits.edit(self.at(), 1, lambda message: structs.replace(message, content="else"))
        self.redact(2)
        after = self.told(before)
        assert [(message.id, message.content) for message in after.changed] == [("a", "else"), ("b", "[redacted]")]
        assert (ids(after), after.void_from) == ([], None)

    @synced
    def test_a_reader_is_told_that_a_position_has_another_message(self) -> None:
        self.append("a", "b", "c")
        before = self.told(None)
        self.messages.pop(self.at())
        self.messages.pop(self.at())
        self.append("x")
        after = self.told(before)
        assert (ids(after), after.void_from) == (["x"], 2)

    @synced
    def test_a_reader_is_told_of_a_clear(self) -> None:
        self.append("a", "b")
        before = self.told(None)
        self.messages.clear(self.at())
        self.append("c")
        after = self.told(before)
        assert (ids(after), after.void_from) == (["c"], 1)

    @synced
    @branched
    def test_a_reader_is_told_of_a_switch(self) -> None:
        self.append("a", "b")
        before = self.told(None)
        self.branches.fork(self.at(), "draft", 1, switch=True)
        self.append("x")
        after = self.told(before)
        assert (ids(after), after.void_from, after.branch) == (["x"], 2, "draft")

    @synced
    def test_a_reader_of_another_conversation_begins_anew(self) -> None:
        self.append("a")
        before = self.told(None)
        self.sessions.delete(self.at())
        assert (self.told(before).void_from, ids(self.told(before))) == (1, [])
        self.append("b")
        assert (self.told(before).void_from, ids(self.told(before))) == (1, ["b"])

    @synced
    def test_a_reader_of_a_list_is_told_what_changed_and_what_is_gone(self) -> None:
        for key in ("one", "two", "three"):
            self.append("a", key=key)
        first = self.changes.sessions(self.workspace, NO_FILTER, None, size=500)
        assert ({record.key for record in first.changed}, first.begins_anew) == ({"one", "two", "three"}, True)
        gone = next(record.id for record in first.changed if record.key == "two")
        self.sessions.delete(self.at("two"))
        self.append("b", key="three")
        second = self.changes.sessions(self.workspace, NO_FILTER, Listed.parse(first.cursor), size=500)
        counts = {record.key: record.message_count for record in second.changed}
        assert (counts["three"], second.gone, second.begins_anew) == (2, [gone], False)

    @branched
    def test_a_pending_branch_becomes_current_with_its_first_message(self) -> None:
        self.append("q", "a")
        made, _left = self.branches.fork(self.at(), "new", 1, pending=Pending.ANSWERED.value)
        assert (made.pending, made.current, self.ids()) == (True, False, ["q", "a"])
        header = self.append("b", branch="new")
        assert (self.ids(), header, self.header()) == (["q", "b"], self.header(branch="new"), header)
        assert not any(branch.pending for branch in self.branches.all(self.at()))

    @branched
    def test_one_branch_is_pending_for_another_answer(self) -> None:
        self.append("q", "a")

        def ask(name: str) -> str:
            return self.branches.fork(self.at(), name, 1, pending=Pending.COMPLETE.value)[0].name

        names = at_once(*(lambda number=number: ask(f"new-{number}") for number in range(4)))
        assert len(set(names)) == 1
        self.append("b", branch=names[0])
        assert (ask("later"), self.ids()) == (names[0], ["q", "a"])

    @branched
    def test_alternatives_follow_the_same_messages(self) -> None:
        self.append("q", "a")
        for name in ("one", "two"):
            self.branches.fork(self.at(branch="main"), name, 1, switch=True)
            self.append(name)
        self.branches.fork(self.at(branch="main"), "longer", 2)
        self.append("x", branch="longer")
        found = self.branches.siblings(self.at(), 2)
        assert [(each.id, each.branch, each.is_current) for each in found] == [
            ("a", "main", False),
            ("one", "one", False),
            ("two", "two", True),
        ]
        assert self.branches.siblings(self.at(), 9) == self.branches.siblings(self.at("unknown"), 1) == []

    def told(self, before: Changes | None, size: int = 500) -> Changes:
        """The changes for a reader with the cursor of an earlier answer."""
        return self.changes.messages(self.at(), Held.parse(before.cursor) if before else None, size=size)


def ids(changes: Changes) -> list[str | None]:
    """The ids of the messages that are new to a reader."""
    return [message.id for message in changes.messages]
