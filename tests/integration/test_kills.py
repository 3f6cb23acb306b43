"""kill -9 of the database and of workers: what was acknowledged is stored, once, and the counters say so.

``CHAT_MEMORY_KILLS`` is how often the database is killed; the long tests ask for more.
"""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import Error, connection, connections
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.models import Session
from tests.acceptance.api_support import caller, stored
from tests.conversations import contents
from tests.integration.databases import postgresql
from tests.integration.killed import SPARED
from tests.servers import start_mortal_postgres
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("CHAT_MEMORY_KILLS", "1"))
WRITERS, KEYS = 8, 3
BETWEEN = 80
"""Acknowledged writes before, between and after the kills."""
REQUESTS = 12


class Appender(threading.Thread):
    """Appends one message after the other, each again with the same id until it is acknowledged."""

    def __init__(self, number: int, up: threading.Event, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.number, self.up, self.over = number, up, over
        self.acknowledged: list[tuple[str, str, int | None]] = []
        self.failures: list[str] = []

    def run(self) -> None:
        """Write until it is over; an error means that the server is gone, and nothing of the call is known."""
        try:
            while not self.over.is_set():
                self.write(f"{self.number}-{len(self.acknowledged)}")
        finally:
            connection.close()

    def write(self, text: str) -> None:
        key = f"k{len(self.acknowledged) % KEYS}"
        while True:
            try:
                receipt = conversation(key, workspace="acme").append(Message.user(text, id=text))
            except Error as error:
                self.failures.append(type(error).__name__)
                connection.close()
                self.up.wait(PATIENCE)
            else:
                self.acknowledged.append((key, text, receipt.first_seq))
                return


@contextmanager
def served_by(url: str) -> Iterator[None]:
    """The database of every thread is the one at an address."""
    given, before = postgresql(url), dict(connections.settings["default"])
    connection.close()
    for settings in (connection.settings_dict, connections.settings["default"]):
        settings.update(given)
    try:
        yield
    finally:
        connection.close()
        for settings in (connection.settings_dict, connections.settings["default"]):
            settings.update(before)


@pytest.mark.postgresql
def test_e1_kill_of_the_database_loses_and_doubles_nothing_acknowledged() -> None:
    """The postmaster and all its children at once, under 8 writers; then the log is replayed and they go on."""
    up, over = threading.Event(), threading.Event()
    writers = [Appender(number, up, over) for number in range(WRITERS)]
    with start_mortal_postgres() as server, served_by(server.url), override_settings(CHAT_MEMORY={"CACHE": "off"}):
        call_command("migrate", "chat_memory", verbosity=0)
        up.set()
        for writer in writers:
            writer.start()
        try:
            for kill in range(KILLS):
                eventually(partial(_have_acknowledged, writers, BETWEEN * (kill + 1)))
                with psycopg.connect(server.url, autocommit=True) as asking:
                    pids = [pid for (pid,) in asking.execute("SELECT pid FROM pg_stat_activity").fetchall()]
                up.clear()
                server.crash(pids)
                eventually(lambda: all(writer.failures for writer in writers))
                server.come_back()
                up.set()
            eventually(partial(_have_acknowledged, writers, BETWEEN * (KILLS + 1)))
        finally:
            over.set()
            up.set()
            for writer in writers:
                writer.join(PATIENCE)
        connection.close()
        acknowledged = [each for writer in writers for each in writer.acknowledged]
        for key in {key for key, _text, _seq in acknowledged}:
            told = {text: seq for written, text, seq in acknowledged if written == key}
            assert_stored_once(key, told)
        call_command("chat_memory_check", verbosity=0)


def _have_acknowledged(writers: list[Appender], least: int) -> bool:
    assert all(writer.is_alive() for writer in writers), [writer.failures for writer in writers]
    return sum(len(writer.acknowledged) for writer in writers) >= least


def assert_stored_once(key: str, told: dict[str, int | None]) -> None:
    """Each message that was told is where it was told to be, nothing else is there, and the row counts them."""
    messages = conversation(key, workspace="acme").messages()
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    assert {message.content: message.seq for message in messages} == told
    assert len(messages) == len(told)
    row = Session.objects.get(workspace__slug="acme", key=key)
    assert (row.last_seq, row.message_count, row.last_turn) == (len(messages),) * 3


def test_e2_kill_of_workers_between_commit_and_reply_doubles_nothing() -> None:
    """The client never saw the answer, and asks again with the same Idempotency-Key, of the next worker."""
    me = caller("writer")
    session = stored(user=me.user)
    told: list[dict[str, Any]] = [json.loads(line) for line in _told_by_workers(session, me.user).splitlines()]
    killed = told.pop()["killed"]
    answers = {answer["number"]: answer for answer in told}
    dying = sum(bool(number % SPARED) for number in range(REQUESTS))
    assert killed == dying
    assert sorted(answers) == list(range(REQUESTS))
    assert Counter(answer["status"] for answer in told) == {200: dying, 201: REQUESTS - dying}
    parts = [f"{number}.{part}" for number in range(REQUESTS) for part in range(1 + number % 2)]
    messages = conversation("k", workspace="acme").messages()
    assert sorted(map(str, contents(messages))) == sorted(parts)
    assert [message.seq for message in messages] == list(range(1, len(parts) + 1))
    row = Session.objects.get(pk=session.pk)
    assert (row.last_seq, row.message_count) == (len(parts), len(parts))
    places = {message.content: message.seq for message in messages}
    for number, answer in answers.items():
        assert places[f"{number}.0"] in _positions(answer["body"])


def _positions(body: Any) -> list[int]:
    """Every ``seq`` in an answer."""
    if isinstance(body, list):
        return [seq for each in body for seq in _positions(each)]
    if not isinstance(body, dict):
        return []
    own = [body["seq"]] if isinstance(body.get("seq"), int) else []
    return own + [seq for value in body.values() for seq in _positions(value)]


def _told_by_workers(session: Session, user: Any) -> str:
    command = [sys.executable, "-m", "tests.integration.killed", connection.settings_dict["NAME"]]
    command += [str(session.pk), str(user.pk), str(REQUESTS)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, timeout=PATIENCE * 2)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout
