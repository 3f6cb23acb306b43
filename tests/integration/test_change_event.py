"""The change event over Django's database: after the commit, never for a rollback, whoever wrote."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from chat_memory import Message, append_many, conversation
from chat_memory.models import Session
from chat_memory.records import Address
from chat_memory.storage.changed import Changed, Kind, changed
from chat_memory.storage.orm import DjangoAdapter
from tests.acceptance.admin_world import page
from tests.acceptance.api_support import caller
from tests.acceptance.command_line import GREETING, run, write
from tests.rollback import undone
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def events() -> Iterator[list[Changed]]:
    """Every change event while the test runs, whatever the sender."""
    seen: list[Changed] = []

    def hear(event: Changed, **_signal: Any) -> None:
        seen.append(event)

    changed.connect(hear)
    yield seen
    changed.disconnect(hear)


def branched(key: str = "k", workspace: str = "acme") -> Session:
    """The row of a conversation with a branch."""
    chat = conversation(key, workspace)
    chat.append(Message.user("a"), Message.assistant("b"), Message.user("c"))
    chat.fork("draft", at=2).append(Message.user("d"))
    return Session.objects.get(workspace__slug=workspace, key=key, branch="main")


def summed_up() -> None:
    conversation("k", "acme").summarize(lambda _messages: "text", keep=1)


CHANGES: dict[str, tuple[Callable[[], Any], list[tuple[Kind, str]]]] = {
    "append": (lambda: conversation("k", "acme").append(Message.user("x")), [(Kind.APPENDED, "main")]),
    "first append": (lambda: conversation("new", "acme").append(Message.user("x")), [(Kind.APPENDED, "main")]),
    "append to several": (
        lambda: append_many({conversation(key, "acme"): [Message.user("x")] for key in ("k", "new")}),
        [(Kind.APPENDED, "main")] * 2,
    ),
    "append on a branch": (
        lambda: conversation("k", "acme", branch="draft").append(Message.user("x")),
        [(Kind.APPENDED, "draft")],
    ),
    "open": (lambda: conversation("new", "acme").open(title="t"), [(Kind.OPENED, "main")]),
    "update": (lambda: conversation("k", "acme").update(title="t"), [(Kind.UPDATED, "main")]),
    "clear": (lambda: conversation("k", "acme").clear(), [(Kind.CLEARED, "main")]),
    "fork": (lambda: conversation("k", "acme").fork("new"), [(Kind.FORKED, "new")]),
    "switch": (lambda: conversation("k", "acme").switch("draft"), [(Kind.SWITCHED, "draft")]),
    "edit": (lambda: conversation("k", "acme", branch="draft").edit(3, "new"), [(Kind.EDITED, "draft")]),
    "edit of a shared message": (
        lambda: conversation("k", "acme").edit(1, "new"),
        [(Kind.EDITED, "draft"), (Kind.EDITED, "main")],
    ),
    "redaction": (
        lambda: conversation("k", "acme").redact(1),
        [(Kind.REDACTED, "draft"), (Kind.REDACTED, "main")],
    ),
    "pop": (lambda: conversation("k", "acme").pop(), [(Kind.POPPED, "main")]),
    "pop on a branch": (lambda: conversation("k", "acme", branch="draft").pop(), [(Kind.POPPED, "draft")]),
    "delete of a branch": (
        lambda: conversation("k", "acme", branch="draft").delete(),
        [(Kind.DELETED, "draft")],
    ),
    "delete": (lambda: conversation("k", "acme").delete(), [(Kind.DELETED, "draft"), (Kind.DELETED, "main")]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_rollback_is_never_sent(name: str, events) -> None:
    branched()
    del events[:]
    with undone():
        CHANGES[name][0]()
    assert events == []


@pytest.mark.parametrize("name", CHANGES)
def test_a_commit_is_sent_once_and_not_before(name: str, events) -> None:
    branched()
    del events[:]
    change, expected = CHANGES[name]
    with transaction.atomic():
        change()
        assert events == []
    assert sorted((event.kind, event.branch) for event in events) == expected
    assert {event.nested for event in events if event.kind is not Kind.DELETED} <= {True}
    assert {event.using for event in events} == {"default"}


def test_of_a_transaction_what_was_kept_is_sent(events) -> None:
    with transaction.atomic():
        conversation("k", "acme").append(Message.user("kept"))
        with undone():
            conversation("k", "acme").append(Message.user("undone"))
        conversation("k", "acme").append(Message.user("kept too"))
    assert [(event.kind, event.first_seq, event.made) for event in events] == [
        (Kind.APPENDED, 1, True),
        (Kind.APPENDED, 2, False),
    ]
    assert events[-1].header == DjangoAdapter().messages.peek(Address("acme", "k"))


def test_an_import_is_sent_once_for_each_conversation(events, tmp_path: Path) -> None:
    old = {"id": "old", "messages": [{**message, "id": f"{n}"} for n, message in enumerate(GREETING)]}
    file = write(tmp_path / "lines.jsonl", {"id": "new", "messages": GREETING}, old)
    conversation("old", "acme").append(Message.user("Hi", id="0"))
    del events[:]
    run("import", file, "--workspace", "acme")
    assert sorted((event.key, event.kind, event.branch, event.made) for event in events) == [
        ("new", Kind.RESTORED, "main", True),
        ("old", Kind.RESTORED, "main", False),
    ]
    del events[:]
    run("import", file, "--workspace", "acme")
    assert events == []


def test_an_import_is_sent_for_each_branch(events, tmp_path: Path) -> None:
    branched()
    summed_up()
    file = tmp_path / "lines.jsonl"
    run("export", file, "--workspace", "acme")
    del events[:]
    run("import", file, "--workspace", "globex")
    assert sorted((event.workspace, event.kind, event.branch) for event in events) == [
        ("globex", Kind.RESTORED, "draft"),
        ("globex", Kind.RESTORED, "main"),
    ]


def test_a_summary_is_sent(events) -> None:
    branched()
    del events[:]
    summed_up()
    assert [(event.kind, event.branch, event.first_seq, event.last_seq) for event in events] == [
        (Kind.SUMMARIZED, "main", 1, 2)
    ]


def test_a_change_in_the_admin_is_sent_once(events, admin_client) -> None:
    session = branched()
    del events[:]
    moments = dict.fromkeys(("archived_at_0", "archived_at_1", "expires_at_0", "expires_at_1"), "")
    form = {"title": "By hand", "tags": "", "metadata": "{}", **moments}
    assert admin_client.post(page("session_change", session), form).status_code == 302
    assert [(event.kind, event.branch, event.fields) for event in events] == [(Kind.UPDATED, "main", ("title",))]


def test_changes_by_the_api_are_sent_once(events) -> None:
    session, writer = branched(), caller("writer")
    del events[:]
    assert writer.post(writer.messages(session), {"role": "user", "content": "x"}).status_code == 201
    assert writer.patch(writer.session(session), {"title": "t"}).status_code == 200
    assert [event.kind for event in events] == [Kind.APPENDED, Kind.UPDATED]


def test_a_cleanup_of_cleared_messages_changes_nothing_that_is_sent(events) -> None:
    branched("other")
    conversation("k", "acme").open(title="set by the application")
    conversation("k", "acme").append(Message.user("a"))
    conversation("k", "acme").clear()
    Session.objects.filter(key="k").update(cleared_at="2020-01-01T00:00:00Z")
    del events[:]
    assert "1 cleared message" in run("cleanup", "--days", "3650")
    run("cleanup", "--days", "30", "--dry-run")
    assert events == []


def test_a_cleanup_of_the_message_that_a_title_was_made_of_sends_one_event(events) -> None:
    conversation("k", "acme").append(Message.user("a"))
    conversation("k", "acme").clear()
    Session.objects.filter(key="k").update(cleared_at="2020-01-01T00:00:00Z")
    del events[:]
    assert "1 cleared message" in run("cleanup", "--days", "3650")
    assert [(event.kind, event.fields) for event in events] == [(Kind.UPDATED, ("title",))]


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_conversation_is_sent_once_for_each_branch(way: str, events) -> None:
    session = branched("doomed")
    branched("kept")
    rows = Session.objects.filter(key="doomed")
    expected = sorted(("acme", "doomed", row.branch, row.pk) for row in rows)
    del events[:]
    WAYS[way](session)
    assert deleted(events) == expected
    assert {event.header for event in events} == {None}
    assert conversation("doomed", "acme").messages() == []
    assert conversation("kept", "acme").count() == 3


@pytest.mark.parametrize("way", WAYS_OF_A_WORKSPACE)
def test_the_end_of_a_workspace_is_sent_for_each_of_its_branches(way: str, events) -> None:
    session = branched("one")
    branched("two")
    branched("one", workspace="globex")
    expected = sorted(("acme", row.key, row.branch, row.pk) for row in Session.objects.filter(workspace__slug="acme"))
    del events[:]
    WAYS_OF_A_WORKSPACE[way](session)
    assert deleted(events) == expected
    assert conversation("one", "globex").count() == 3


@pytest.mark.parametrize("way", ["a_queryset", "the_row", "the_conversation", "the_workspace"])
def test_an_end_that_is_rolled_back_is_not_sent(way: str, events) -> None:
    session = branched()
    del events[:]
    with undone():
        (WAYS | WAYS_OF_A_WORKSPACE)[way](session)
    assert events == []
    assert conversation("k", "acme").count() == 3


def deleted(events: list[Changed]) -> list[tuple[Any, ...]]:
    """Whose end the events tell of; there are no other events."""
    assert {event.kind for event in events} == {Kind.DELETED}
    return sorted((event.workspace, event.key, event.branch, event.session_id) for event in events)
