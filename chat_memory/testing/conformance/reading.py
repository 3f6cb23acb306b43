"""Owns the clauses of ``read`` and ``clear``: which messages are visible, and that a read changes nothing."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

import msgspec
import pytest

from chat_memory.records import Span
from chat_memory.testing.conformance.kit import Kit, positions, user, users

SPANS = {
    "after": (Span(after=3), "45"),
    "after the last": (Span(after=5), ""),
    "before": (Span(before=3), "12"),
    "before the first": (Span(before=1), ""),
    "between": (Span(after=1, before=5), "234"),
    "first": (Span(first=2), "12"),
    "last": (Span(last=2), "45"),
    "first after": (Span(after=2, first=2), "34"),
    "last before": (Span(before=4, last=2), "23"),
    "more than there are": (Span(last=100), "12345"),
    "far away": (Span(after=2**62), ""),
}


class ReadClauses(Kit):
    """See ``MessageStore.read`` and ``MessageStore.clear``."""

    @pytest.mark.parametrize("name", SPANS)
    def test_span_is_read_oldest_first(self, name: str) -> None:
        span, expected = SPANS[name]
        self.append(*"12345")
        assert self.ids(span) == list(expected)

    @pytest.mark.parametrize("sign", ["x", "\x01", "\U0001f600"])
    def test_a_span_ends_at_a_number_of_bytes(self, sign: str) -> None:
        """It has the messages nearest to its beginning, or with ``last`` to its end, and at least one."""
        sizes = [1, 300, 20, 900, 5, 400, 40]
        self.messages.append(self.at(), [user(f"{n}", sign * size) for n, size in enumerate(sizes, 1)])
        whole = [*range(1, len(sizes) + 1)]
        for most in (1, 700, 2_000, 4_000, 1_000_000):
            for span in (
                Span(first=5, most=most),
                Span(last=5, most=most),
                Span(after=2, before=7, first=9, most=most),
            ):
                page = self.messages.read_json(self.at(), span)
                found = [message["seq"] for message in msgspec.json.decode(page.body)]
                assert len(found) == page.count >= 1
                assert page.count == 1 or len(page.body) <= most
                wanted = {"first": whole[:5], "last": whole[-5:]}["last" if span.last else "first"]
                wanted = whole[2:6] if span.after else wanted
                assert found == (wanted[-page.count :] if span.last else wanted[: page.count])
                read = positions(self.messages.read(self.at(), span).messages)
                assert read == (wanted[-len(read) :] if span.last else wanted[: len(read)])
                assert (most == 1) <= (len(read) == 1)
                assert (most == 1_000_000) <= (found == wanted)

    def test_unknown_is_empty_and_reading_makes_nothing(self) -> None:
        found = self.messages.read(self.at())
        assert (found.messages, found.header) == ([], None)
        assert self.sessions.find(self.workspace) == []
        assert self.sessions.get(self.at()) is None

    def test_unknown_branch_is_empty(self) -> None:
        self.append("a")
        found = self.messages.read(self.at(branch="draft"))
        assert (found.messages, found.header) == ([], None)

    def test_reading_changes_nothing(self) -> None:
        """The version and ``updated_at`` stay."""
        written, before = self.append("a", "b"), self.sessions.get(self.at())
        for span, _expected in SPANS.values():
            assert self.messages.read(self.at(), span).header == written
        assert self.sessions.get(self.at()) == before

    def test_messages_that_are_read_are_detached(self) -> None:
        """Changing a message that was read or appended does not change the store."""
        given = user("a", metadata={"list": [1]})
        self.messages.append(self.at(), [given])
        for held in (given, *self.messages.read(self.at()).messages):
            assert held.metadata is not None
            held.metadata["list"].append("tampered")
        assert self.messages.read(self.at()).messages[0].metadata == {"list": [1]}

    def test_sessions_of_other_workspaces_and_keys_are_separate(self) -> None:
        """Not even if a key contains separators or wildcards."""
        keys = ("a:b", "a", "b", "*", "{a}", "}{", "a/b", "A", "é", "e\u0301", " ", "%3A", "main", "x" * 255)
        for number, key in enumerate(keys):
            self.append(f"{number}", key=key)
        assert [self.ids(key=key) for key in keys] == [[f"{number}"] for number in range(len(keys))]
        neighbour = msgspec.structs.replace(self.at("a"), workspace=f"{self.workspace}.a")
        self.messages.append(neighbour, users("of the neighbour"))
        assert self.ids(key="a") == ["1"]
        assert {record.key for record in self.sessions.find(self.workspace)} == set(keys)

    def test_cleared_messages_are_hidden_from_everybody(self) -> None:
        """For every address of the session; later messages are stored at the following positions."""
        before = self.append("a", "b")
        change = self.messages.clear(self.at())
        assert change is not None
        assert (change.prev_version, change.prev_vtoken) == (before.version, before.vtoken)
        assert (change.header.version, change.header.base_seq, change.header.last_seq) == (before.version + 1, 2, 2)
        assert self.ids() == []
        assert self.header() == change.header
        assert self.append("c").base_seq == 2
        for span in (Span(), Span(after=0), Span(first=5), Span(last=5), Span(before=10)):
            assert positions(self.messages.read(self.at(), span).messages) == [3]

    def test_clearing_nothing_changes_nothing(self) -> None:
        assert self.messages.clear(self.at()) is None
        assert self.sessions.get(self.at()) is None
        self.append("a")
        self.messages.clear(self.at())
        cleared = self.header()
        assert self.messages.clear(self.at()) is None
        assert self.header() == cleared

    def test_a_late_retry_does_not_bring_a_cleared_message_back(self) -> None:
        self.append("a")
        self.messages.clear(self.at())
        assert self.messages.append(self.at(), users("a")).change is None
        assert self.ids() == []
