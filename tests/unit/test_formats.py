"""The formats of an export: a line is a conversation again, damage is named, and a spreadsheet's cell is text."""

import csv
import io
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from chat_memory import Message, ValidationError
from chat_memory.maintenance.formats import json_lines, messages as line_messages, openai, own, spreadsheet
from chat_memory.maintenance.formats.lines import AUTO, CHAT_MEMORY, OPENAI, read_line
from chat_memory.records import Transcript, TranscriptBranch, TranscriptFeedback, TranscriptSummary
from tests.strategies import json_values, messages

pytestmark = pytest.mark.once

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def positioned(drawn: list[Message], after: int = 0) -> list[Message]:
    """Messages as they are stored, as far as an export shows it: with ids, positions and times, without tokens."""
    return [
        msgspec.structs.replace(message, id=f"m{seq}", seq=seq, created_at=message.created_at or AT, tokens=None)
        for seq, message in enumerate(drawn, after + 1)
    ]


@given(json_values)
def test_a_line_is_its_object_again(value: Any) -> None:
    line = json_lines.write({"value": value})
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1
    assert json_lines.parse(line) == {"value": value}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", "is not JSON"),
        (b"[]", "not list"),
        (b'{"key": ', "is not JSON"),
        (b'{"key": "\xff"}', "is not UTF-8"),
        (b'{"key": "a", "key": "b"}', "the same name twice: 'key'"),
        (b'{"a": ' * 100_000, "nested too deeply"),
    ],
)
def test_damage_is_named(line: bytes, text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        json_lines.parse(line)


@given(st.lists(messages, max_size=4), st.lists(messages, max_size=2))
def test_our_own_line_holds_the_whole_conversation(drawn: list[Message], drawn_on_branch: list[Message]) -> None:
    of_main = positioned(drawn, after=2)
    transcript = Transcript(
        "k",
        of_main,
        user_key="bob",
        created_at=AT,
        base_seq=2,
        fields={"title": "T", "tags": ["a"], "metadata": {"b": 1, "a": [2]}, "pinned": True, "archived_at": AT},
        branches=[TranscriptBranch("draft", "main", 2, 2, positioned(drawn_on_branch, after=2), True, AT)],
        summaries=[TranscriptSummary("main", 1, 2, "Short.", "tiny", AT)],
        feedback=[TranscriptFeedback("main", str(each.id), -1, "anna", "\x85 why", AT, AT) for each in of_main],
    )
    line = own.write(transcript)
    assert own.read(json_lines.parse(line)) == transcript
    assert own.write(own.read(json_lines.parse(line))) == line


def test_what_is_empty_is_left_out_of_our_own_line() -> None:
    assert json.loads(own.write(Transcript("k", []))) == {"key": "k", "messages": []}


MESSAGE = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"messages": []}, "key"),
        ({"key": "k"}, "messages"),
        ({"key": "k", "messages": {}}, "messages"),
        ({"key": "k", "messages": [MESSAGE, {"role": 1, "content": "x"}]}, "messages[1].role"),
        ({"key": "k", "messages": [], "base_seq": -1}, "base_seq"),
        ({"key": "k", "messages": [], "created_at": "soon"}, "created_at"),
        ({"key": "k", "messages": [], "created_at": "0001-01-01T00:00:00+01:00"}, "created_at"),
        ({"key": "k", "messages": [], "branches": [{"name": "main", "messages": []}]}, "branches[0].name"),
        (
            {"key": "k", "messages": [], "branches": [{"name": "b", "parent": "c", "messages": []}]},
            "branches[0].parent",
        ),
        ({"key": "k", "messages": [], "branches": [{"name": "b", "messages": [7]}]}, "branches[0].messages[0]"),
        (
            {"key": "k", "messages": [], "summaries": [{"text": " ", "first_seq": 1, "last_seq": 1}]},
            "summaries[0].text",
        ),
        ({"key": "k", "messages": [], "summaries": [{"text": "x", "last_seq": 1}]}, "summaries[0].first_seq"),
    ],
)
def test_a_wrong_line_is_refused_by_its_path(record: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        own.read(record)
    assert caught.value.field == field


def test_only_one_branch_is_current() -> None:
    branches = [{"name": name, "messages": [], "current": True} for name in "ab"]
    with pytest.raises(ValidationError, match="only one can be current, not 'a' and 'b'"):
        own.read({"key": "k", "messages": [], "branches": branches})


@pytest.mark.parametrize(
    ("line", "form", "key"),
    [
        (b'{"key": "k", "messages": []}', AUTO, "k"),
        (b'{"id": "k", "messages": []}', AUTO, "k"),
        (b'{"id": "k", "key": "v", "messages": []}', AUTO, "k"),
        (b'{"key": "k", "messages": []}', CHAT_MEMORY, "k"),
        (b'{"id": "k", "messages": []}', OPENAI, "k"),
    ],
)
def test_a_line_says_its_form(line: bytes, form: str, key: str) -> None:
    assert read_line(line, form).key == key


def test_a_message_without_an_id_gets_one_of_the_session_and_its_place() -> None:
    session = uuid.uuid5(line_messages.NAMESPACE, "k")
    expected = [str(uuid.uuid5(session, "0")), "own"]
    for read, name in ((own.read, "key"), (openai.read, "id")):
        found = read({name: "k", "messages": [MESSAGE, {**MESSAGE, "id": "own"}]}).messages
        assert [message.id for message in found] == expected


def test_a_line_of_openai_without_an_id_is_named_by_its_content() -> None:
    one, same, other = (
        openai.read(record).key
        for record in (
            {"messages": [{"role": "user", "content": "x"}]},
            {"messages": [{"content": "x", "role": "user"}]},
            {"messages": [{"role": "user", "content": "y"}]},
        )
    )
    assert one == same != other


def test_keys_of_openai_come_back_where_they_were() -> None:
    line = {
        "id": "k",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": None, "refusal": "No.", "weight": 0},
        ],
        "metadata": {"a": "1"},
    }
    transcript = openai.read(line)
    assert [message.role for message in transcript.messages] == ["system", "assistant"]
    assert json.loads(openai.write(transcript)) == line


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\uff1dx", "\tx", "a;=1", 'a\n"=1"'])
def test_a_cell_that_would_be_a_formula_is_text(text: str) -> None:
    cell = cells([Message.user(text, id="a", seq=1)])[0]["content"]
    assert cell.replace("'", "") == text
    assert "'" in cell


def test_a_row_has_every_column() -> None:
    (row,) = cells([Message.user("x", id="a", seq=7, created_at=AT, metadata={"b": [1]})])
    assert tuple(row) == spreadsheet.COLUMNS
    assert (row["key"], row["title"], row["seq"], row["created_at"]) == ("k", "T", "7", "2026-01-02T03:04:05+00:00")
    assert (row["content"], row["metadata"], row["name"]) == ("x", '{"b":[1]}', "")


def cells(rows: list[Message]) -> list[dict[str, str]]:
    """The rows of a conversation's messages as a program for spreadsheets reads them."""
    text = (spreadsheet.header() + spreadsheet.write_rows(Transcript("k", rows, fields={"title": "T"}))).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))
