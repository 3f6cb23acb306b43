"""The command chat_memory_import: real lines in, damaged ones named, a second time nothing."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.maintenance.importing import import_conversations
from chat_memory.models import Message as MessageRow, Session, Workspace
from tests.acceptance.command_line import GREETING, run, write

pytestmark = pytest.mark.django_db

USER = b'"messages":[{"role":"user","content":"x"}]'

OWNERS = {"nobody's": {}, "bob's": {"user_key": "bob"}}

# By what is wrong: a line, and what its report says.
DAMAGED: dict[str, tuple[bytes, str]] = {
    "cut off": (b'{"id":"k","mess', "is not JSON: invalid character (byte 15)"),
    "binary": (b"\x00\x01", "is not JSON: invalid character (byte 0)"),
    "two values": (b'{"id":"k",' + USER + b"} {}", "trailing characters"),
    "a list": (b"[1]", "not list"),
    "a number": (b"1", "not int"),
    "bad UTF-8": (b'{"id":"\xff",' + USER + b"}", "is not UTF-8"),
    "lone surrogate": (b'{"id":"k","messages":[{"role":"user","content":"\\ud800 x"}]}', "half of a character"),
    "lone surrogate at an end": (
        b'{"id":"k","messages":[{"role":"user","content":"x\\ud83d"}]}',
        "half of a character",
    ),
    "lone surrogate in a key": (b'{"id":"k","messages":[],"x\\udc00":1}', "half of a character"),
    "NUL": (
        b'{"id":"k","messages":[{"role":"user","content":"\\u0000"}]}',
        "messages[0].content: must not contain NUL",
    ),
    "NaN": (b'{"id":"k","metadata":{"n":NaN},' + USER + b"}", "is not JSON"),
    "infinity": (b'{"id":"k","metadata":{"n":1e999},' + USER + b"}", "out of range"),
    "4,001 digits": (b'{"id":"k","metadata":{"n":' + b"9" * 4_001 + b"}," + USER + b"}", "4000 digits"),
    "5,000 digits": (b'{"id":"k","metadata":{"n":' + b"9" * 5_000 + b"}," + USER + b"}", "out of range"),
    "100,000 levels": (b'{"id":"k","metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "nested too deeply"),
    "33 levels": (b'{"id":"k","metadata":' + b'{"a":' * 33 + b"1" + b"}" * 33 + b"," + USER + b"}", "32 levels"),
    "10 MB": (
        b'{"id":"k","messages":[' + USER[12:-1] + b',{"role":"user","content":"' + b"x" * 10_000_000 + b'"}]}',
        "messages[1].content: 10000000 bytes",
    ),
    "an unknown role": (b'{"id":"k","messages":[{"role":"wizard","content":"x"}]}', "messages[0].role: 'wizard'"),
    "no messages": (b'{"id":"k"}', "messages: is missing"),
    "messages of an object": (b'{"id":"k","messages":{}}', "messages: must be a list"),
    "message of a number": (b'{"id":"k","messages":[1]}', "messages[0]: a message must be an object"),
    "content of a number": (b'{"id":"k","messages":[{"role":"user","content":1}]}', "messages[0].content"),
    "the same id twice": (
        b'{"id":"k","messages":[{"id":"1","role":"user","content":"x"},{"id":"1","role":"user","content":"x"}]}',
        "the same id",
    ),
    "time out of range": (
        b'{"id":"k","messages":[{"role":"user","content":"x","created_at":"0001-01-01T00:00:00+14:00"}]}',
        "messages[0].created_at: is out of range",
    ),
    "key of a fraction": (b'{"id":5.5,' + USER + b"}", "id: must be text or a whole number"),
    "key of truth": (b'{"id":true,' + USER + b"}", "id: must be text or a whole number"),
    "empty key": (b'{"id":"",' + USER + b"}", "id: must have 1 to 255"),
    "key with a newline": (b'{"id":"a\\nb",' + USER + b"}", "id: must not contain control"),
    "key too long": (b'{"id":"' + b"k" * 256 + b'",' + USER + b"}", "not 256"),
    "a key twice": (b'{"id":"k","source":1,"metadata":{"source":2},' + USER + b"}", "'source' is a key of the line"),
    "from a later version": (b'{"key":"k","colour":[],' + USER + b"}", "does not know the key 'colour'"),
    "title of a number": (b'{"key":"k","title":5,' + USER + b"}", "title: must be text"),
    "position of text": (b'{"key":"k","base_seq":"5",' + USER + b"}", "base_seq: must be a whole number"),
    "position too large": (b'{"key":"k","base_seq":99999999999999999999,' + USER + b"}", "base_seq: must be"),
    "no time": (b'{"key":"k","created_at":"yesterday",' + USER + b"}", "created_at: must be a time"),
    "time no zone can show": (b'{"key":"k","created_at":"0001-01-01T00:00:00Z",' + USER + b"}", "created_at: must lie"),
    "user key of a list": (b'{"key":"k","user_key":[5],' + USER + b"}", "user_key: must be text or a whole number"),
}


def test_a_line_becomes_a_conversation(tmp_path) -> None:
    """Key, metadata, tool calls, and None, absent and "" as three different contents."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"n": 1}'}}]
    messages = [
        {"role": "user", "content": ""},
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c1", "name": "book", "content": "done"},
    ]
    write(tmp_path / "in", {"id": "a:b/*", "messages": messages, "metadata": {"source": "x"}, "tools": [1]})
    assert run("import", tmp_path / "in", "--workspace", "acme") == (
        "1 line read: 1 new, 4 messages added, 0 known already\nkept, but without a field of their own: tools (1)\n"
    )
    chat = conversation("a:b/*", workspace="acme")
    assert [message.to_openai() for message in chat.messages()] == messages
    session = chat.session()
    assert session
    assert session.metadata == {"source": "x", "tools": [1]}


def test_a_second_import_adds_nothing(tmp_path) -> None:
    """Neither for lines with names nor for those of a fine-tuning file, whatever the order of their keys."""
    write(tmp_path / "in", {"id": "named", "messages": GREETING}, {"messages": GREETING, "tools": []})
    write(tmp_path / "again", {"tools": [], "messages": GREETING}, {"id": "named", "messages": GREETING})
    run("import", tmp_path / "in", "--workspace", "acme")
    before = list(Session.objects.order_by("pk").values()), list(MessageRow.objects.order_by("pk").values())
    for name in ("in", "again"):
        assert "0 new, 0 messages added, 4 known" in run("import", tmp_path / name, "--workspace", "acme")
    after = list(Session.objects.order_by("pk").values()), list(MessageRow.objects.order_by("pk").values())
    assert after == before


def test_a_line_of_others_gets_the_title_of_its_first_user(tmp_path) -> None:
    """An export keeps it, so that the next import of it is the same."""
    asked = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Why  is\nthat?"}]
    run("import", write(tmp_path / "in", {"id": "k", "messages": asked}), "--workspace", "acme")
    run("export", tmp_path / "one", "--workspace", "acme")
    run("import", tmp_path / "one", "--workspace", "copy")
    run("export", tmp_path / "two", "--workspace", "copy")
    assert json.loads((tmp_path / "one").read_bytes())["title"] == "Why is that?"
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_session_that_exists_gets_what_it_lacks(tmp_path) -> None:
    """Its own title and owner stay."""
    line = {"key": "k", "title": "Imported", "user_key": "bob", "messages": [*GREETING]}
    run("import", write(tmp_path / "in", line), "--workspace", "acme")
    line |= {"title": "Other", "user_key": "eve", "messages": [*GREETING, {"role": "user", "content": "More"}]}
    assert "0 new, 1 message added, 2 known" in run("import", write(tmp_path / "in", line), "--workspace", "acme")
    session = conversation("k", workspace="acme").session()
    assert session
    assert (session.title, session.user_key, session.message_count) == ("Imported", "bob", 3)


def test_fields_of_our_own_format_are_kept(tmp_path) -> None:
    moment = "2024-02-03T04:05:06.789000+02:00"
    line = {
        "key": "k",
        "tags": ["a"],
        "created_at": moment,
        "expires_at": moment,
        "archived_at": None,
        "pinned": True,
        "base_seq": 7,
        "messages": [{"role": "user", "content": "x", "id": "m1", "created_at": moment}],
    }
    run("import", write(tmp_path / "in", line), "--workspace", "acme")
    chat = conversation("k", workspace="acme")
    session = chat.session()
    begin = datetime(2024, 2, 3, 2, 5, 6, 789000, tzinfo=UTC)
    assert session
    assert (session.created_at, session.expires_at, session.pinned, session.tags) == (begin, begin, True, ["a"])
    assert [(message.seq, message.id, message.created_at) for message in chat.messages()] == [(8, "m1", begin)]
    assert chat.append(Message.user("y")).last_seq == 9


def test_a_conversation_began_when_its_first_message_was_sent(tmp_path) -> None:
    """Where its line does not say when; without any time, it begins with the import."""
    old, older = ({"role": "user", "content": "x", "created_at": f"202{year}-02-03T04:05:06Z"} for year in (4, 3))
    before = datetime.now(UTC)
    write(
        tmp_path / "in",
        {"id": "foreign", "messages": [*GREETING, old, older]},
        {"key": "own", "messages": [old]},
        {"key": "said", "created_at": "2020-01-01T00:00:00Z", "messages": [old]},
        {"id": "timeless", "messages": GREETING},
    )
    run("import", tmp_path / "in", "--workspace", "acme")
    began = dict(Session.objects.values_list("key", "created_at"))
    assert began.pop("timeless") >= before
    assert began == {
        "foreign": datetime(2023, 2, 3, 4, 5, 6, tzinfo=UTC),
        "own": datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC),
        "said": datetime(2020, 1, 1, tzinfo=UTC),
    }


def test_conversations_that_name_nobody_may_be_given_to_somebody() -> None:
    """A file cannot name a user of this database; from Python one can be given."""
    user = get_user_model().objects.create_user("mara")
    lines = [json.dumps({"key": key, "messages": GREETING, **owner}).encode() for key, owner in OWNERS.items()]
    import_conversations(lines, "acme", user=user)
    found = dict(Session.objects.values_list("key", "user_key"))
    assert found == {"nobody's": str(user.pk), "bob's": "bob"}
    assert Session.objects.get(user=user).key == "nobody's"


def test_role_developer_is_stored_as_system_and_comes_back(tmp_path) -> None:
    """OpenAI's newer name of the role system; the rest of the message is kept as ever."""
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "developer", "content": "Be kind.", "name": "rules", "weight": 1},
        {"role": "user", "content": "Hi"},
    ]
    run("import", write(tmp_path / "in", {"id": "k", "messages": messages}), "--workspace", "acme")
    stored = conversation("k", workspace="acme").messages()
    assert [message.role for message in stored] == ["system", "system", "user"]
    assert stored[0].extra == {"role": "developer"}
    shown = json.loads(run("export", "-", "--workspace", "acme", "--format", "openai"))
    assert shown["messages"] == messages
    run("export", tmp_path / "own", "--workspace", "acme")
    run("import", tmp_path / "own", "--workspace", "copy")
    assert conversation("k", workspace="copy").messages() == stored


def test_keys_without_a_field_are_kept_and_come_back(tmp_path) -> None:
    """OpenAI's refusals have no content, and its fine-tuning messages a weight: nothing is lost on the way."""
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "x", "audio": None},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "assistant", "content": "y", "weight": 0},
    ]
    run("import", write(tmp_path / "in", {"id": "k", "messages": messages}), "--workspace", "acme")
    stored = conversation("k", workspace="acme").messages()
    assert [message.extra for message in stored] == [{"audio": None}, {"refusal": "No."}, {"weight": 0}]
    shown = json.loads(run("export", "-", "--workspace", "acme", "--format", "openai"))
    assert shown["messages"] == messages


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_line_is_reported_and_the_rest_goes_on(name: str, tmp_path) -> None:
    """One line of report with its number, nothing of it written, exit code 1 (FEATURES J16, J17, J35)."""
    line, reason = DAMAGED[name]
    write(tmp_path / "in", {"id": "before", "messages": GREETING}, b"", line, {"id": "after", "messages": GREETING})
    err = io.StringIO()
    with pytest.raises(CommandError, match="1 damaged of 3 lines") as caught:
        call_command("chat_memory_import", str(tmp_path / "in"), workspace="acme", stdout=io.StringIO(), stderr=err)
    assert caught.value.returncode == 1
    (report,) = err.getvalue().splitlines()
    assert report.startswith("line 3: ")
    assert reason in report
    assert len(report) < 400
    assert set(Session.objects.values_list("key", flat=True)) == {"before", "after"}


def test_a_report_cannot_command_the_terminal(tmp_path) -> None:
    line = b'{"id":"k","metadata":{"\\u001b[31m\\n":"\\u0000"},' + USER + b"}"
    err = io.StringIO()
    with pytest.raises(CommandError):
        call_command("chat_memory_import", str(write(tmp_path / "in", line)), workspace="acme", stderr=err)
    assert err.getvalue().splitlines() == ["line 1: metadata.\\x1b[31m\\n: must not contain NUL or lone surrogates"]


def test_a_conflict_takes_back_its_whole_line(tmp_path) -> None:
    """An id that is stored with other content, in the second call of a conversation that needs several."""
    conversation("k", workspace="acme").append(Message.user("stored", id="m3"))
    messages = [{"role": "user", "content": str(number), "id": f"m{number}"} for number in range(4)]
    with override_settings(CHAT_MEMORY={"MAX_BATCH": 2}), pytest.raises(CommandError, match="1 damaged"):
        run("import", write(tmp_path / "in", {"id": "k", "messages": messages}), "--workspace", "acme")
    assert [message.id for message in conversation("k", workspace="acme").messages()] == ["m3"]


def test_a_conversation_may_be_longer_than_one_append(tmp_path) -> None:
    """And what is wrong with it is found before the first of them."""
    messages = [{"role": "user", "content": str(number)} for number in range(7)]
    bad = [*messages[:5], {"role": "user", "content": "\x00"}]
    twice = [{"role": "user", "content": "x", "id": str(number % 4)} for number in range(5)]
    write(
        tmp_path / "in", *({"id": key, "messages": found} for key, found in (("k", messages), ("b", bad), ("t", twice)))
    )
    err = io.StringIO()
    with override_settings(CHAT_MEMORY={"MAX_BATCH": 3}), pytest.raises(CommandError, match="2 damaged"):
        call_command("chat_memory_import", str(tmp_path / "in"), workspace="acme", stderr=err)
    assert [message.content for message in conversation("k", workspace="acme").messages()] == list("0123456")
    assert [line[:30] for line in err.getvalue().splitlines()] == [
        "line 2: messages[5].content: m",
        "line 3: messages: messages[0] ",
    ]
    assert Session.objects.count() == 1


def test_what_editors_leave_in_files_does_no_harm(tmp_path) -> None:
    """A byte order mark, CRLF, blank lines, no newline at the end."""
    line = json.dumps({"id": "k", "messages": GREETING}).encode()
    (tmp_path / "in").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line.replace(b'"k"', b'"l"'))
    assert run("import", tmp_path / "in", "--workspace", "acme").startswith("2 lines read: 2 new")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (gzip.compress, "compressed with gzip: decompress it first"),
        (bz2.compress, "compressed with bzip2"),
        (lzma.compress, "compressed with xz"),
        (lambda text: text.decode().encode("utf-16"), "is in UTF-16: iconv"),
        (lambda text: b"PK\x03\x04" + text, "compressed with zip"),
        (lambda text: b"SQLite format 3\x00" + text, "a database of SQLite"),
    ],
)
def test_a_file_that_has_no_lines_is_refused_by_what_it_is(made: Any, said: str, tmp_path) -> None:
    """And not line by line, each of which would be damaged; nothing is made (FIELD, the formats of section 2)."""
    (tmp_path / "in").write_bytes(made(json.dumps({"id": "k", "messages": GREETING}).encode()))
    with pytest.raises(CommandError, match=said):
        run("import", tmp_path / "in", "--workspace", "acme")
    assert not Workspace.objects.exists()


def test_json_over_several_lines_is_told_what_makes_one_of_it() -> None:
    text = json.dumps({"id": "k", "messages": GREETING}, indent=1)
    first, *_others = import_conversations(text.encode().splitlines(keepends=True), "acme").faults
    assert first.reason.startswith("is not JSON")
    assert first.reason.endswith("jq -c . converts JSON over several lines to one line")


def test_standard_input_and_a_report_for_programs(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"id": "ü", "messages": GREETING})))
    report = json.loads(run("import", "-", "--workspace", "acme", "--report", "json"))
    counts = {"lines": 1, "sessions": 1, "messages": 2, "replayed": 0, "damaged": 0, "naive_times": 0}
    expected = {**counts, "further_keys": {}, "faults": []}
    assert report == expected
    assert conversation("ü", workspace="acme").count() == 2


@pytest.mark.parametrize(
    ("workspace", "message"),
    [("no/slug", "^--workspace must be .* not 'no/slug'"), ("unknown", "no workspace 'unknown'")],
)
def test_refusals(workspace: str, message: str, tmp_path) -> None:
    """A workspace is made unless CREATE_WORKSPACES says no; a refusal is one line."""
    path = write(tmp_path / "in", {"id": "k", "messages": GREETING})
    with override_settings(CHAT_MEMORY={"CREATE_WORKSPACES": False}), pytest.raises(CommandError, match=message):
        run("import", path, "--workspace", workspace)
    with pytest.raises(CommandError, match="missing: No such file"):
        run("import", tmp_path / "missing", "--workspace", "acme")
    assert not Workspace.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_imports_of_one_file_at_once(tmp_path) -> None:
    """Two processes, each of whose conversations are stored once."""
    lines = [{"id": f"k{number}", "messages": GREETING * 5} for number in range(30)]
    path = write(tmp_path / "in", *lines)
    script = (
        "import django, sys; from django.conf import settings; django.setup();"
        "from django.db import connection; connection.settings_dict['NAME'] = sys.argv[1];"
        "from django.core.management import call_command;"
        "call_command('chat_memory_import', sys.argv[2], workspace='acme')"
    )

    command = [sys.executable, "-c", script, str(connection.settings_dict["NAME"]), str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    made = [int(line.split(" new")[0].split()[-1]) for line in said]
    assert sum(made) == 30
    for number in range(30):
        chat = conversation(f"k{number}", workspace="acme")
        assert [message.content for message in chat.messages()] == ["Hi", "Hello!"] * 5
