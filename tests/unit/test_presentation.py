"""A stored message as the admin's pages show it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings

from chat_memory.admin.blocks import PARTS
from chat_memory.admin.presentation import SHOWN, entries_of, entry_of
from chat_memory.models import Message, Revision

pytestmark = pytest.mark.once

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def message_row(seq: int = 1, role: str = "user", **columns: Any) -> Message:
    """A message as it lies in the database; it is not stored."""
    return Message(**{"seq": seq, "role": role, "content": "", "created_at": NOON, "state": "complete", **columns})


def test_text_is_one_block() -> None:
    entry = entry_of(message_row(content="Hello", name="bob"))
    assert [(block.kind, block.text) for block in entry.blocks] == [("text", "Hello")]
    assert (entry.name, entry.calls, entry.metadata, entry.state, entry.former) == ("bob", [], None, "", [])


def test_a_result_has_the_name_of_the_tool_it_answers_for() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": '{"zone":"UTC"}'}}
    asked, answered, lost = entries_of(
        [
            message_row(1, "assistant", content=None, tool_calls=json.dumps([call])),
            message_row(2, "tool", content="12:40", tool_call_id="c1"),
            message_row(3, "tool", content="?", tool_call_id="c9"),
        ]
    )
    assert [(shown.id, shown.name) for shown in asked.calls] == [("c1", "clock")]
    assert asked.blocks == []
    assert (answered.name, answered.answers) == ("clock", 1)
    assert (lost.name, lost.answers) == ("", None)


def test_the_first_message_of_a_day_has_its_date() -> None:
    rows = [message_row(1), message_row(2), message_row(3, created_at=NOON + timedelta(days=1))]
    with override_settings(TIME_ZONE="UTC"):
        assert [entry.day and entry.day.day for entry in entries_of(rows)] == [2, None, 3]


def test_former_texts_stand_at_their_message() -> None:
    former = [Revision(seq=2, content="before", edited_at=NOON)]
    first, second = entries_of([message_row(1, content="a"), message_row(2, content="after")], former)
    assert first.former == []
    assert [(each.edited_at, each.blocks[0].text) for each in second.former] == [(NOON, "before")]


def test_a_state_is_shown_where_a_message_is_not_complete() -> None:
    assert [entry_of(message_row(state=state)).state for state in ("complete", "failed")] == ["", "failed"]


def test_more_than_a_page_holds_is_left_out_and_counted() -> None:
    cut, whole = (
        entry_of(message_row(content="x" * (SHOWN + 5))),
        entry_of(message_row(content="x" * (SHOWN + 5)), first="content"),
    )
    assert (len(cut.blocks[0].text), cut.blocks[0].cut) == (SHOWN, 5)
    assert (len(whole.blocks[0].text), whole.blocks[0].cut) == (SHOWN + 5, 0)


def test_calls_beyond_the_first_ones_are_one_note() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    entry = entry_of(message_row(role="assistant", content=None, tool_calls=json.dumps([call] * (PARTS + 2))))
    assert len(entry.calls) == PARTS
    assert entry.other_calls is not None
