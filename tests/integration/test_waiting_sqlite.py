"""Waiting for SQLite: whoever waits in vain is told that the file is locked, since no conversation is."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from chat_memory import Message, append_many, conversation, log_limit
from chat_memory.exceptions import Busy
from chat_memory.storage.orm import transactions
from tests.acceptance.api_support import caller, stored

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]

WRITES: dict[str, Callable[[], Any]] = {
    "append": lambda: conversation("k").append(Message.user("new")),
    "append_many": lambda: append_many({conversation(key): [Message.user("new")] for key in "kl"}),
}


@pytest.mark.parametrize("own", [True, False], ids=["in a transaction of ours", "in the caller's"])
@pytest.mark.parametrize("name", WRITES)
def test_c9_busy_names_the_file_that_is_locked(name: str, own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """C9: nothing of the write stays, and the same call succeeds later."""
    conversation("k").append(Message.user("old"))
    monkeypatch.setattr(transactions, "RETRY_SECONDS", 0.05)
    if not own:  # otherwise the caller's own BEGIN waits, and Django's error is the caller's
        monkeypatch.setattr(connection, "transaction_mode", None)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy) as caught, nullcontext() if own else transaction.atomic():
            WRITES[name]()
    assert caught.value.what == "the database"
    assert conversation("k").count() == 1
    WRITES[name]()
    assert conversation("k").count() == 2
    connection.close()  # the next one waits as long as usual


@pytest.mark.urls("tests.acceptance.api_urls")
def test_c10_a_busy_moment_is_no_error_of_the_application(monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    """One warning a minute, from the API and from the admin each; Django logs none of them."""
    monkeypatch.setattr(transactions, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(log_limit, "_busy", log_limit.LogLimit())
    me, session = caller("admin"), stored(messages=1)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            answer = me.post(me.messages(session), {"role": "user", "content": "x"})
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    said = [(record.name, record.levelname) for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [("chat_memory.api", "WARNING")]
    connection.close()


@pytest.fixture
def file_without_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The database is a file of its own: the journal of one that any other connection has open cannot be changed."""
    path = str(tmp_path / "without_wal.sqlite3")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [path])
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "NAME", path)
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "init_command", "PRAGMA busy_timeout=10;")
    yield path
    connection.close()


def test_e4_a_reader_that_keeps_the_file_open_is_waited_for(
    file_without_wal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup reads, as long as it takes: the write is given up, stores nothing, and is stored once when repeated."""
    said = Message.user("new", id="once")
    conversation("k").append(Message.user("old"))
    monkeypatch.setattr(transactions, "RETRY_SECONDS", 0.05)
    with closing(sqlite3.connect(file_without_wal, isolation_level=None)) as backup:  # with WAL it is in nobody's way
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM chat_memory_message").fetchone()
        with pytest.raises(Busy):
            conversation("k").append(said)
        assert conversation("k").count() == 1
    conversation("k").append(said)
    assert conversation("k").append(said).replayed
    assert conversation("k").count() == 2


def test_e3_a_full_file_stores_nothing_of_a_write() -> None:
    """And as soon as there is room again, it goes on."""
    chat = conversation("k")
    chat.append(Message.user("old"))
    before = chat.session()
    with connection.cursor() as cursor:
        pages, free, size = (
            cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        cursor.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(OperationalError, match="full"):
        chat.append(*(Message.user("x" * 100_000) for _ in range(free * size // 100_000 + 10)))
    assert chat.session() == before
    assert [message.content for message in chat.messages()] == ["old"]
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA max_page_count = 1073741823")
    assert chat.append(Message.user("new")).last_seq == 2
    assert chat.count() == 2
