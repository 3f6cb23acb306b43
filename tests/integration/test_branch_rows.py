"""What only rows can get wrong about branches: handles made of them, and lineages deeper than a statement may be."""

from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from chat_memory import Message, conversation
from chat_memory.maintenance.transfer.transcripts import whole
from chat_memory.models import Session
from chat_memory.records import Address
from chat_memory.signals import messages_appended
from chat_memory.storage.contract import ArchiveStore
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter, branches as orm_branches, rows as orm_rows
from chat_memory.storage.orm.branches import OrmBranches
from tests.conversations import say_with_ids

pytestmark = pytest.mark.django_db(transaction=True)


def regenerated() -> Session:
    """The first row of a conversation whose current branch is another."""
    chat = conversation("k", "acme")
    chat.append(Message.user("q", id="q"), Message.assistant("old", id="a"))
    chat.regenerate(2).append(Message.assistant("new", id="b"))
    return Session.objects.select_related("workspace").get(key="k", branch="main")


def test_a_handle_of_the_first_row_follows_the_current_branch() -> None:
    """However often it is used: what a read remembers is never taken for the row it was made of."""
    chat = regenerated().history()
    for _ in range(2):
        assert [message.id for message in chat.messages()] == ["q", "b"]
    assert chat.append(Message.user("c", id="c")).first_seq == 3
    assert [message.id for message in chat.tail(9)] == ["q", "b", "c"]


def test_an_append_through_it_is_told_of_the_current_branch() -> None:
    chat = regenerated().history()
    chat.messages()
    told: list[str] = []

    def hear(branch: str, **_said: object) -> None:
        told.append(branch)

    messages_appended.connect(hear)
    try:
        chat.append(Message.user("c"))
    finally:
        messages_appended.disconnect(hear)
    assert told == [regenerated_branch()]


def regenerated_branch() -> str:
    return Session.objects.get(key="k", parent__isnull=False).branch


def test_a_handle_that_is_kept_follows_every_switch() -> None:
    regenerated()
    chat = conversation("k", "acme")
    for branch, last in ((regenerated_branch(), "b"), ("main", "a"), (regenerated_branch(), "b")):
        conversation("k", "acme").switch(branch)
        assert chat.tail(1)[0].id == last
        assert chat.tail(1)[0].id == last


def test_a_lineage_may_be_deeper_than_a_condition() -> None:
    """SQLite takes no more than a thousand terms."""
    conversation("k", "acme").append(Message.user("0", id="0"))
    deep = 1_100
    root = Session.objects.get(key="k")
    parent, rows = root, []
    for level in range(1, deep + 1):
        made = {
            "fork_seq": 1,
            "last_seq": 1,
            "created_at": root.created_at,
            "updated_at": root.updated_at,
            "active_at": root.active_at,
            "listed_at": root.listed_at,
            "version": 1,
            "message_count": 1,
        }
        parent = Session(
            workspace_id=root.workspace_id,
            key="k",
            branch=f"b{level}",
            parent_id=parent.pk,
            **made,
        )
        rows.append(parent)
    Session.objects.bulk_create(rows)
    chat = conversation("k", "acme", branch=f"b{deep}")
    assert chat.append(Message.user("0", id="0")).replayed
    chat.append(Message.user("1", id="1"))
    assert [message.id for message in chat.messages()] == ["0", "1"]
    assert [message.id for message in chat.until("0")] == ["0"]
    assert chat.summarize(lambda _messages: "all", keep=0) is not None
    assert chat.fork("leaf", at=1).count() == 1


@pytest.mark.postgresql
def test_branches_work_on_djangos_own_cursor(settings) -> None:
    """Which binds on the client, so that a number has no type but what the statement gives it."""
    settings.CHAT_MEMORY = {"RAW_CURSOR": False}
    regenerated()
    chat = conversation("k", "acme")
    chat.append(Message.user("c", id="c"), Message.system("s", id="s"))
    assert chat.edit(1, "Q").content == "Q"
    assert [former.content for former in chat.revisions(1)] == ["q"]
    assert [message.id for message in chat.until("c")] == ["q", "b", "c"]
    assert chat.summarize(lambda _messages: "so far", keep=2) is not None
    assert len(chat.context(turns=1)) == 3
    budgets: tuple[dict[str, Any], ...] = ({"turns": 1}, {"messages": 2}, {"tokens": 20})
    for budget in budgets:
        assert "c" in {message.id for message in chat.window(**budget)}
        assert conversation("k", "acme", branch="main").window(**budget)
    chat.fork("leaf", at=2).append(Message.user("d"))
    assert chat.truncate_after("b") == 2
    assert conversation("k", "acme").usage().messages == 6


@pytest.mark.parametrize("verb", ["truncate_after", "regenerate"])
def test_a_switch_meanwhile_changes_nothing_of_where_a_change_is_made(verb: str) -> None:
    """What was found on one branch is changed there, and never at the same position of another."""

    class Switching(OrmBranches):
        """Somebody switches between the look and the change."""

        def fork(
            self, at: Address, name: str, seq: int | None = None, *, switch: bool = False, pending: str = ""
        ) -> Any:
            conversation("k", "acme").switch("draft")
            return super().fork(at, name, seq, switch=switch)

    adapter = DjangoAdapter()
    adapter.branches = Switching(None)
    plain = conversation("k", "acme")
    plain.append(*(Message.user(text, id=text) for text in "abc"))
    plain.fork("draft", at=1).append(Message.user("x", id="x"), Message.user("y", id="y"))
    chat = conversation("k", "acme", adapter=adapter)
    if verb == "truncate_after":
        assert chat.truncate_after("b") == 1
        assert [message.id for message in chat.messages()] == ["a", "b"]
    else:
        assert [message.id for message in chat.regenerate(2).messages()] == ["a", "b"]
    assert [message.content for message in conversation("k", "acme", branch="draft").messages()] == ["a", "x", "y"]


def test_e5_branches_are_in_the_order_they_were_made_though_the_clock_goes_back(monkeypatch) -> None:
    """E5: neither times nor ids, which a clock makes too, say which branch is first."""
    hours, numbers = iter(range(23, 0, -1)), iter(range(99, 0, -1))

    class Clock(datetime):
        """A clock that goes back by an hour each time it is looked at."""

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 1, 1, next(hours), tzinfo=tz)

    monkeypatch.setattr(orm_branches, "datetime", Clock)
    monkeypatch.setattr(orm_rows, "uuid7", lambda: UUID(int=next(numbers)))
    chat = conversation("k", "acme", adapter=DjangoAdapter())
    say_with_ids("a", "b", to=chat)
    names = ["z", "m", "a"]
    for name in names:
        chat.fork(name)
    made = chat.branches()
    assert [branch.name for branch in made] == ["main", *names]
    assert [branch.created_at for branch in made[1:]] == sorted(
        (branch.created_at for branch in made[1:]), reverse=True
    )
    copy = whole(Session.objects.get(workspace__slug="acme", key="k", branch="main"))
    assert copy is not None
    assert [branch.name for branch in copy.branches] == names
    (restored,) = DjangoAdapter().part(ArchiveStore).restore([(Address("other", "k"), copy)])
    assert restored.error is None
    assert [branch.name for branch in conversation("k", "other").branches()] == ["main", *names]
    again = structs.replace(
        copy, branches=[*copy.branches, structs.replace(copy.branches[0], name="later", messages=())]
    )
    for adapter in (DjangoAdapter(), MemoryAdapter()):
        assert adapter.part(ArchiveStore).restore([(Address("other", "k"), again)])[0].error is None
        found = conversation("k", "other", adapter=adapter).branches()
        assert [(branch.name, branch.number) for branch in found] == [
            (name, number) for number, name in enumerate(["main", *names, "later"])
        ]
