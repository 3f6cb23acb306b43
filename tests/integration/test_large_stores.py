"""Large stores: a page costs what it shows, a long conversation goes by few statements, any batch fits."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from chat_memory import Conversation, Message, conversation
from chat_memory.models import Message as MessageRow, Workspace
from chat_memory.sessions import find_sessions

pytestmark = pytest.mark.django_db(transaction=True)

LOOKED_AT = 500
"""A page of 20 may look at so many rows."""
LOOKED_AT_FOR_WINDOWS = 5_000
"""A window of some twenty messages may look at so many rows, each step of the plan counted."""
MOST_STATEMENTS = {"main": 1, "draft": 2}
"""Of a window: on a branch, messages that are much shorter than most take a second look."""
LONG = 8_000
"""The messages of a long conversation."""
PARAMETERS = 65_535
"""The most that a statement of PostgreSQL's own binding has."""


def filled_with_sessions(workspace: Workspace, number: int, owner: Any) -> None:
    """So many sessions more in a workspace that has one, all of them the owner's, in no order of time."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO chat_memory_session SELECT (jsonb_populate_record(s, jsonb_build_object(
                 'id', gen_random_uuid(), 'key', 'k' || n, 'user_id', %s::int8, 'user_key', %s::text,
                 'active_at', s.active_at - (1 + n * 7919 %% %s) * interval '1 minute',
                 'listed_at', s.listed_at - (1 + n * 7919 %% %s) * interval '1 minute'))).*
               FROM chat_memory_session s, generate_series(1, %s) AS n WHERE s.workspace_id = %s""",
            [owner.pk, str(owner.pk), number, number, number, workspace.pk],
        )


def rows_looked_at(statements: list[str]) -> int:
    """How many rows PostgreSQL touches to answer these."""
    looked_at = 0
    for statement in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
            (plan,) = cursor.fetchone()
        plans = [(json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]]
        while plans:
            node = plans.pop()
            removed = sum(value for name, value in node.items() if name.startswith("Rows Removed"))
            looked_at += (node["Actual Rows"] + removed) * node["Actual Loops"]
            plans += node.get("Plans", [])
    return int(looked_at)


def forget_statistics() -> None:
    """Make the tables as if never analyzed; autovacuum may have done so while another test had a few rows there."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if not cursor.fetchone()[0]:
            pytest.skip("only a superuser may delete statistics")
        for table in ("chat_memory_message", "chat_memory_session"):
            cursor.execute("DELETE FROM pg_statistic WHERE starelid = %s::regclass", [table])
            cursor.execute("UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = %s::regclass", [table])


@pytest.mark.postgresql
def test_c23_a_page_of_sessions_looks_at_few_however_many_there_are_elsewhere() -> None:
    """All, an owner's, those of one with none here and everything elsewhere, a key, a late page: by an index (J21)."""
    owner, stranger = (get_user_model().objects.create_user(name) for name in ("an-owner", "a-stranger"))
    for slug, number, user in (("acme", 100, owner), ("elsewhere", 5_000, stranger)):
        conversation("first", slug).append(Message.user("x"))
        filled_with_sessions(Workspace.objects.get(slug=slug), number, user)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_memory_session")
    asked: dict[str, tuple[dict[str, Any], int]] = {
        "all": ({}, 20),
        "an owner": ({"user": owner}, 20),
        "an owner of none here": ({"user": stranger}, 0),
        "a key": ({"key": "k99"}, 1),
        "far back": ({"before": find_sessions("acme", size=90).next}, 11),
    }
    for name, (question, number) in asked.items():
        with CaptureQueriesContext(connection) as seen:
            found = find_sessions("acme", size=20, **question).sessions
        assert len(found) == number, name
        statements = [query["sql"] for query in seen if "chat_memory_session" in query["sql"]]
        assert statements
        assert rows_looked_at(statements) <= LOOKED_AT, name


@pytest.mark.postgresql
def test_c23_a_page_of_sessions_looks_at_few_where_one_workspace_has_them_all() -> None:
    """Then the planner would rather read the whole table, did it expect a third of it."""
    conversation("first", "acme").append(Message.user("x"))
    owner = get_user_model().objects.create_user("an-owner")
    filled_with_sessions(Workspace.objects.get(slug="acme"), 5_000, owner)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_memory_session")
    for before in (None, find_sessions("acme", size=1_000).next):
        with CaptureQueriesContext(connection) as seen:
            assert len(find_sessions("acme", size=20, before=before).sessions) == 20
        assert rows_looked_at([query["sql"] for query in seen]) <= LOOKED_AT


BUDGETS: dict[str, dict[str, Any]] = {
    "turns": {"turns": 10},
    "messages": {"messages": 20},
    "tokens": {"tokens": 400},
    "no system messages": {"tokens": 400, "system": False},
}


@pytest.mark.postgresql
@pytest.mark.parametrize("analyzed", [False, True], ids=["never analyzed", "analyzed"])
@pytest.mark.parametrize("branch", ["main", "draft"])
def test_a_window_looks_at_few_however_long_the_conversation_is(branch: str, *, analyzed: bool) -> None:
    """Neither without statistics, nor with those of one long conversation, are all its messages read or sorted."""
    chat = long_conversation()
    if branch != "main":
        chat = chat.fork(branch, at=LONG - 2)
        chat.append(Message.user(f"{LONG - 2}"), Message.assistant(f"{LONG - 1}"))
    if analyzed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE chat_memory_message, chat_memory_session")
    else:
        forget_statistics()
    for name, budget in BUDGETS.items():
        with CaptureQueriesContext(connection) as seen:
            window = chat.window(**budget)
        assert [message.content for message in window] == [f"{number}" for number in range(LONG - len(window), LONG)]
        assert 10 <= len(window) <= 100, name
        assert len(seen) <= MOST_STATEMENTS[branch], name
        assert rows_looked_at([query["sql"] for query in seen]) <= LOOKED_AT_FOR_WINDOWS, name


@pytest.mark.postgresql
@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_a_window_of_a_long_conversation_is_planned_a_few_times_only(budget: dict[str, Any]) -> None:
    """PostgreSQL keeps a plan only where it expects as little of it as of one made for the values."""
    chat = long_conversation()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chat_memory_message, chat_memory_session")
        for _ in range(20):
            chat.window(**budget)
        cursor.execute("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE '%passed%'")
        ((generic, custom),) = cursor.fetchall()
    assert generic > custom


@pytest.mark.postgresql
@pytest.mark.parametrize("size", [1, 2, 30])
def test_an_append_on_a_branch_reads_no_whole_table(size: int) -> None:
    """Whether an ancestor has an id is asked of its index, also where the table was never analyzed."""
    branch = long_conversation().fork("draft", at=LONG - 2)
    branch.append(Message.user("first"))
    forget_statistics()
    with CaptureQueriesContext(connection) as seen:
        branch.append(*(Message.user(f"{number}") for number in range(size)))
    (statement,) = (query["sql"] for query in seen)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan on chat_memory_message " not in plan


@pytest.mark.parametrize("size", [40, 3_000])
def test_a_turn_that_is_longer_than_a_window_looks_at_is_found(size: int) -> None:
    """Its question is before the messages that are looked at first: one more statement looks farther."""
    chat = conversation("k")
    chat.append(Message.user("before"), Message.assistant("x"), Message.user("asked"))
    chat.append(*(Message.assistant(f"{number}") for number in range(size)))
    assert [message.seq for message in chat.window(turns=1)] == [*range(3, size + 4)]
    assert [message.seq for message in chat.window(messages=2)] == [3, size + 3]
    assert [message.seq for message in chat.window(tokens=1_000_000)] == [*range(1, size + 4)]


def long_conversation() -> Conversation:
    """A conversation whose questions are answered by one message each; each message has its number for its text."""
    chat = conversation("long")
    chat.append(*(Message("assistant" if number % 2 else "user", f"{number}") for number in range(LONG)))
    return chat


def test_c26_a_long_conversation_is_deleted_by_as_many_statements_as_a_short_one() -> None:
    counts = []
    for key, number in (("short", 1), ("long", 10_000)):
        chat = conversation(key)
        chat.append(*(Message.user(f"{index}") for index in range(number)))
        with CaptureQueriesContext(connection) as seen:
            chat.delete()
        counts.append(len(seen))
    assert counts[0] == counts[1]
    assert not MessageRow.objects.exists()


@pytest.fixture
def server_side_binding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server binds what statements are given, in a new connection."""
    connection.close()
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "server_side_binding", True)
    monkeypatch.delitem(vars(connection.features), "uses_server_side_binding", raising=False)
    yield
    vars(connection.features).pop("uses_server_side_binding", None)
    connection.close()


@pytest.mark.postgresql
@pytest.mark.usefixtures("server_side_binding")
@pytest.mark.parametrize("branch", ["main", "draft"])
def test_c27_the_largest_batch_fits_where_the_server_binds_its_parameters(branch: str) -> None:
    """As many columns of as many messages are more than a statement has parameters."""
    messages = [Message.user(f"{number}") for number in range(10_000)]
    assert len(messages) * len(MessageRow._meta.concrete_fields) > PARAMETERS
    chat = conversation("k")
    chat.append(Message.user("first"))
    assert connection.connection.cursor_factory.__name__ == "ServerBindingCursor"
    if branch != "main":
        chat = chat.fork(branch)
    assert chat.append(*messages).last_seq == 10_001
    assert chat.count() == 10_001
