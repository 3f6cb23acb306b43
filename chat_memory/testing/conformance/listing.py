"""Owns the clauses of lists of conversations: their order, their filters, and their usage totals."""
# ruff: noqa: D102, S101  # clauses are tests, shipped: the name of one is its first sentence

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from chat_memory.records import Message, SessionRecord
from chat_memory.storage.listing import Cursor, Filter, Usage
from chat_memory.testing.conformance.kit import SENT_AT, Kit, user, where
from chat_memory.testing.conformance.sessions import FIELDS

TITLES = ("Plain", "50% off_now", "Übergröße", "a\\b", "ПРИВЕТ")


class ListingClauses(Kit):
    """See ``find``, ``count`` and ``usage`` of ``SessionStore``."""

    def test_listing_is_by_last_activity(self) -> None:
        """The order is by the time of the newest message; no other change moves a conversation."""
        for minute, key in enumerate("abc"):
            self.send("1", SENT_AT + timedelta(minutes=minute), key)
        assert self._keys() == ["c", "b", "a"]
        self.sessions.update(self.at("a"), {"title": "x", "pinned": True})
        self.messages.clear(self.at("a"))
        assert self._keys() == ["c", "b", "a"]
        self.send("2", SENT_AT + timedelta(minutes=3), "a")
        assert self._keys() == ["a", "c", "b"]
        assert self._keys(size=2) == ["a", "c"]
        assert self._keys(size=0) == []
        assert self.sessions.find(f"{self.workspace}.other") == []

    def test_listing_goes_on_after_a_record(self) -> None:
        """Nothing is skipped or repeated, although sessions on earlier pages change meanwhile."""
        keys = [f"k{number}" for number in range(7)]
        for minute, key in enumerate(keys):
            self.send("1", SENT_AT + timedelta(minutes=minute), key)
        pages: list[SessionRecord] = []
        for _page in range(4):
            pages += self.sessions.find(self.workspace, before=Cursor.of(pages[-1]) if pages else None, size=3)
            self.send(f"{len(pages)}", SENT_AT + timedelta(minutes=10 + len(pages)), "k6")
        assert [record.key for record in pages] == keys[::-1]

    def test_listing_by_user(self) -> None:
        """An unknown or empty user key is a condition too."""
        for number, owner in enumerate(("bob", "eve", "", "bob", "Bob", "b*b")):
            sent = user("a", created_at=SENT_AT + timedelta(minutes=number))
            self.messages.append(self.at(f"{number}", user_key=owner), [sent])
        assert self._keys(user_key="bob") == ["3", "0"]
        assert self._keys(user_key="") == ["2"]
        assert self._keys(user_key="nobody") == []
        assert self._keys(user_key="bob", size=1) == ["3"]
        first = self.sessions.find(self.workspace, Filter(user_key="bob"), size=1)[0]
        assert self._keys(user_key="bob", before=Cursor.of(first)) == ["0"]

    def test_listing_by_owner(self) -> None:
        """A user object's conversations are those that it owns; the text of its key is the user of another system."""
        pk = self.host_user()
        owners: dict[str, dict[str, Any]] = {
            "object": {"user_id": pk, "user_key": f"{pk}"},
            "text": {"user_key": f"{pk}"},
            "nobody": {},
        }
        for minute, (key, owner) in enumerate(owners.items()):
            sent = user("a", created_at=SENT_AT + timedelta(minutes=minute))
            self.messages.append(self.at(key, **owner), [sent])
        assert self._keys(user_id=pk) == ["object"]
        assert self._keys(user_key=f"{pk}", outside=True) == ["text"]
        assert self._keys(user_key=f"{pk}") == ["text", "object"]
        assert (self._keys(user_id=pk, key="text"), self._keys(user_id=pk, key="object")) == ([], ["object"])
        assert self._keys(user_key=f"{pk}", outside=True, key="object") == []

    def test_listing_within_bytes(self) -> None:
        """It ends before metadata and tags that would not fit, has one conversation at least, and tells of the rest."""
        for minute, key in enumerate("abcd"):
            self.sessions.open(self.at(key), {"metadata": {"x": "x" * 1_000}, "tags": ["t"]})
            self.send("1", SENT_AT + timedelta(minutes=minute), key)
        place = Cursor.of(self.sessions.find(self.workspace)[-1])
        for size, most, expected in (
            (9, 100_000, (["d", "c", "b", "a"], False)),
            (2, 100_000, (["d", "c"], False)),
            (9, 2_900, (["d", "c"], True)),
            (2, 2_900, (["d", "c"], False)),
            (9, 1, (["d"], True)),
        ):
            found, cut = self.sessions.find_within(self.workspace, size=size, most=most)
            assert ([record.key for record in found], cut) == expected
        found, cut = self.sessions.find_within(self.workspace, after=place, size=9, most=2_900)
        assert ([record.key for record in found], cut) == (["c", "b"], True)
        assert found == [self.sessions.get(self.at(key)) for key in "cb"]
        assert self.sessions.find_within(f"{self.workspace}.other", most=1) == ([], False)

    def test_listed_records_are_those_of_get(self) -> None:
        for minute, key in enumerate("ab"):
            self.sessions.open(self.at(key), FIELDS | {"created_at": SENT_AT})
            self.send("1", SENT_AT + timedelta(minutes=minute), key)
        assert self.sessions.find(self.workspace) == [self.sessions.get(self.at("b")), self.sessions.get(self.at("a"))]

    def test_listing_by_key(self) -> None:
        for key in ("a", "A", "a/b"):
            self.append("1", key=key)
        assert self._keys(key="a") == ["a"]
        assert self._keys(key="b") == []
        assert self._keys(key="a", user_key="bob") == []

    def test_listing_by_tags(self) -> None:
        """A session must have all the tags, each compared as a whole and case-sensitively."""
        tags: tuple[list[str], ...] = (["a", "b"], ["a"], ["A", 'q"%_', "ü😀"], [], ["ab"])
        for number, given in enumerate(tags):
            self.sessions.open(self.at(f"{number}"), {"tags": given})
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
        """The title contains the text, ignoring case; no character is a wildcard."""
        for title in TITLES:
            self.sessions.open(self.at(title), {"title": title})
        assert self._keys(title=text) == found

    def test_listing_by_time(self) -> None:
        """``since`` is included, ``until`` is not."""
        changed = {key: self._opened(key).active_at for key in "abc"}
        assert self._keys(since=changed["b"]) == ["c", "b"]
        assert self._keys(until=changed["b"]) == ["a"]
        assert self._keys(since=changed["a"], until=changed["c"]) == ["b", "a"]
        assert self._keys(since=changed["c"], until=changed["a"]) == []
        self.send("1", changed["c"] + timedelta(minutes=1), "a")
        assert self._keys(since=changed["c"]) == ["a", "c"]

    def test_listing_goes_on_within_a_time(self) -> None:
        records = {key: self._opened(key) for key in "abcd"}
        until = records["d"].active_at
        assert self._keys(until=until, size=2) == ["c", "b"]
        assert self._keys(until=until, before=Cursor.of(records["b"])) == ["a"]
        assert self._keys(until=records["b"].active_at, before=Cursor.of(records["d"])) == ["a"]

    def test_listing_by_state(self) -> None:
        self.sessions.open(self.at("plain"))
        self.sessions.open(self.at("old"), {"archived_at": SENT_AT})
        self.sessions.open(self.at("dear"), {"pinned": True})
        assert (self._keys(archived=True), self._keys(archived=False)) == (["old"], ["dear", "plain"])
        assert (self._keys(pinned=True), self._keys(pinned=False)) == (["dear"], ["old", "plain"])
        assert self._keys(pinned=False, archived=False) == ["plain"]

    def test_every_condition_counts(self) -> None:
        """No condition is ignored beside others, or on later pages."""
        for number in range(4):
            fields = FIELDS | {"title": f"T {number}"}
            self.sessions.open(self.at(f"{number}", user_key="bob"), fields)
            self.sessions.open(self.at(f"other {number}", user_key="eve"), fields)
        wanted: dict[str, Any] = {"user_key": "bob", "tags": ("a",), "title": "t", "archived": True, "pinned": True}
        first = self.sessions.find(self.workspace, Filter(**wanted), size=3)
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
        for number, owner in enumerate(("bob", "eve", "bob")):
            self.sessions.open(self.at(f"{number}", user_key=owner), {"archived_at": SENT_AT if number else None})
        assert self.sessions.count(self.workspace) == 3
        assert self.sessions.count(self.workspace, Filter(user_key="bob")) == 2
        assert self.sessions.count(self.workspace, Filter(user_key="bob", archived=False)) == 1
        assert self.sessions.count(f"{self.workspace}.other") == 0

    def test_usage_counts_every_message_once(self) -> None:
        for key, owner in {"a": "bob", "b": "eve", "c": "bob"}.items():
            asked = Message.system("Be brief", id="s", tokens=3, created_at=SENT_AT)
            answer = Message.assistant("Hello", id="r", tokens=20, created_at=SENT_AT, metadata={"cost": 0.25})
            self.messages.append(self.at(key, user_key=owner), [asked, user("q", tokens=100), answer])
        self.sessions.open(self.at("empty", user_key="bob"))
        assert self.sessions.usage(self.workspace, Filter(key="a")) == Usage(1, 3, 103, 20, Decimal("0.25"))
        assert self.sessions.usage(self.workspace, Filter(user_key="bob")) == Usage(3, 6, 206, 40, Decimal("0.5"))
        assert self.sessions.usage(self.workspace).messages == 9
        assert self.sessions.usage(self.workspace, Filter(key="x")) == Usage()
        assert self.sessions.usage(f"{self.workspace}.other") == Usage()

    def test_usage_adds_only_numeric_costs(self) -> None:
        """A ``cost`` that is not a number is ignored."""
        costs: tuple[Any, ...] = (1, 0.5, -0.25, "7", True, None, [7], {"cost": 7}, 2**40)
        messages = [user(f"{number}", metadata={"cost": cost}) for number, cost in enumerate(costs)]
        nested = user("nested", metadata={"deep": {"cost": 7}, "note": '"cost": 7'})
        self.messages.append(self.at(), [*messages, nested, user("none")])
        assert self.sessions.usage(self.workspace).recorded_cost == Decimal("1.25") + 2**40

    @where("branches")
    def test_usage_of_branches(self) -> None:
        """A message shared by several branches counts once; a message on one branch only counts too."""
        self.append("a", "b", "c")
        self.branches.fork(self.at(), "draft", 2, switch=True)
        self.append("d", branch="draft")
        assert self.sessions.usage(self.workspace) == Usage(1, 4, 20, 0)
        assert self.sessions.count(self.workspace) == 1

    @where("branches")
    def test_listing_shows_the_current_branch(self) -> None:
        self.sessions.open(self.at(), FIELDS)
        self.append("a", "b", "c")
        self.branches.fork(self.at(), "draft", 1, switch=True)
        (listed,) = self.sessions.find(self.workspace)
        assert (listed.branch, listed.message_count, listed.last_seq, listed.title) == ("draft", 1, 1, FIELDS["title"])
        assert listed == self.sessions.get(self.at())

    def _keys(self, before: Cursor | None = None, size: int = 50, **wanted: Any) -> list[str]:
        found = self.sessions.find(self.workspace, Filter(**wanted), before=before, size=size)
        return [record.key for record in found]

    def _opened(self, key: str) -> SessionRecord:
        record, _is_new = self.sessions.open(self.at(key))
        return record
