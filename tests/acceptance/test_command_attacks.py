"""What hostile or careless operators and files do to the commands: one line that says what is wrong, no leftovers."""

import csv
import io
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection

from chat_memory import Message, conversation
from chat_memory.maintenance.importing import import_conversations
from chat_memory.maintenance.retention import clean_up
from chat_memory.models import Session
from tests.acceptance.command_line import run, write

pytestmark = pytest.mark.django_db

NOT_UTF8 = "\udcff"
"""What Python makes of the byte 0xff among the arguments of a program."""
AN_HOUR = 3600.0


@pytest.mark.parametrize("option", ["--session", "--user-key"])
@pytest.mark.parametrize("value", [NOT_UTF8, "a\x1bb", "", "x" * 256])
def test_what_is_no_key_is_refused(option: str, value: str, tmp_path: Path) -> None:
    conversation("k", "acme").append(Message.user("x"))
    with pytest.raises(CommandError) as refused:
        run("export", tmp_path / "out", "--workspace", "acme", f"{option}={value}")
    assert str(refused.value).startswith(f"{option} must")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["check", "stats"])
def test_a_database_that_was_not_migrated_is_said_to_be_so(command: str) -> None:
    """In one line; the rollback of the test gives the table its name back."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE chat_memory_session RENAME TO something_else")
    with pytest.raises(CommandError, match=r"^[^\n]*chat_memory_session[^\n]*run migrate\)$"):
        run(command)


@pytest.mark.parametrize("command", ["export", "import", "cleanup", "stats"])
def test_refusals_can_be_written_to_any_stream(command: str, tmp_path: Path) -> None:
    """Also where they name a workspace or a file whose name is not UTF-8."""
    arguments: dict[str, list[Any]] = {
        "export": [tmp_path / "out"],
        "import": [write(tmp_path / "in")],
        "cleanup": ["--days", "1"],
    }
    with pytest.raises(CommandError) as refused:
        run(command, *arguments.get(command, []), "--workspace", NOT_UTF8)
    assert str(refused.value).encode()
    if command in ("export", "import"):
        with pytest.raises(CommandError, match=r"\\udcff: No such file") as refused:
            run(command, tmp_path / "none" / NOT_UTF8, "--workspace", "acme")
        assert str(refused.value).encode()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "said", ["a;=1+1", "a;=1+1;b", "a\t=1+1\tb", "a\n=1+1", "a\r\n-1", 'a;"=1+1', 'a";""=1', "\n;@x"]
)
def test_no_cell_begins_like_a_formula_whatever_separates_the_cells(said: str, separator: str) -> None:
    """A spreadsheet separates by what its region says, and quotes count only at the beginning of a cell."""
    conversation("k", "acme").append(Message.user(said))
    sheet = run("export", "-", "--workspace", "acme", "--format", "csv")
    rows = list(csv.reader(io.StringIO(sheet, newline=""), delimiter=separator))
    assert [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t"))] == []
    if separator == ",":
        assert (len(rows), rows[1][-5].replace("'", "")) == (2, said)


def test_every_cell_is_quoted() -> None:
    conversation("k", "acme").append(Message.user("a;b"))
    header, row = run("export", "-", "--workspace", "acme", "--format", "csv").splitlines()
    assert header.startswith('"key","user_key",')
    assert row.startswith('"k","","a;b","1",')
    assert '"a;b"' in row


KILLED = """
import sys
from pathlib import Path
from chat_memory.maintenance.transfer.files import new_file

with new_file(Path(sys.argv[1])) as file:
    file.write(b"what somebody said")
    file.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


def begun(path: Path) -> "subprocess.Popen[str]":
    """Another process in the middle of an export to this file."""
    script = "import django; django.setup()\n" + KILLED
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "written\n"
    return process


def grown_old(folder: Path) -> list[Path]:
    """The files of a folder, which nobody has touched for an hour."""
    found = sorted(folder.iterdir())
    for path in found:
        os.utime(path, (time.time() - AN_HOUR,) * 2)
    return found


def test_leftovers_of_a_killed_export_go_with_the_next_one(tmp_path: Path) -> None:
    """They hold conversations; those of other targets and files of other people stay."""
    conversation("k", "acme").append(Message.user("x"))
    path = tmp_path / "out"
    with begun(path) as process:
        process.send_signal(signal.SIGKILL)
    (leftover,) = tmp_path.iterdir()
    others = [tmp_path / name for name in (".out.jsonl.abcdefgh.part", ".out.notes.part", ".output.abcdefgh.part")]
    for other in others:
        other.write_bytes(b"")
    grown_old(tmp_path)
    run("export", path, "--workspace", "acme")
    assert not leftover.exists()
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_export_that_is_still_running_keeps_its_file(tmp_path: Path) -> None:
    """However long it waits, and even where another one to the same file overtakes it."""
    conversation("k", "acme").append(Message.user("x"))
    path = tmp_path / "out"
    with begun(path) as process:
        (running,) = grown_old(tmp_path)
        run("export", path, "--workspace", "acme")
        assert sorted(tmp_path.iterdir()) == sorted([running, path])
        assert process.stdin
        process.stdin.close()
    assert process.returncode == 1  # the file exists by now, and nobody said --force
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_was_made_a_moment_ago_is_left_alone(tmp_path: Path) -> None:
    """Its maker may not hold it yet, or is about to give it its name."""
    conversation("k", "acme").append(Message.user("x"))
    fresh = tmp_path / ".out.abcdefgh.part"
    fresh.write_bytes(b"")
    run("export", tmp_path / "out", "--workspace", "acme")
    assert fresh.exists()


SAID = b'"messages":[{"role":"user","content":"x"}]'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id":"k","metadata":[],' + SAID + b"}", "metadata: must be an object, not list"),
        (b'{"id":"k","metadata":0,' + SAID + b"}", "metadata: must be an object, not int"),
        (b'{"id":"k","metadata":"",' + SAID + b"}", "metadata: must be an object, not str"),
        (b'{"id":"k","metadata":false,"tools":[],' + SAID + b"}", "metadata: must be an object, not bool"),
        (b'{"id":"k","messages":[{"role":"user","content":"x","weight":1,"metadata":[]}]}', "messages[0].metadata"),
        (b'{"id":"k","messages":[{"role":"user","content":"x","weight":1,"metadata":0}]}', "messages[0].metadata"),
        (b'{"key":"k","messages":[{"role":"user","content":"x","metadata":""}]}', "messages[0].metadata"),
        (b'{"key":"k","key":"k2",' + SAID + b"}", "the same name twice"),
        (b'{"id":"k","messages":[{"role":"user","role":"system","content":"x"}]}', "the same name twice"),
        (b'{"id":"k","metadata":{"a":1,"\\u0061":2},' + SAID + b"}", "the same name twice"),
        (b'{"key":"k","created_at":"0001-01-01T00:00:00Z",' + SAID + b"}", "created_at: must lie between"),
        (b'{"key":"k","created_at":"9999-12-31T23:59:59Z",' + SAID + b"}", "created_at: must lie between"),
    ],
)
def test_line_that_would_lose_something_is_damaged(line: bytes, reason: str) -> None:
    """Nothing of it is stored, and the next line is."""
    next_line = b'{"id":"z",' + SAID + b"}"
    report = import_conversations([line, next_line], "acme")
    assert [session.key for session in Session.objects.all()] == ["z"]
    assert [reason in fault.reason for fault in report.faults] == [True]


def test_ids_of_cleared_messages_are_known_until_cleanup_removes_them() -> None:
    """As docs/how-to/retention.md says: a retry after that is a new message."""
    chat, said = conversation("k", "acme"), Message.user("x", id="1")
    chat.append(said)
    chat.clear()
    assert chat.append(said).replayed
    assert chat.count() == 0
    Session.objects.filter(key="k").update(cleared_at=datetime.now(UTC) - timedelta(days=31))
    assert clean_up(30).cleared == 1
    receipt = chat.append(said)
    assert (receipt.replayed, receipt.first_seq, chat.count()) == (False, 2, 1)


def test_null_stands_for_no_metadata(tmp_path: Path) -> None:
    said = {"role": "user", "content": "x", "metadata": None, "weight": 1}
    run("import", write(tmp_path / "in", {"id": "k", "metadata": None, "messages": [said]}), "--workspace", "acme")
    assert conversation("k", "acme").tail(1)[0].extra == {"weight": 1}
