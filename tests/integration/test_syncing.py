"""Readers who keep copies: whatever happens to a conversation or to a list, a synced copy equals a fresh read."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import models as django_models

from chat_memory import (
    BranchInUse,
    ChatMemoryError,
    Conversation,
    Message,
    MessageConflict,
    MessageRedacted,
    ValidationError,
    conversation,
    models,
    sessions,
)
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter
from chat_memory.storage.tenancy import across_workspaces
from tests.conversations import chat, contents, say, say_with_ids
from tests.readers import ListReader, Reader

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
                table._default_manager.all()._raw_delete("default")  # type: ignore[attr-defined]
            for table, rows in taken:
                made = [table(**row) for row in rows]
                if table is models.Session:  # a branch after its parent, and heads once all are there
                    made.sort(key=lambda row: row.branch_number if row.parent_id else 0)  # type: ignore[attr-defined]
                table._default_manager.bulk_create(made)


class Walk:
    """A conversation to which anything may happen, by chance."""

    def __init__(self, adapter: Any, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311
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
        try:
            getattr(self, verb)(self.somewhere())
        except (BranchInUse, MessageConflict, MessageRedacted):
            pass
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


def walked(adapter: Any, seed: int, steps: int) -> None:
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
        for reader in lists:
            if walk.chance.random() < 0.3 and "restore" not in done:
                found = {record.id: record for record in sessions.find_sessions("acme", adapter=adapter).sessions}
                assert reader.sync() == found, (seed, done[-12:])


@pytest.mark.once
@pytest.mark.parametrize("seed", range(40))
def test_a_copy_equals_a_fresh_read_in_memory(seed: int) -> None:
    walked(MemoryAdapter(), seed, 100)


@pytest.mark.parametrize("seed", range(3))
def test_a_copy_equals_a_fresh_read(seed: int) -> None:
    walked(DjangoAdapter(), seed, 60)
