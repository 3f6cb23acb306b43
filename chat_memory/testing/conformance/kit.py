"""Owns what the clauses share: a fresh workspace for each, messages, writers at once; it must not hold a clause."""
# ruff: noqa: S101  # clauses are tests, shipped

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar, cast

import pytest
from django.db import connections

from chat_memory.choices import CURRENT
from chat_memory.records import Address, Header, Message, Span
from chat_memory.storage.base import EVERYTHING, Adapter

Result = TypeVar("Result")
Clause = TypeVar("Clause", bound=Callable[..., None])
PATIENCE = 60.0
_MAKING = threading.RLock()
SENT_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


class Kit:
    """What a subclass gives the clauses; pytest makes an instance of its own for each of them."""

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
    def workspace(self) -> str:
        """The workspace of this clause, which nobody has used."""
        return self._once("workspace", lambda: f"kit-{uuid.uuid4().hex}")

    def at(self, key: str = "k", **fields: Any) -> Address:
        """An address in this clause's workspace."""
        return Address(self.workspace, key, **fields)

    def append(self, *ids: str, key: str = "k", branch: str = CURRENT) -> Header:
        """Append a message for each id; the header afterwards."""
        return self.adapter.append(self.at(key, branch=branch), users(*ids)).header

    def ids(self, span: Span = EVERYTHING, key: str = "k", branch: str = CURRENT) -> list[str | None]:
        """The ids of the messages that a read gives."""
        return [message.id for message in self.adapter.read(self.at(key, branch=branch), span).messages]

    def header(self, key: str = "k", branch: str = CURRENT) -> Header | None:
        """The header that a read gives."""
        return self.adapter.read(self.at(key, branch=branch), Span(last=1)).header

    def version(self) -> int:
        """The version that readers of the conversation see; 0 where there is none."""
        header = self.adapter.peek(self.at())
        return header.version if header else 0

    def _once(self, name: str, make: Callable[[], Result]) -> Result:
        """What is made when it is first asked for, after a subclass's fixtures; all threads share it."""
        with _MAKING:  # since Python 3.12 a cached_property lets each thread make its own
            if name not in vars(self):
                vars(self)[name] = make()
        made: Result = vars(self)[name]
        return made


def where(flag: str) -> Callable[[Clause], Clause]:
    """Of a clause: it speaks of a part that only adapters with this flag have."""

    def only(clause: Clause) -> Clause:
        @wraps(clause)
        def run(self: Kit, *args: Any, **kwargs: Any) -> None:
            if not getattr(self.adapter, flag):
                pytest.skip(f"{flag} is False")
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
