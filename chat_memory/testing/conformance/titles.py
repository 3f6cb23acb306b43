"""Owns the clauses of titles: which append sets a conversation's title, and when ``title_made`` is True."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from chat_memory.storage.contract import Batch
from chat_memory.testing.conformance.kit import Kit, answer, user, users, where


class TitleClauses(Kit):
    """See the ``title`` of ``MessageStore.append``."""

    def test_a_first_append_brings_the_title(self) -> None:
        self.messages.append(self.at(), users("a"), title="Made")
        assert self._title() == ("Made", True)
        self.messages.append(self.at(), users("b"), title="Later")
        assert self._title() == ("Made", True)

    def test_an_append_without_a_title_makes_none(self) -> None:
        self.append("a")
        assert self._title() == ("", False)

    def test_a_title_may_come_until_a_turn_has_begun(self) -> None:
        self.messages.append(self.at(), [answer("hello")])
        assert self._title() == ("", False)
        self.messages.append(self.at(), [answer("hello"), user("a")], title="Made")
        assert self._title() == ("Made", True)

    def test_no_title_comes_once_a_turn_has_begun(self) -> None:
        self.append("a")
        self.messages.append(self.at(), users("b"), title="Late")
        assert self._title() == ("", False)

    def test_a_replay_brings_no_title(self) -> None:
        self.messages.append(self.at(), [answer("hello")])
        assert self.messages.append(self.at(), [answer("hello")], title="Made").change is None
        assert self._title() == ("", False)

    def test_a_title_that_is_set_stays(self) -> None:
        self.sessions.open(self.at(), {"title": "Mine"})
        self.messages.append(self.at(), users("a"), title="Made")
        assert self._title() == ("Mine", False)

    def test_a_title_that_was_emptied_before_the_first_turn_is_made(self) -> None:
        self.sessions.open(self.at(), {"title": ""})
        self.messages.append(self.at(), users("a"), title="Made")
        assert self._title() == ("Made", True)

    def test_a_title_that_was_emptied_later_stays_empty(self) -> None:
        self.messages.append(self.at(), users("a"), title="Made")
        self.sessions.update(self.at(), {"title": ""})
        self.messages.append(self.at(), users("b"), title="Late")
        assert self._title() == ("", False)

    def test_a_title_that_users_set_is_not_made(self) -> None:
        self.messages.append(self.at(), users("a"), title="Made")
        self.sessions.update(self.at(), {"pinned": True})
        assert self._title() == ("Made", True)
        self.sessions.update(self.at(), {"title": "Mine"})
        assert self._title() == ("Mine", False)

    def test_the_length_of_a_title_is_kept(self) -> None:
        title = "é" * 200
        self.messages.append(self.at(), users("a"), title=title)
        assert self._title() == (title, True)

    @where("branches")
    def test_a_title_may_come_by_a_branch(self) -> None:
        self.sessions.open(self.at())
        self.branches.fork(self.at(), "draft")
        self.messages.append(self.at(branch="draft"), users("a"), title="Made")
        assert self._title() == ("Made", True)
        self.messages.append(self.at(), users("b"), title="Later")
        assert self._title() == ("Made", True)

    @where("changes_several")
    def test_each_of_several_appends_brings_its_title(self) -> None:
        self.append("a", key="old")
        batches: list[Batch] = [(self.at(key), users("b"), key.upper()) for key in ("new", "old", "third")]
        self.messages.append_many(batches)
        titles = {record.key: (record.title, record.title_made) for record in self.sessions.find(self.workspace)}
        assert titles == {"new": ("NEW", True), "old": ("", False), "third": ("THIRD", True)}

    def _title(self) -> tuple[str, bool]:
        record = self.sessions.get(self.at())
        assert record is not None
        return record.title, record.title_made
