"""Owns the tools of the clauses: a new workspace for each, messages, events, threads; it contains no clause."""
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
    AttachmentStore,
    BranchStore,
    DraftStore,
    EditStore,
    FeedbackStore,
    MessageStore,
    SessionStore,
    SummaryStore,
    TurnStore,
)
from chat_memory.storage.contract.edits import Place, Restate

Result = TypeVar("Result")
Clause = TypeVar("Clause", bound=Callable[..., None])
PATIENCE = 60.0
"""Seconds after which a clause fails because a thread has not ended."""
_MAKING = threading.RLock()
SENT_AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
"""The time of messages that are given none."""


class Kit:
    """The base of all clauses; pytest creates an instance of the subclass for each clause."""

    changes_several = True
    """Whether ``append_many`` is supported; if False, the clauses require that it raises NotSupported."""

    yields_keys = True
    """Whether a session whose key a client chose yields it to the user for whom the server opens it."""

    def make_adapter(self) -> Adapter:
        """Return the adapter under test; a subclass must implement this.

        All clauses may use the same store, since each uses a workspace of its own.
        """
        raise NotImplementedError

    def make_workspace(self, slug: str) -> None:
        """Create a workspace without a session; override this if the adapter has no method ``add_workspace``."""
        self.adapter.add_workspace(slug)  # type: ignore[attr-defined]  # not a verb of the contract

    def host_user(self) -> Any:
        """The primary key of a user of the host; override this if the adapter's sessions refer to a stored one."""
        return 7

    def let_claims_lapse(self) -> None:
        """Make every claim on a summary in this clause's workspace older than ``CLAIM_LAPSES`` seconds, at once.

        A subclass must implement this if its adapter stores summaries.
        """
        raise NotImplementedError

    def let_drafts_lapse(self) -> None:
        """Make every draft in this clause's workspace older than DRAFT_LAPSE_SECONDS, at once.

        A subclass must implement this if its adapter keeps drafts.
        """
        raise NotImplementedError

    @property
    def adapter(self) -> Adapter:
        """The adapter of this clause."""
        return self._once("adapter", self.make_adapter)

    @property
    def messages(self) -> MessageStore:
        """The adapter's part for messages."""
        return self.adapter.messages

    @property
    def sessions(self) -> SessionStore:
        """The adapter's part for sessions."""
        return self.adapter.sessions

    @property
    def branches(self) -> BranchStore:
        """The adapter's part for branches; raises NotSupported if it has none."""
        return self.adapter.part(BranchStore)

    @property
    def edits(self) -> EditStore:
        """The adapter's part for edits; raises NotSupported if it has none."""
        return self.adapter.part(EditStore)

    @property
    def summaries(self) -> SummaryStore:
        """The adapter's part for summaries; raises NotSupported if it has none."""
        return self.adapter.part(SummaryStore)

    @property
    def archive(self) -> ArchiveStore:
        """The adapter's part for restoring conversations; raises NotSupported if it has none."""
        return self.adapter.part(ArchiveStore)

    @property
    def attachments(self) -> AttachmentStore:
        """The adapter's part for attachments; raises NotSupported if it has none."""
        return self.adapter.part(AttachmentStore)

    @property
    def feedback(self) -> FeedbackStore:
        """The adapter's part for feedback; raises NotSupported if it has none."""
        return self.adapter.part(FeedbackStore)

    @property
    def drafts(self) -> DraftStore:
        """The adapter's part for drafts; raises NotSupported if it has none."""
        return self.adapter.part(DraftStore)

    @property
    def turns(self) -> TurnStore:
        """The adapter's part for turns; raises NotSupported if it has none."""
        return self.adapter.part(TurnStore)

    @property
    def workspace(self) -> str:
        """The slug of this clause's workspace, which no other clause uses."""
        return self._once("workspace", lambda: f"kit-{uuid.uuid4().hex}")

    def at(self, key: str = "k", **fields: Any) -> Address:
        """An address in this clause's workspace."""
        return Address(self.workspace, key, **fields)

    def append(self, *ids: str, key: str = "k", branch: str = CURRENT) -> Header:
        """Append a user message for each id, and return the header after the append."""
        return self.messages.append(self.at(key, branch=branch), users(*ids)).header

    def send(self, message_id: str, moment: datetime, key: str = "k") -> None:
        """Append a user message whose ``created_at`` is ``moment``."""
        self.messages.append(self.at(key), [user(message_id, created_at=moment)])

    def rewrite(self, seq: int, content: Content, branch: str = CURRENT, key: str = "k", **changes: Any) -> Commit:
        """Edit a message; the edit function also sets ``changes``: ``tokens``, or fields that no edit may change."""
        return self.edits.edit(self.at(key, branch=branch), seq, self.saying(content, **changes))

    def saying(self, content: Content, **changes: Any) -> Restate:
        """An edit function that sets the content, and ``changes``."""
        given = {"tokens": 5, "content": content} | changes
        return lambda stored: msgspec.structs.replace(stored, **given)

    def redact(self, place: Place, branch: str = CURRENT, key: str = "k") -> Commit:
        """Redact a message as a conversation does."""
        return self.edits.redact(self.at(key, branch=branch), place, redacted)

    def pop(self, branch: str = CURRENT) -> str | None:
        """Pop the newest message and return its id; None where there is none."""
        commit = self.messages.pop(self.at(branch=branch))
        return commit.messages[0].id if commit else None

    def ids(self, span: Span = ALL_MESSAGES, key: str = "k", branch: str = CURRENT) -> list[str | None]:
        """The ids of the messages of a span."""
        return [message.id for message in self.messages.read(self.at(key, branch=branch), span).messages]

    def contents(self, branch: str = CURRENT) -> list[Content]:
        """The contents of all messages of a branch."""
        return [message.content for message in self.messages.read(self.at(branch=branch)).messages]

    def header(self, key: str = "k", branch: str = CURRENT) -> Header | None:
        """The header of a branch; None where there is no session."""
        return self.messages.read(self.at(key, branch=branch), Span(last=1)).header

    def version(self) -> int:
        """The version of the current branch; 0 where there is no conversation."""
        header = self.messages.peek(self.at())
        return header.version if header else 0

    def current(self) -> str:
        """The name of the current branch; fails unless exactly one is current."""
        (name,) = (branch.name for branch in self.branches.all(self.at()) if branch.current)
        return name

    @contextmanager
    def listening(self) -> Iterator[list[Changed]]:
        """The change events of this clause's workspace that are emitted inside the block, in order."""
        events: list[Changed] = []

        def receive(event: Changed, **_signal: Any) -> None:
            if event.workspace == self.workspace:
                events.append(event)

        changed.connect(receive, sender=self.adapter.source)
        try:
            yield events
        finally:
            changed.disconnect(receive, sender=self.adapter.source)

    def offers(self, name: str) -> bool:
        """Whether the adapter has the part with this name; for a flag such as "changes_several", its value."""
        flag: bool | None = getattr(self, name) if name in ("changes_several", "yields_keys") else None
        return getattr(self.adapter, name) is not None if flag is None else flag

    def _once(self, name: str, make: Callable[[], Result]) -> Result:
        """The result of ``make``, called once per instance on first use, which is after a subclass's fixtures ran."""
        with _MAKING:  # since Python 3.12, each thread may compute a cached_property again
            if name not in vars(self):
                vars(self)[name] = make()
        made: Result = vars(self)[name]
        return made


def where(*names: str) -> Callable[[Clause], Clause]:
    """A decorator that skips a clause if ``Kit.offers`` is False for one of ``names``."""

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
    """A user message as an adapter receives it: valid, with an id, a time and a token count."""
    given: dict[str, Any] = {"created_at": SENT_AT, "tokens": 5} | fields
    return Message("user", message_id if content is None else content, id=message_id, **given)


def users(*ids: str) -> list[Message]:
    """A user message for each id."""
    return [user(message_id) for message_id in ids]


def answer(message_id: str, **fields: Any) -> Message:
    """An assistant message as an adapter receives it: valid, with an id, a time and a token count."""
    given: dict[str, Any] = {"created_at": SENT_AT, "tokens": 5} | fields
    return Message("assistant", message_id, id=message_id, **given)


def positions(messages: Iterable[Message]) -> list[int | None]:
    """The positions of the messages."""
    return [message.seq for message in messages]


def at_once(*calls: Callable[[], Result]) -> list[Result]:
    """Run each call in a thread of its own, all starting at the same moment, and return their results in order.

    Raises:
        Exception: the first error that a call raised; it is raised after all threads have ended.
    """
    start = threading.Barrier(len(calls))
    answers: dict[int, Result] = {}
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            start.wait(PATIENCE)
            answers[index] = calls[index]()
        except BaseException as error:  # noqa: BLE001  # at_once raises it in the calling thread
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
        assert not thread.is_alive(), f"a thread has not ended within {PATIENCE:g} seconds"
