"""Readers who keep copies: whatever happens to a conversation or to a list, a synced copy equals a fresh read."""

import copy
import random
import threading
from contextlib import suppress
from typing import Any

import pytest
from django.db import connection, connections, models as django_models, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from msgspec.structs import replace

from chat_memory import (
    BranchInUse,
    Conversation,
    Message,
    MessageConflict,
    MessageRedacted,
    ValidationError,
    conversation,
    models,
    sessions,
)
from chat_memory.records import SessionRecord
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter, hints
from chat_memory.storage.syncing import Listed
from chat_memory.storage.tenancy import across_workspaces
from tests.conversations import chat, contents, say, say_with_ids
from tests.readers import ListReader, Reader
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)

TABLES: tuple[type[django_models.Model], ...] = (
    models.Workspace,
    models.Session,
    models.Message,
    models.Revision,
    models.Redaction,
    models.MessageChange,
    models.Tombstone,
    models.Summary,
)


class Backups:
    """Takes the state of a store, and brings it back."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter

    def take(self) -> Any:
        if isinstance(self.adapter, MemoryAdapter):
            return copy.deepcopy(self.adapter._store._workspaces)
        with across_workspaces():
            return [(table, list(table._default_manager.values())) for table in TABLES]

    def restore(self, taken: Any) -> None:
        if isinstance(self.adapter, MemoryAdapter):
            self.adapter._store._workspaces = copy.deepcopy(taken)
            return
        with across_workspaces():
            for table, _rows in reversed(taken):
                table._default_manager.all()._raw_delete("default")
            for table, rows in taken:
                made = [table(**row) for row in rows]
                if table is models.Session:  # a branch after its parent, and heads once all are there
                    made.sort(key=lambda row: row.branch_number if row.parent_id else 0)
                table._default_manager.bulk_create(made)


class Walk:
    """A conversation to which anything may happen, by chance."""

    def __init__(self, adapter: Any, seed: int) -> None:
        self.chance = random.Random(seed)
        self.chat = conversation("k", "acme", adapter=adapter)
        self.adapter = adapter
        self.backups = Backups(adapter)
        self.taken: Any = None
        self.number = 0

    def message(self) -> Message:
        self.number += 1
        make = self.chance.choice([Message.user, Message.assistant])
        return make(f"m{self.number}", id=self.chance.choice([None, f"id-{self.number}"]))

    def somewhere(self) -> Conversation:
        names = [branch.name for branch in self.chat.branches()]
        return self.chance.choice([self.chat, self.chat._on(self.chance.choice(names))])

    def step(self) -> str:
        verb = self.chance.choice(VERBS)
        with suppress(BranchInUse, MessageConflict, MessageRedacted):
            getattr(self, verb)(self.somewhere())
        return verb

    def place(self, at: Conversation) -> int | None:
        shown = at.messages()
        return self.chance.choice(shown).seq if shown else None

    def append(self, at: Conversation) -> None:
        at.append(*(self.message() for _ in range(self.chance.randint(1, 3))))

    def regenerate(self, at: Conversation) -> None:
        seq = self.place(at)
        if seq:
            new = at.regenerate(seq, switch=self.chance.random() < 0.3)
            if self.chance.random() < 0.7:
                new.append(self.message())

    def edit_and_branch(self, at: Conversation) -> None:
        seq = next((each.seq for each in at.messages() if each.role == "user" and each.state == "complete"), None)
        if seq:
            at.edit_and_branch(seq, f"edited {self.number}")

    def fork(self, at: Conversation) -> None:
        if at.session():
            self.number += 1
            at.fork(f"branch-{self.number}", at=self.place(at))

    def switch(self, at: Conversation) -> None:
        if at.session():
            self.chat.switch(self.chance.choice([branch.name for branch in self.chat.branches()]))

    def truncate(self, at: Conversation) -> None:
        shown = at.messages()
        if shown:
            at.truncate_after(str(self.chance.choice(shown).id), inclusive=self.chance.random() < 0.5)

    def clear(self, at: Conversation) -> None:
        at.clear()

    def edit(self, at: Conversation) -> None:
        seq = self.place(at)
        if seq:
            self.number += 1
            at.edit(seq, f"edited {self.number}")

    def redact(self, at: Conversation) -> None:
        seq = self.place(at)
        if seq:
            at.redact(seq)

    def pop(self, at: Conversation) -> None:
        at.pop()

    def delete(self, at: Conversation) -> None:
        at.delete()

    def merge(self, _at: Conversation) -> None:
        if self.chat.session():
            names = [branch.name for branch in self.chat.branches()]
            self.chat.merge(self.chance.choice(names), self.chance.choice(names))

    def back_up(self, _at: Conversation) -> None:
        self.taken = self.backups.take()

    def restore(self, _at: Conversation) -> None:
        if self.taken is not None:
            self.backups.restore(self.taken)


VERBS = (
    *["append"] * 8,
    *["pop", "edit", "switch", "regenerate"] * 3,
    *["redact", "truncate", "fork", "edit_and_branch", "back_up", "restore", "merge"],
    *["clear"],
)


def synced_along_a_walk(adapter: Any, seed: int, steps: int) -> None:
    """After each step some readers ask, each by pages of its own size, and hold what a fresh read gives."""
    walk = Walk(adapter, seed)
    sizes = (1, 2, 5, 500)
    readers = [Reader(conversation("k", "acme", adapter=adapter), size) for size in sizes]
    bound = Reader(conversation("k", "acme", branch="main", adapter=adapter), 3)
    lists = [ListReader("acme", size, adapter=adapter) for size in (1, 500)]
    done = []
    for _step in range(steps):
        done.append(walk.step())
        if walk.chance.random() < 0.01:
            walk.delete(walk.chat)
            done.append("delete")
        for reader in (*readers, bound):
            if walk.chance.random() < 0.4:
                assert reader.sync() == reader.chat.messages(), (seed, done[-12:])
        for listing in lists:
            if walk.chance.random() < 0.3 and "restore" not in done:
                found = {record.id: record for record in sessions.find_sessions("acme", adapter=adapter).sessions}
                assert listing.sync() == found, (seed, done[-12:])


@pytest.mark.once
@pytest.mark.parametrize("seed", range(40))
def test_a_copy_equals_a_fresh_read_in_memory(seed: int) -> None:
    synced_along_a_walk(MemoryAdapter(), seed, 100)


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_equals_a_fresh_read(seed: int) -> None:
    synced_along_a_walk(DjangoAdapter(), seed, 60)


def test_a_reader_is_told_of_what_is_new_and_of_nothing_else(chats) -> None:
    say_with_ids("a", "b", to=chats())
    first = chats().changes()
    assert (contents(first.messages), first.void_from, first.more, first.branch) == (["a", "b"], 1, False, "main")
    say_with_ids("c", to=chats())
    second = chats().changes(first.cursor)
    assert (contents(second.messages), second.changed, second.void_from) == (["c"], [], None)
    third = chats().changes(second.cursor)
    assert (third.messages, third.changed, third.void_from, third.more) == ([], [], None, False)


def test_what_is_edited_taken_off_and_switched_to_is_told_from_its_position_on(chats) -> None:
    say_with_ids("a", "b", "c", "d", to=chats())
    reader = Reader(chats())
    reader.sync()
    chats().edit(2, "B")
    chats().pop()
    found = chats().changes(reader.cursor)
    assert (contents(found.changed), found.void_from, found.messages) == (["B"], 4, [])
    reader.sync()
    say_with_ids("x", to=chats().fork("draft", at=1))
    chats().switch("draft")
    found = chats().changes(reader.cursor)
    assert (found.changed, found.void_from, contents(found.messages), found.branch) == ([], 2, ["x"], "draft")


def test_pages_end_where_they_are_told_to(chats) -> None:
    say_with_ids(*"abcdef", to=chats())
    page = chats().changes(size=4)
    assert (contents(page.messages), page.more) == (list("abcd"), True)
    rest = chats().changes(page.cursor, size=4)
    assert (contents(rest.messages), rest.more, rest.void_from) == (["e", "f"], False, None)
    for seq in range(1, 7):
        chats().edit(seq, f"edited {seq}")
    told = chats().changes(rest.cursor, size=2)
    assert (contents(told.changed), told.more) == (["edited 1", "edited 2"], True)


def test_a_conversation_that_is_gone_or_another_begins_anew(chats) -> None:
    reader = Reader(chats())
    assert reader.sync() == []
    say_with_ids("a", to=chats())
    assert contents(reader.sync()) == ["a"]
    chats().delete()
    assert reader.sync() == []
    say_with_ids("b", to=chats())
    assert contents(reader.sync()) == ["b"]


@pytest.mark.parametrize("cursor", ["", "m1", "m1!!", "s1kA", "x" * 601, 7, "m1\u00e9", "m1" + "A" * 100])
def test_what_is_no_cursor_is_one_clear_error(chats, cursor: Any) -> None:
    for call in (lambda: chats().changes(cursor), lambda: sessions.changes("acme", cursor or "s")):
        with pytest.raises(ValidationError, match=r"must be a cursor that .* returned"):
            call()


@pytest.mark.parametrize("size", [0, 1001, -1, True])
def test_a_size_out_of_range_is_refused(chats, size: Any) -> None:
    for call in (lambda: chats().changes(size=size), lambda: sessions.changes("acme", size=size)):
        with pytest.raises(ValidationError, match="size: must be a whole number"):
            call()


def test_new_messages_of_main_are_told_by_one_statement() -> None:
    say("a", to=chat())
    hints.note("default", chat().place.address, branched=True)  # as of a conversation of this name that is gone
    cursor = chat().changes().cursor
    say("b", to=chat())
    with override_settings(CHAT_MEMORY={"CACHE": "off"}), CaptureQueriesContext(connection) as captured:
        assert contents(chat().changes(cursor).messages) == ["b"]
    assert len(captured) == 1


def test_a_list_tells_what_is_new_changed_and_gone_in_pages() -> None:
    for key in "abcde":
        say("hello", to=chat(key))
    reader = ListReader("acme", size=2)
    assert {record.key for record in reader.sync().values()} == set("abcde")
    chat("b").update(title="renamed")
    chat("c").delete()
    say("more", to=chat("d"))
    say("new", to=chat("f"))
    held = {record.key: record for record in reader.sync().values()}
    found = {record.key: record for record in sessions.find_sessions("acme").sessions}
    assert (held, reader.begun) == (found, 1)


def test_a_list_of_one_user_has_only_theirs(django_user_model) -> None:
    ann = django_user_model.objects.create_user("ann")
    say("hers", to=chat("a", user=ann))
    say("others", to=chat("b", user="bob"))
    found = sessions.changes("acme", user=ann)
    assert [record.key for record in found.changed] == ["a"]
    assert sessions.changes("acme", found.cursor, user="bob").begins_anew


def test_a_session_whose_user_is_deleted_is_told(django_user_model) -> None:
    user = django_user_model.objects.create_user("ada")
    chat(user=user).open()
    reader = ListReader("acme")
    (record,) = reader.sync().values()
    told = reader.told
    user.delete()
    (after,) = reader.sync().values()
    assert (record.user_id is None, after.user_id, after.user_key) == (False, None, str(record.user_id))
    assert (reader.told, reader.begun) == (told + 1, 1)


@pytest.mark.postgresql
def test_a_change_that_is_committed_later_than_a_younger_one_is_told() -> None:
    """The older transaction has an earlier time, and no reader could see it yet."""
    for key in ("slow", "quick", "idle"):
        say("hello", to=chat(key))
    reader = ListReader("acme")
    reader.sync()
    written, seen = threading.Event(), threading.Event()

    def write_slowly() -> None:
        try:
            with transaction.atomic():
                chat("slow").update(title="by the slow one")
                written.set()
                seen.wait(60)
        finally:
            connections.close_all()

    slow = threading.Thread(target=write_slowly)
    slow.start()
    assert written.wait(60)
    chat("quick").update(title="by the quick one")
    told = {record.key: record.title for record in reader.sync().values()}
    assert (told["slow"], told["quick"]) == ("hello", "by the quick one")
    seen.set()
    slow.join(60)
    told = {record.key: record.title for record in reader.sync().values()}
    assert told["slow"] == "by the slow one"
    # What was committed before the look before is not told again, once nothing is open that began before it: other
    # tests may use the same server.
    eventually(lambda: "idle" not in {record.key for record in _told(reader)})


def _told(reader: ListReader) -> list[SessionRecord]:
    """What one further look tells, after one that has seen all of it."""
    reader.sync()
    return sessions.changes("acme", reader.cursor).changed


def test_a_cursor_older_than_what_is_remembered_begins_anew() -> None:
    say("a", to=chat())
    reader = ListReader("acme")
    reader.sync()
    listed = Listed.parse(reader.cursor)
    old = str(replace(listed, since=listed.since - 31 * 24 * 3600 * 1_000_000))
    assert sessions.changes("acme", old).begins_anew
    assert not sessions.changes("acme", reader.cursor).begins_anew
