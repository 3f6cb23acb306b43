"""Owns what the clauses share: a fresh workspace for each, messages, events, writers at once; it holds no clause."""
# ruff: noqa: S101  # clauses are tests, shipped

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar, cast

import msgspec
import pytest
from django.db import connections

from chat_memory.choices import CURRENT
from chat_memory.records import Address, Commit, Content, Header, Message, Span
from chat_memory.rules.redaction import redacted
from chat_memory.storage.changed import Changed, changed
from chat_memory.storage.contract import (
    ALL_MESSAGES,
    Adapter,
    ArchiveStore,
    BranchStore,
    EditStore,
    MessageStore,
    SessionStore,
    SummaryStore,
)
from chat_memory.storage.contract.edits import Place, Restate

Result = TypeVar("Result")
Clause = TypeVar("Clause", bound=Callable[..., None])
PATIENCE = 60.0
_MAKING = threading.RLock()
SENT_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Kit:
    """What a subclass gives the clauses; pytest makes an instance of its own for each of them."""

    changes_several = True
    """Whether ``append_many`` changes several sessions at once; where False, the clauses ask that it is refused."""

    def make_adapter(self) -> Adapter:
        """The adapter under test. Other adapters may share its store: every clause keeps to a workspace of its own."""
        raise NotImplementedError

    def make_workspace(self, slug: str) -> None:
        """Make a workspace known without writing a session; most adapters have ``add_workspace`` for that."""
        self.adapter.add_workspace(slug)  # type: ignore[attr-defined]  # not a verb of the contract

    def let_claims_lapse(self) -> None:
        """Make every claim on a summary in this clause's workspace older than ``CLAIM_LAPSES``, without waiting."""
        raise NotImplementedError

    @property
    def adapter(self) -> Adapter:
        """The adapter of this clause."""
        return self._once("adapter", self.make_adapter)

    @property
    def messages(self) -> MessageStore:
        """The part of the adapter that keeps messages."""
        return self.adapter.messages

    @property
    def sessions(self) -> SessionStore:
        """The part of the adapter that keeps sessions."""
        return self.adapter.sessions

    @property
    def branches(self) -> BranchStore:
        """The part of the adapter that keeps branches, where it has one."""
        return self.adapter.part(BranchStore)

    @property
    def edits(self) -> EditStore:
        """The part of the adapter that edits messages, where it has one."""
        return self.adapter.part(EditStore)

    @property
    def summaries(self) -> SummaryStore:
        """The part of the adapter that keeps summaries, where it has one."""
        return self.adapter.part(SummaryStore)

    @property
    def archive(self) -> ArchiveStore:
        """The part of the adapter that restores conversations, where it has one."""
        return self.adapter.part(ArchiveStore)

    @property
    def workspace(self) -> str:
        """The workspace of this clause, which nobody has used."""
        return self._once("workspace", lambda: f"kit-{uuid.uuid4().hex}")

    def at(self, key: str = "k", **fields: Any) -> Address:
        """An address in this clause's workspace."""
        return Address(self.workspace, key, **fields)

    def append(self, *ids: str, key: str = "k", branch: str = CURRENT) -> Header:
        """Append a message for each id; the header afterwards."""
        return self.messages.append(self.at(key, branch=branch), users(*ids)).header

    def send(self, message_id: str, moment: datetime, key: str = "k") -> None:
        """Append a message that was sent at that moment."""
        self.messages.append(self.at(key), [user(message_id, created_at=moment)])

    def rewrite(self, seq: int, content: Content, branch: str = CURRENT, key: str = "k", **changes: Any) -> Commit:
        """Edit a message; ``changes`` are of fields that an edit leaves alone, or ``tokens``."""
        return self.edits.edit(self.at(key, branch=branch), seq, self.saying(content, **changes))

    def saying(self, content: Content, **changes: Any) -> Restate:
        """What gives a message another content."""
        given = {"tokens": 5, "content": content} | changes
        return lambda stored: msgspec.structs.replace(stored, **given)

    def redact(self, place: Place, branch: str = CURRENT, key: str = "k") -> Commit:
        """Redact a message as a conversation does."""
        return self.edits.redact(self.at(key, branch=branch), place, redacted)

    def pop(self, branch: str = CURRENT) -> str | None:
        """Take the newest message off; its id."""
        commit = self.messages.pop(self.at(branch=branch))
        return commit.messages[0].id if commit else None

    def ids(self, span: Span = ALL_MESSAGES, key: str = "k", branch: str = CURRENT) -> list[str | None]:
        """The ids of the messages that a read gives."""
        return [message.id for message in self.messages.read(self.at(key, branch=branch), span).messages]

    def contents(self, branch: str = CURRENT) -> list[Content]:
        """The contents of all messages of a branch."""
        return [message.content for message in self.messages.read(self.at(branch=branch)).messages]

    def header(self, key: str = "k", branch: str = CURRENT) -> Header | None:
        """The header that a read gives."""
        return self.messages.read(self.at(key, branch=branch), Span(last=1)).header

    def version(self) -> int:
        """The version that readers of the conversation see; 0 where there is none."""
        header = self.messages.peek(self.at())
        return header.version if header else 0

    def current(self) -> str:
        """The name of the branch that is current; a conversation has exactly one."""
        (name,) = (branch.name for branch in self.branches.all(self.at()) if branch.current)
        return name

    @contextmanager
    def listening(self) -> Iterator[list[Changed]]:
        """The change events of this clause's workspace while the context is open, in the order they were sent."""
        events: list[Changed] = []

        def hear(event: Changed, **_signal: Any) -> None:
            if event.workspace == self.workspace:
                events.append(event)

        changed.connect(hear, sender=self.adapter.source)
        try:
            yield events
        finally:
            changed.disconnect(hear, sender=self.adapter.source)

    def offers(self, name: str) -> bool:
        """Whether the adapter has the part of this name, or ``changes_several``."""
        return self.changes_several if name == "changes_several" else getattr(self.adapter, name) is not None

    def _once(self, name: str, make: Callable[[], Result]) -> Result:
        """What is made when it is first asked for, after a subclass's fixtures; all threads share it."""
        with _MAKING:  # since Python 3.12 a cached_property lets each thread make its own
            if name not in vars(self):
                vars(self)[name] = make()
        made: Result = vars(self)[name]
        return made


def where(*names: str) -> Callable[[Clause], Clause]:
    """Skip the clause where the adapter lacks a part of these names; ``changes_several`` may be one of them."""

    def only(clause: Clause) -> Clause:
        @wraps(clause)
        def run(self: Kit, *args: Any, **kwargs: Any) -> None:
            lacking = [name for name in names if not self.offers(name)]
            if lacking:
                pytest.skip(f"{self.adapter.name} lacks {', '.join(lacking)}")
            clause(self, *args, **kwargs)

        return cast("Clause", run)

    return only


def user(message_id: str, content: str | None = None, **fields: Any) -> Message:
    """A user's message as an adapter gets it: validated, with an id, a time and a token count."""
    given: dict[str, Any] = {"created_at": SENT_AT, "tokens": 5} | fields
    return Message("user", message_id if content is None else content, id=message_id, **given)


def users(*ids: str) -> list[Message]:
    """A message for each id."""
    return [user(message_id) for message_id in ids]


def answer(message_id: str, **fields: Any) -> Message:
    """An assistant's message, as ``user`` makes one of a user."""
    given: dict[str, Any] = {"created_at": SENT_AT, "tokens": 5} | fields
    return Message("assistant", message_id, id=message_id, **given)


def positions(messages: Iterable[Message]) -> list[int | None]:
    """Where the messages are."""
    return [message.seq for message in messages]


def at_once(*calls: Callable[[], Result]) -> list[Result]:
    """What the calls answer, each made in a thread of its own, all let go at the same moment.

    Raises:
        Exception: the first that a call raised, when all have ended.
    """
    start = threading.Barrier(len(calls))
    answers: dict[int, Result] = {}
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            start.wait(PATIENCE)
            answers[index] = calls[index]()
        except BaseException as error:  # noqa: BLE001  # it is raised again in the thread that asked
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,), daemon=True) for index in range(len(calls))]
    _run_all(threads)
    if errors:
        raise errors[0]
    return [answers[index] for index in range(len(calls))]


def _run_all(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a writer hangs"
