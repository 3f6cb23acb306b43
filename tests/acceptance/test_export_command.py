"""The command chat_memory_export: what comes out goes in again, and comes out the same."""

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.django import TestCase

from chat_memory import Message, conversation, feedback
from chat_memory.maintenance.formats import own
from chat_memory.maintenance.formats.lines import read_line
from chat_memory.maintenance.transfer import exporting
from chat_memory.models import Session
from chat_memory.records import Votes
from tests import strategies
from tests.acceptance.command_line import GREETING, run, write

pytestmark = pytest.mark.django_db

CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":  1}'}}]


def fill_workspace() -> None:
    """A workspace with everything a conversation can have."""
    chat = conversation("b/2", workspace="acme", user="bob")
    chat.open(title="Ü", tags=["z", "a"], metadata={"b": 1, "a": {"d": 1.5, "c": None}}, pinned=True)
    chat.append(Message.user("gone"), Message.user("gone too"))
    chat.clear()
    chat.append(
        Message.system("", name=""),
        Message.user([{"type": "text", "text": "\x85\u2028\u2029 \U0001f600"}], metadata={"z": 1, "a": 10**30}),
        Message.assistant(None, tool_calls=CALLS),
        Message.from_dict({"role": "assistant", "tool_calls": CALLS}),
        Message.tool("=1+1", tool_call_id="c1"),
    )
    conversation("a", workspace="acme").open(expires_at=datetime(2030, 1, 2, tzinfo=UTC))
    cleared = conversation("c", workspace="acme")
    cleared.append(Message.user("x"))
    cleared.clear()
    conversation("other", workspace="globex").append(Message.user("not mine"))


def rate_conversation() -> None:
    """Feedback on what a conversation shows, on two branches of it."""
    chat = conversation("d", workspace="acme")
    chat.append(Message.user("q"), Message.assistant("a"), Message.user("more"))
    for seq, who in ((2, "anna"), (2, "ben"), (3, "anna")):
        chat.feedback.give(seq, -1, "\u2028 why", by=who)
    draft = chat.fork("draft", at=2)
    draft.append(Message.assistant("another", metadata={"model": "m"}))
    draft.feedback.give(3, 1, by="anna")


def test_export_import_export_is_byte_identical(tmp_path: Path) -> None:
    """Ids, times, positions and the order of keys included (FEATURES J18)."""
    fill_workspace()
    rate_conversation()
    run("export", tmp_path / "one", "--workspace", "acme")
    run("import", tmp_path / "one", "--workspace", "copy")
    run("export", tmp_path / "two", "--workspace", "copy")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    first, second = (conversation("b/2", workspace=slug).messages() for slug in ("acme", "copy"))
    assert first == second
    assert feedback.totals("acme") == feedback.totals("copy") == Votes(up=1, down=3, comments=3)
    assert feedback.by_model("acme") == feedback.by_model("copy")
    run("import", tmp_path / "one", "--workspace", "copy")
    assert feedback.totals("copy") == Votes(up=1, down=3, comments=3)
    assert conversation("c", workspace="copy").append(Message.user("y")).last_seq == 2


def test_titles_go_out_and_in_as_they_are(tmp_path: Path) -> None:
    """Set, given by the first user, or emptied: an import makes none up for a conversation of ours."""
    for key, title in {"set": "Mine", "given": None, "emptied": ""}.items():
        conversation(key, workspace="acme").append(Message.user(f"{key} by the first user"))
        if title is not None:
            conversation(key, workspace="acme").update(title=title)
    run("export", tmp_path / "one", "--workspace", "acme")
    run("import", tmp_path / "one", "--workspace", "copy")
    run("export", tmp_path / "two", "--workspace", "copy")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    shown = dict(Session.objects.filter(workspace__slug="copy").values_list("key", "title"))
    assert shown == {"set": "Mine", "given": "given by the first user", "emptied": ""}


def test_a_line_has_a_fixed_order_and_no_keys_of_ours() -> None:
    """Every key that is empty is left out; token counts and primary keys never leave."""
    fill_workspace()
    lines = run("export", "-", "--workspace", "acme").splitlines()
    first, second, third = (json.loads(line) for line in lines)
    assert [line["key"] for line in (first, second, third)] == ["a", "b/2", "c"]
    assert list(first) == ["key", "created_at", "expires_at", "messages"]
    assert list(second) == [
        *("key", "title", "tags", "metadata", "user_key", "created_at", "pinned", "base_seq", "messages"),
    ]
    assert third["base_seq"] == 1
    assert list(second["metadata"]) == ["a", "b"]
    assert [list(message) for message in second["messages"]] == [
        ["id", "seq", "turn", "created_at", "role", "content", "name"],
        ["id", "seq", "turn", "created_at", "role", "content", "metadata"],
        ["id", "seq", "turn", "created_at", "role", "content", "tool_calls"],
        ["id", "seq", "turn", "created_at", "role", "tool_calls"],
        ["id", "seq", "turn", "created_at", "role", "content", "tool_call_id"],
    ]
    assert [message["seq"] for message in second["messages"]] == [3, 4, 5, 6, 7]
    session = Session.objects.get(key="b/2")
    assert str(session.pk) not in lines[1]


def test_selections() -> None:
    fill_workspace()
    assert len(run("export", "-", "--workspace", "acme", "--session", "b/2").splitlines()) == 1
    assert json.loads(run("export", "-", "--workspace", "acme", "--user-key", "bob"))["key"] == "b/2"
    assert run("export", "-", "--workspace", "acme", "--user-key", "eve") == ""


def test_more_conversations_than_a_page(monkeypatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 3)
    for number in range(7):
        conversation(f"k{number}", workspace="acme").append(Message.user("x"))
    keys = [json.loads(line)["key"] for line in run("export", "-", "--workspace", "acme").splitlines()]
    assert keys == [f"k{number}" for number in range(7)]


def test_openai_lines_hold_what_openai_takes() -> None:
    fill_workspace()
    lines = [json.loads(line) for line in run("export", "-", "--workspace", "acme", "--format", "openai").splitlines()]
    assert lines[0] == {"id": "a", "messages": []}
    assert lines[1]["messages"][2:] == [
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "assistant", "tool_calls": CALLS},
        {"role": "tool", "content": "=1+1", "tool_call_id": "c1"},
    ]


def test_what_no_field_has_is_exported_beside_the_fields() -> None:
    chat = conversation("k", workspace="acme")
    chat.append(Message.user("x", name="Ada Lovelace", extra={"weight": 1}))
    chat.append(Message.system("y", extra={"role": "developer"}))
    line = json.loads(run("export", "-", "--workspace", "acme", "--format", "openai"))
    assert line["messages"] == [
        {"role": "user", "content": "x", "name": "Ada Lovelace", "weight": 1},
        {"role": "developer", "content": "y"},
    ]


def test_csv_is_a_row_a_message_and_no_formula() -> None:
    fill_workspace()
    rows = list(csv.DictReader(io.StringIO(run("export", "-", "--workspace", "acme", "--format", "csv"), newline="")))
    assert (rows[0]["key"], rows[0]["seq"], rows[0]["role"]) == ("b/2", "3", "system")
    assert rows[-1]["content"] == "'=1+1"
    assert json.loads(rows[2]["tool_calls"]) == CALLS
    assert rows[2]["content"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"])
def test_no_cell_begins_like_a_formula(start: str) -> None:
    if start not in "\t\r\n":
        conversation(f"{start}key", workspace="acme").open(title=f"{start}title")
    conversation(f"{start.strip()}key", workspace="acme").append(Message.user(f"{start}1"))
    (row,) = csv.DictReader(io.StringIO(run("export", "-", "--workspace", "acme", "--format", "csv"), newline=""))
    assert row["content"] == f"'{start}1"
    assert not row["key"].startswith(start)
    assert not row["title"].startswith(start)


def test_a_file_is_complete_or_not_there(tmp_path: Path, monkeypatch) -> None:
    """An export that fails leaves what was there, and nothing beside it; its file is its owner's alone."""
    fill_workspace()
    path = tmp_path / "out"
    assert run("export", path, "--workspace", "acme") == "3 conversations with 5 messages exported\n"
    assert path.stat().st_mode & 0o077 == 0
    before = path.read_bytes()

    def fail(transcript: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(exporting.WRITERS, "chat_memory", fail)
    with pytest.raises(CommandError, match="out: exists already"):
        run("export", path, "--workspace", "acme")
    with pytest.raises(CommandError, match=r"^No space left on device$"):
        run("export", path, "--workspace", "acme", "--force")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.undo()
    conversation("d", workspace="acme").append(Message.user("x"))
    run("export", path, "--workspace", "acme", "--force")
    assert path.read_bytes() != before


def test_refusals(tmp_path: Path) -> None:
    """One line each, and no file."""
    fill_workspace()
    path = tmp_path / "out"
    with pytest.raises(CommandError, match="there is no workspace 'unknown'"):
        run("export", path, "--workspace", "unknown")
    with pytest.raises(CommandError, match="there is no conversation 'unknown' in workspace 'acme'"):
        run("export", path, "--workspace", "acme", "--session", "unknown")
    with pytest.raises(CommandError, match="is not a regular file"):
        run("export", tmp_path, "--workspace", "acme", "--force")
    with pytest.raises(CommandError) as caught:
        run("export", tmp_path / "no" / "folder", "--workspace", "acme")
    assert str(caught.value) == f"{tmp_path / 'no' / 'folder'}: No such file or directory"
    with pytest.raises(CommandError, match=r"^--workspace must be .* not 'no/slug'"):
        run("export", path, "--workspace", "no/slug")
    assert list(tmp_path.iterdir()) == []


def test_the_report_of_an_export_to_stdout_is_not_among_the_lines() -> None:
    fill_workspace()
    out, err = io.StringIO(), io.StringIO()
    call_command("chat_memory_export", "-", workspace="acme", report="json", stdout=out, stderr=err)
    assert json.loads(err.getvalue()) == {"sessions": 3, "messages": 5}
    assert [json.loads(line)["key"] for line in out.getvalue().splitlines()] == ["a", "b/2", "c"]


@pytest.mark.django_db(transaction=True)
def test_a_reader_that_stops_early_is_no_traceback(tmp_path: Path) -> None:
    """As with `| head`: quiet, and the exit status says so."""
    messages = [{"role": "user", "content": "x" * 1000}] * 100
    lines = [{"id": f"k{number}", "messages": messages} for number in range(10)]
    run("import", write(tmp_path / "in", *lines, {"id": "z", "messages": GREETING}), "--workspace", "acme")
    script = (
        "import django, sys; django.setup();"
        "from django.db import connection; connection.settings_dict['NAME'] = sys.argv[1];"
        "from django.core.management import execute_from_command_line as run;"
        "run(['manage.py', 'chat_memory_export', '-', '--workspace', 'acme'])"
    )
    command = [sys.executable, "-c", script, str(connection.settings_dict["NAME"])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(10) == b'{"key":"k0'
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


class AnyConversation(TestCase):
    """Whatever a conversation holds survives the way through a file."""

    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(strategies.messages, max_size=4, unique_by=lambda message: message.id or object()),
        strategies.keys,
        strategies.objects,
    )
    def test_round_trip(self, messages: list[Message], key: str, metadata: dict) -> None:
        chat = conversation(key, workspace="acme")
        chat.open(metadata=metadata)
        chat.append(*messages)
        line = run("export", "-", "--workspace", "acme", f"--session={key}").encode()
        transcript = read_line(line)
        assert transcript.key == key
        assert [message.to_openai() for message in transcript.messages] == [message.to_openai() for message in messages]
        assert [message.metadata for message in transcript.messages] == [message.metadata for message in messages]
        assert len(line.decode().splitlines()) == 1
        assert own.write(transcript) == line
