"""S2.30. Whatever happens to a message reaches the index in the same transaction, and erasure leaves no word there."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction

from chat_memory import Message, append_many, conversation
from chat_memory.models import Session
from chat_memory.search.models import Entry
from chat_memory.search.statements import INDEXED
from chat_memory.sessions import search
from tests.acceptance.command_line import run, write
from tests.rollback import undone
from tests.search.looking import entries, words_left
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)
MARKER = "xylomarker"


def in_which(text: str, workspace: str = "acme") -> list[str]:
    return sorted(each.key for each in search(text, workspace).results)


def test_every_way_to_store_a_message_fills_the_index(tmp_path: Path) -> None:
    """One, a few, many; to a new conversation, to one that is there, to a branch; in a transaction, several at once."""
    chat = conversation("k", "acme")
    chat.append(Message.user("first"))
    chat.append(Message.user("second"), Message.assistant("third"))
    chat.append(*(Message.user(f"batch {number}") for number in range(20)))
    conversation("new", "acme").append(*(Message.user(f"batch {number}") for number in range(20)))
    chat.fork("draft", at=2).append(Message.user("drafted"))
    with transaction.atomic():
        chat.append(Message.user("within"))
    append_many({chat: [Message.user("several")], conversation("other", "acme"): [Message.user("several")]})
    for word in ("first", "second", "third", "19", "within", "several"):
        assert "k" in in_which(word)
    assert in_which("19") == ["k", "new"]
    assert in_which("several") == ["k", "other"]
    run("export", tmp_path / "out.jsonl", "--workspace", "acme")
    run("import", tmp_path / "out.jsonl", "--workspace", "copy")
    assert in_which("19", "copy") == ["k", "new"]
    extended = {"id": "k", "messages": [{"role": "user", "content": "merged", "id": "m"}]}
    run("import", write(tmp_path / "more.jsonl", extended), "--workspace", "copy")
    assert in_which("merged", "copy") == ["k"]
    assert conversation("k", "copy", branch="draft").search("drafted")


def test_a_retry_and_a_rollback_leave_one_entry_and_none() -> None:
    chat = conversation("k", "acme")
    for _attempt in range(2):
        chat.append(Message.user("once", id="m"))
    with undone():
        chat.append(Message.user("undone"))
    assert (in_which("undone"), entries()) == ([], 1)


def test_an_edit_is_found_by_its_new_words_alone() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("former"))
    chat.fork("draft", at=1)
    chat.edit(1, "present")
    assert (in_which("former"), in_which("present")) == ([], ["k"])
    assert conversation("k", "acme", branch="draft").search("present")
    with undone():
        chat.edit(1, "undone")
    assert (in_which("undone"), in_which("present")) == ([], ["k"])


def test_a_redaction_leaves_no_word_in_the_database() -> None:
    """Of the message, its former texts and its copies on other branches; nor is the placeholder a word to find."""
    chat = conversation("k", "acme")
    chat.append(Message.user(f"{MARKER}-before", id="m"), Message.assistant("kept"))
    chat.edit("m", f"a {MARKER} here")
    draft = chat.fork("draft", at=0)
    draft.append(Message.system("x"))
    chat.merge("main", "draft")
    assert words_left(MARKER)
    chat.redact("m")
    assert words_left(MARKER) == []
    assert (in_which(f"{MARKER}*"), in_which("redacted"), in_which("kept")) == ([], [], ["k"])


@pytest.mark.parametrize("way", WAYS | WAYS_OF_A_WORKSPACE)
def test_every_way_out_leaves_no_word_in_the_database(way: str) -> None:
    chat = conversation("doomed", "acme")
    chat.append(Message.user("x", id="m"), Message.user(f"{MARKER} one"))
    chat.fork("draft", at=1).append(Message.user(f"{MARKER} two"))
    conversation("kept", "rival").append(Message.user("kept"))
    (WAYS | WAYS_OF_A_WORKSPACE)[way](Session.objects.get(key="doomed", branch="main"))
    assert words_left(MARKER) == []
    assert (in_which("kept", "rival"), entries()) == (["kept"], 1)


def test_what_is_popped_or_cleared_leaves_no_word() -> None:
    """Cleared messages are not found from that moment on, and leave the index with cleanup."""
    chat = conversation("k", "acme")
    chat.append(Message.user("kept"), Message.assistant("beside"), Message.user(f"{MARKER} popped"))
    assert chat.pop()
    assert words_left(MARKER) == []
    chat.append(Message.user(f"{MARKER} cleared"))
    chat.clear()
    assert (in_which(MARKER), chat.search(MARKER)) == ([], [])
    Session.objects.filter(key="k").update(cleared_at=datetime.now(UTC) - timedelta(days=400))
    run("cleanup", "--days", "3650")
    assert (words_left(MARKER), entries()) == ([], 0)


def test_a_branch_that_goes_takes_its_own_entries_alone() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("shared"))
    chat.fork("draft", at=1).append(Message.user(MARKER))
    assert conversation("k", "acme", branch="draft").delete()
    assert (words_left(MARKER), in_which("shared"), entries()) == ([], ["k"], 1)


@pytest.mark.sqlite
def test_the_file_of_the_database_has_no_word_of_what_is_gone(tmp_path: Path) -> None:
    """As a copy of its pages: SQLite itself overwrites pages that are free only where it is told to."""
    chat = conversation("k", "acme")
    for number in range(30):
        chat.append(Message.user(f"{MARKER}{number} filler words"))
    assert words_left(MARKER)
    chat.delete()
    copy = tmp_path / "copy.sqlite3"
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(copy)])
    assert MARKER.encode() not in copy.read_bytes()


@pytest.mark.postgresql
def test_a_dump_of_the_database_has_no_word_of_what_is_gone() -> None:
    chat = conversation("k", "acme")
    chat.append(Message.user("first"), Message.user(f"{MARKER} gone"), Message.user(f"{MARKER} redacted"))
    assert words_left(MARKER)
    chat.redact(3)
    chat.redact(2)
    chat.delete()
    assert words_left(MARKER) == []


@pytest.mark.parametrize(
    "text",
    [
        " ".join(chr(0x4E00 + number % 20_000) + chr(0x61 + number % 26) for number in range(INDEXED)),
        "-".join(chr(0x1D400 + number % 700) * 2 for number in range(INDEXED)),
        "a-" * INDEXED,
        "http://a.b/" + "c/d?e=f&" * INDEXED,
        "a@b." * INDEXED,
        "1e-" * INDEXED,
        "<a " * INDEXED,
        "x" * INDEXED * 2,
        "\u200b\x02\x03" * INDEXED,
        "'" * INDEXED,
    ],
    ids=range(10),
)
def test_no_text_is_too_much_for_the_index(text: str) -> None:
    """PostgreSQL refuses more than 1 MB of words, and an append must not fail for it; what comes later is not found."""
    sized = text.encode()[: 1024 * 1024 - 40].decode(errors="ignore")
    conversation("k", "acme").append(Message.user(f"beginning {sized} ending"))
    assert in_which("beginning") == ["k"]
    assert in_which("ending") == []


def test_entries_are_of_their_workspace_alone() -> None:
    conversation("k", "acme").append(Message.user("x"))
    conversation("k", "rival").append(Message.user("x"))
    pairs = set(Entry._default_manager.values_list("session_id", "workspace_id"))
    assert pairs == set(Session.objects.values_list("pk", "workspace_id"))
