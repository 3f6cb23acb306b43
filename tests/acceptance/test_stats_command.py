"""The command chat_memory_stats: conversations and what their readers see, in a fixed number of statements."""

import csv
import io
import json

import pytest
from django.core.management import CommandError

from chat_memory import Message, conversation
from chat_memory.maintenance.statistics import collect
from chat_memory.models import Session
from tests.acceptance.command_line import run

pytestmark = pytest.mark.django_db


def fill_workspaces() -> None:
    chat = conversation("k1", workspace="acme")
    chat.append(Message.user("hidden"))
    chat.clear()
    chat.append(Message.system("x"), Message.user("x"), Message.assistant("x"))
    conversation("k2", workspace="acme").open()
    conversation("k1", workspace="globex").append(Message.user("x"), Message.tool("x"))


def test_numbers_for_programs() -> None:
    """FEATURES S1.15, J06, J07: roots count, hidden messages do not, and a workspace sees its own alone."""
    fill_workspaces()
    parent = Session.objects.get(key="k1", workspace__slug="acme")
    Session.objects.bulk_create(
        [
            Session(
                workspace_id=parent.workspace_id,
                key="k1",
                branch="b",
                parent=parent,
                **dict.fromkeys(("created_at", "updated_at", "active_at", "listed_at"), parent.created_at),
            )
        ]
    )
    found = json.loads(run("stats", "--format", "json"))
    assert {name: found[name] for name in ("workspaces", "sessions", "messages", "roles")} == {
        "workspaces": 2,
        "sessions": 3,
        "messages": 5,
        "roles": {"system": 1, "user": 2, "assistant": 1, "tool": 1, "function": 0},
    }
    of_one = json.loads(run("stats", "--format", "json", "--workspace", "globex"))
    assert [of_one[name] for name in ("workspaces", "sessions", "messages")] == [1, 1, 2]


def test_table_and_csv_say_the_same() -> None:
    fill_workspaces()
    names, values = csv.reader(io.StringIO(run("stats", "--format", "csv")))
    table = dict(line.split() for line in run("stats").splitlines())
    assert dict(zip(names, values, strict=True)) == table
    assert table["messages"] == "5"


def test_nothing_stored() -> None:
    found = json.loads(run("stats", "--format", "json"))
    assert found["oldest"] is None
    assert found["messages"] == 0
    assert "sessions" in run("stats")


def test_an_unknown_workspace_is_refused() -> None:
    with pytest.raises(CommandError, match="there is no workspace 'unknown'"):
        run("stats", "--workspace", "unknown")


def test_the_number_of_statements_does_not_grow(django_assert_num_queries) -> None:
    fill_workspaces()
    for number in range(5):
        conversation(f"more{number}", workspace=f"w{number}").append(Message.user("x"))
    with django_assert_num_queries(3):
        collect()
