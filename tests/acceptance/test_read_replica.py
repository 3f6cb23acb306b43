"""Where the host's router sends reads to a replica that lags, every door reads what was written."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import router
from django.test import override_settings

from chat_memory import Message, conversation
from chat_memory.maintenance.importing import import_conversations
from chat_memory.models import Session
from chat_memory.sessions import count_sessions, find_sessions, usage
from tests.acceptance.api_support import Caller, caller, listed_keys
from tests.acceptance.command_line import run

pytestmark = pytest.mark.django_db


class LaggingRouter:
    """Sends what is read of ours to a database that has none of it, and does not even exist."""

    def db_for_read(self, model: Any, **_hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "chat_memory" else None

    def db_for_write(self, _model: Any, **_hints: Any) -> str:
        return "default"


@pytest.fixture
def lagging() -> Iterator[None]:
    with override_settings(DATABASE_ROUTERS=[LaggingRouter()]):
        yield


@pytest.fixture
def me() -> Caller:
    return caller("admin")


@pytest.mark.usefixtures("lagging")
def test_r48_python_reads_what_was_written() -> None:
    chat = conversation("k", "acme", user="ada")
    chat.append(Message.user("hi"), Message.assistant("hello"))
    fork = chat.fork("other", at=1)
    fork.append(Message.assistant("hey"))
    assert [message.content for message in chat.tail(5)] == ["hi", "hello"]
    assert [message.content for message in fork.messages()] == ["hi", "hey"]
    assert len(chat.context(turns=1)) == 2
    assert chat.count() == 2
    assert [found.key for found in find_sessions("acme", user="ada").sessions] == ["k"]
    assert count_sessions("acme") == 1
    assert usage("acme").sessions == 1
    chat.clear()
    assert chat.messages() == []
    assert chat.delete()


def test_r48_the_api_reads_what_was_written(me: Caller, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("lagging")
    made = me.post(me.sessions, {"key": "k"})
    assert made.status_code == 201
    session = made.json()["id"]
    assert me.post(me.messages(session), {"role": "user", "content": "hi"}).status_code == 201
    assert [each["content"] for each in me.get(me.messages(session)).json()["results"]] == ["hi"]
    assert listed_keys(me.get(me.sessions).json()) == ["k"]
    assert len(me.get(f"{me.session(session)}context/?turns=1").json()["results"]) == 1
    assert me.patch(me.session(session), {"title": "t"}).json()["title"] == "t"
    assert me.get("/api/workspaces/").json()["results"][0]["slug"] == "acme"
    assert me.delete(me.session(session)).status_code == 204


@pytest.mark.usefixtures("lagging")
def test_r48_commands_read_what_was_written(tmp_path: Path) -> None:
    line = b'{"key": "k", "messages": [{"role": "user", "content": "hi"}]}'
    assert import_conversations([line], "acme").sessions == 1
    assert import_conversations([line], "acme").replayed == 1
    exported = tmp_path / "exported.jsonl"
    run("export", exported, "--workspace", "acme")
    assert b'"key":"k"' in exported.read_bytes()
    assert json.loads(run("stats", "--format", "json"))["messages"] == 1
    assert "0 violations" in run("check")
    run("cleanup", "--days", "1", "--dry-run")


@pytest.mark.usefixtures("lagging")
def test_r48_the_router_of_these_tests_would_read_elsewhere() -> None:

    assert router.db_for_read(Session) == "replica"
