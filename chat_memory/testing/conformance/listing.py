"""Owns the clauses of listings: their order, their filters, and what the conversations listed add up to."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from chat_memory.records import Message, SessionRecord
from chat_memory.storage.listing import Cursor, Filter, Usage
from chat_memory.testing.conformance.kit import SENT_AT, Kit, user, users, where
from chat_memory.testing.conformance.sessions import FIELDS

TITLES = ("Plain", "50% off_now", "Übergröße", "a\\b", "ПРИВЕТ")


class ListingClauses(Kit):
    """See ``SessionStore.find``, ``SessionStore.count`` and ``Adapter.usage``."""

    def test_listing_is_by_last_change(self) -> None:
        """FEATURES N31."""
        for key in "abc":
            self.append("1", key=key)
        self.append("2", key="a")
        self.adapter.update(self.at("b"), {"title": "x"})
        assert self._keys() == ["b", "a", "c"]
        self.adapter.clear(self.at("c"))
        assert self._keys() == ["c", "b", "a"]
        assert self._keys(size=2) == ["c", "b"]
        assert self._keys(size=0) == []
        assert self.adapter.find(f"{self.workspace}.other") == []

    def test_listing_goes_on_after_a_record(self) -> None:
        """Keyset: nothing skipped, nothing twice, though sessions before the page change meanwhile."""
        keys = [f"k{number}" for number in range(7)]
        for key in keys:
            self.append("1", key=key)
        pages: list[SessionRecord] = []
        for _page in range(4):
            pages += self.adapter.find(self.workspace, before=Cursor.of(pages[-1]) if pages else None, size=3)
            self.append(f"{len(pages)}", key="k6")
        assert [record.key for record in pages] == keys[::-1]

    def test_listing_by_user(self) -> None:
        """FEATURES J01: the filter is never ignored."""
        for number, owner in enumerate(("bob", "eve", "", "bob", "Bob", "b*b")):
            self.adapter.append(self.at(f"{number}", user_key=owner), users("a"))
        assert self._keys(user_key="bob") == ["3", "0"]
        assert self._keys(user_key="") == ["2"]
        assert self._keys(user_key="nobody") == []
        assert self._keys(user_key="bob", size=1) == ["3"]
        first = self.adapter.find(self.workspace, Filter(user_key="bob"), size=1)[0]
        assert self._keys(user_key="bob", before=Cursor.of(first)) == ["0"]

    def test_listed_records_are_those_of_get(self) -> None:
        for key in "ab":
            self.adapter.open(self.at(key), FIELDS)
            self.append("1", key=key)
        assert self.adapter.find(self.workspace) == [self.adapter.get(self.at("b")), self.adapter.get(self.at("a"))]

    def test_listing_by_key(self) -> None:
        for key in ("a", "A", "a/b"):
            self.append("1", key=key)
        assert self._keys(key="a") == ["a"]
        assert self._keys(key="b") == []
        assert self._keys(key="a", user_key="bob") == []

    def test_listing_by_tags(self) -> None:
        """All that are asked for must be there, whole and as they are written."""
        tags: tuple[list[str], ...] = (["a", "b"], ["a"], ["A", 'q"%_', "ü😀"], [], ["ab"])
        for number, given in enumerate(tags):
            self.adapter.open(self.at(f"{number}"), {"tags": given})
        assert self._keys(tags=("a",)) == ["1", "0"]
        assert self._keys(tags=("b", "a")) == ["0"]
        assert self._keys(tags=("a", "a", "c")) == []
        assert self._keys(tags=('q"%_', "ü😀")) == ["2"]

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("plain", ["Plain"]),
            ("50% OFF_", ["50% off_now"]),
            ("%", ["50% off_now"]),
            ("_", ["50% off_now"]),
            ("\\", ["a\\b"]),
            ("l.in", []),
            ("übergrö", ["Übergröße"]),
            ("привет", ["ПРИВЕТ"]),
            ("", [*TITLES][::-1]),
        ],
    )
    def test_listing_by_title(self, text: str, found: list[str]) -> None:
        """Contained, upper or lower case alike; no sign means anything but itself."""
        for title in TITLES:
            self.adapter.open(self.at(title), {"title": title})
        assert self._keys(title=text) == found

    def test_listing_by_time(self) -> None:
        """FEATURES J02, J37: from the first moment on, up to and without the second."""
        changed = {key: self._opened(key).updated_at for key in "abc"}
        assert self._keys(since=changed["b"]) == ["c", "b"]
        assert self._keys(until=changed["b"]) == ["a"]
        assert self._keys(since=changed["a"], until=changed["c"]) == ["b", "a"]
        assert self._keys(since=changed["c"], until=changed["a"]) == []
        self.append("1", key="a")
        assert self._keys(since=changed["c"]) == ["a", "c"]

    def test_listing_goes_on_within_a_time(self) -> None:
        records = {key: self._opened(key) for key in "abcd"}
        until = records["d"].updated_at
        assert self._keys(until=until, size=2) == ["c", "b"]
        assert self._keys(until=until, before=Cursor.of(records["b"])) == ["a"]
        assert self._keys(until=records["b"].updated_at, before=Cursor.of(records["d"])) == ["a"]

    def test_listing_by_state(self) -> None:
        self.adapter.open(self.at("plain"))
        self.adapter.open(self.at("old"), {"archived_at": SENT_AT})
        self.adapter.open(self.at("dear"), {"pinned": True})
        assert (self._keys(archived=True), self._keys(archived=False)) == (["old"], ["dear", "plain"])
        assert (self._keys(pinned=True), self._keys(pinned=False)) == (["dear"], ["old", "plain"])
        assert self._keys(pinned=False, archived=False) == ["plain"]

    def test_every_condition_counts(self) -> None:
        """FEATURES J01, J37: none is ignored beside others, nor in pages."""
        for number in range(4):
            fields = FIELDS | {"title": f"T {number}"}
            self.adapter.open(self.at(f"{number}", user_key="bob"), fields)
            self.adapter.open(self.at(f"other {number}", user_key="eve"), fields)
        wanted: dict[str, Any] = {"user_key": "bob", "tags": ("a",), "title": "t", "archived": True, "pinned": True}
        first = self.adapter.find(self.workspace, Filter(**wanted), size=3)
        assert [record.key for record in first] == ["3", "2", "1"]
        assert self._keys(**wanted, before=Cursor.of(first[-1])) == ["0"]
        for name, value in {
            "user_key": "Bob",
            "tags": ("c",),
            "title": "x",
            "archived": False,
            "pinned": False,
        }.items():
            assert self._keys(**wanted | {name: value}) == [], name

    def test_counting(self) -> None:
        """FEATURES S0.22."""
        for number, owner in enumerate(("bob", "eve", "bob")):
            self.adapter.open(self.at(f"{number}", user_key=owner), {"archived_at": SENT_AT if number else None})
        assert self.adapter.count(self.workspace) == 3
        assert self.adapter.count(self.workspace, Filter(user_key="bob")) == 2
        assert self.adapter.count(self.workspace, Filter(user_key="bob", archived=False)) == 1
        assert self.adapter.count(f"{self.workspace}.other") == 0

    def test_usage_counts_every_message_once(self) -> None:
        for key, owner in {"a": "bob", "b": "eve", "c": "bob"}.items():
            asked = Message.system("Be brief", id="s", tokens=3, created_at=SENT_AT)
            answer = Message.assistant("Hello", id="r", tokens=20, created_at=SENT_AT, metadata={"cost": 0.25})
            self.adapter.append(self.at(key, user_key=owner), [asked, user("q", tokens=100), answer])
        self.adapter.open(self.at("empty", user_key="bob"))
        assert self.adapter.usage(self.workspace, Filter(key="a")) == Usage(1, 3, 103, 20, Decimal("0.25"))
        assert self.adapter.usage(self.workspace, Filter(user_key="bob")) == Usage(3, 6, 206, 40, Decimal("0.5"))
        assert self.adapter.usage(self.workspace).messages == 9
        assert self.adapter.usage(self.workspace, Filter(key="x")) == Usage()
        assert self.adapter.usage(f"{self.workspace}.other") == Usage()

    def test_usage_adds_up_numbers_alone(self) -> None:
        """What is no number is somebody else's idea of a cost."""
        costs: tuple[Any, ...] = (1, 0.5, -0.25, "7", True, None, [7], {"cost": 7}, 2**40)
        messages = [user(f"{number}", metadata={"cost": cost}) for number, cost in enumerate(costs)]
        nested = user("nested", metadata={"deep": {"cost": 7}, "note": '"cost": 7'})
        self.adapter.append(self.at(), [*messages, nested, user("none")])
        assert self.adapter.usage(self.workspace).recorded_cost == Decimal("1.25") + 2**40

    @where("can_branch")
    def test_usage_of_branches(self) -> None:
        """What several of them share was paid once; what only one of them shows was paid too."""
        self.append("a", "b", "c")
        self.adapter.fork(self.at(), "draft", 2, switch=True)
        self.append("d", branch="draft")
        assert self.adapter.usage(self.workspace) == Usage(1, 4, 20, 0)
        assert self.adapter.count(self.workspace) == 1

    @where("can_branch")
    def test_listing_shows_the_branch_that_speaks(self) -> None:
        self.adapter.open(self.at(), FIELDS)
        self.append("a", "b", "c")
        self.adapter.fork(self.at(), "draft", 1, switch=True)
        (listed,) = self.adapter.find(self.workspace)
        assert (listed.branch, listed.message_count, listed.last_seq, listed.title) == ("draft", 1, 1, FIELDS["title"])
        assert listed == self.adapter.get(self.at())

    def _keys(self, before: Cursor | None = None, size: int = 50, **wanted: Any) -> list[str]:
        found = self.adapter.find(self.workspace, Filter(**wanted), before=before, size=size)
        return [record.key for record in found]

    def _opened(self, key: str) -> SessionRecord:
        record, _is_new = self.adapter.open(self.at(key))
        return record
