"""An import stores many conversations a transaction, and yet a damaged line costs only itself and is named rightly."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Message, conversation
from chat_memory.maintenance.importing import Fault, Report, import_conversations
from chat_memory.maintenance.retention import clean_up
from chat_memory.maintenance.transfer import importing
from chat_memory.models import Session
from chat_memory.sessions import find_sessions
from chat_memory.storage.orm import restoring
from tests.acceptance.command_line import GREETING

pytestmark = pytest.mark.django_db

YEARS_AGO = datetime(2021, 3, 4, tzinfo=UTC)


def line(key: str, *texts: str, began: datetime | None = None, **fields: Any) -> bytes:
    """A line of ours, its messages a minute apart."""
    messages = [
        {"role": "user", "content": text, "id": f"{key}-{minute}"}
        | ({"created_at": (began + timedelta(minutes=minute)).isoformat()} if began else {})
        for minute, text in enumerate(texts)
    ]
    return json.dumps({"key": key, "messages": messages, **fields}).encode()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_each_line_is_known_by_its_number_whatever_the_group(size: int, monkeypatch) -> None:
    """Damaged as JSON, damaged as a message, in conflict with what is stored, and blank ones between them."""
    monkeypatch.setattr(importing, "GROUP_LINES", size)
    conversation("old", "acme").append(Message.user("stored", id="old-0"))
    lines = [line("a", "x"), b"{", b"", line("old", "other"), line("b", "x"), line("c", "\x00"), line("a", "x", "y")]
    faults: list[Fault] = []
    sizes: list[int] = []
    report = import_conversations(lines, "acme", on_fault=faults.append, on_line=sizes.append)
    assert [fault.line for fault in faults] == [2, 4, 6]
    assert report.faults == tuple(faults)
    assert (report.lines, report.sessions, report.messages, report.replayed, report.damaged) == (6, 2, 3, 1, 3)
    assert sizes == [len(each) for each in lines]
    assert {record.key: record.message_count for record in find_sessions("acme").sessions} == {"a": 2, "b": 1, "old": 1}


def test_no_more_than_a_group_is_held(monkeypatch) -> None:
    """Whichever of the bounds is reached first."""
    done: list[int] = []

    def lines(count: int, text: str) -> Iterator[bytes]:
        for number in range(count):
            assert number - len(done) <= 4
            yield line(f"{text[:3]}{number}", *[text] * 2)

    monkeypatch.setattr(importing, "GROUP_LINES", 4)
    import_conversations(lines(30, "of lines"), "acme", on_line=done.append)
    monkeypatch.setattr(importing, "GROUP_LINES", 100)
    for bound, most in (("GROUP_MESSAGES", 8), ("GROUP_BYTES", 4_000)):
        done.clear()
        with monkeypatch.context() as patch:
            patch.setattr(importing, bound, most)
            import_conversations(lines(30, bound + "x" * 400), "acme", on_line=done.append)
        assert len(done) == 30


def test_statements_do_not_grow_with_the_conversations_of_a_group() -> None:
    def asked(prefix: str, count: int) -> int:
        lines = [line(f"{prefix}{number}", "a", "b") for number in range(count)]
        with CaptureQueriesContext(connection) as statements:
            assert import_conversations(lines, "acme").sessions == count
        return len(statements)

    asked("warm", 1)
    few = asked("few", 2)
    # Over SQLite, Django 5.2 sends no more than 999 values a statement: 29 rows of sessions.
    assert asked("many", 25) == few
    assert few <= 10  # two of them bound how long the others wait for locks


def test_a_key_that_another_process_makes_meanwhile_costs_nobody_anything(monkeypatch) -> None:
    """The group finds the key free and then taken: all of it goes one by one."""
    conversation("b", "acme").append(Message.user("first", id="b-0"))
    monkeypatch.setattr(restoring, "_stored", lambda _alias, _places: set())
    report = import_conversations([line("a", "x"), line("b", "first", "second"), line("c", "x")], "acme")
    assert report == Report(lines=3, sessions=2, messages=3, replayed=1)
    assert [message.id for message in conversation("b", "acme").messages()] == ["b-0", "b-1"]


@pytest.mark.parametrize("is_alone", [True, False])
def test_an_imported_conversation_keeps_its_times_in_every_list(is_alone: bool, monkeypatch) -> None:
    if is_alone:  # the way of those that are not new
        monkeypatch.setattr(restoring, "_make", lambda *_args, **_options: {})
    lines = [line(f"k{year}", "a", "b", began=YEARS_AGO.replace(year=year)) for year in (2023, 2021, 2022)]
    import_conversations([*lines, line("empty", created_at=YEARS_AGO.replace(year=2020).isoformat())], "acme")
    records = find_sessions("acme").sessions
    assert [record.key for record in records] == ["k2023", "k2022", "k2021", "empty"]
    for record in records[:3]:
        began = YEARS_AGO.replace(year=int(record.key[1:]))
        assert (record.created_at, record.active_at) == (began, began + timedelta(minutes=1))
    assert records[3].active_at == records[3].created_at == YEARS_AGO.replace(year=2020)
    assert [record.key for record in find_sessions("acme", since=YEARS_AGO.replace(year=2022)).sessions] == [
        "k2023",
        "k2022",
    ]


def test_retention_counts_from_the_newest_message_of_an_import() -> None:
    lines = [line("old", "a", began=YEARS_AGO), line("new", "a", began=datetime.now(UTC) - timedelta(hours=1))]
    import_conversations(lines, "acme")
    assert clean_up(30).sessions == 1
    assert [record.key for record in find_sessions("acme").sessions] == ["new"]


def test_a_title_that_we_would_make_counts_as_made() -> None:
    """An export does not say who made a title: one that is how the first user began is gone with those words."""
    lines = [
        json.dumps({"id": "foreign", "messages": GREETING}).encode(),
        line("ours", "How are you?", title="How are you?"),
        line("theirs", "How are you?", title="Small talk"),
        line("none", "How are you?"),
    ]
    import_conversations(lines, "acme")
    titles = {row.key: (row.title, row.title_made) for row in Session.objects.all()}
    assert titles == {
        "foreign": ("Hi", True),
        "ours": ("How are you?", True),
        "theirs": ("Small talk", False),
        "none": ("", False),
    }
