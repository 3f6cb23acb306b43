"""Owns a turn, one question and all that answers it: who may answer, what a model is shown, and what is stored."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.choices import PARTIAL, Role, TurnState
from chat_memory.exceptions import TurnLost, TurnNotFound, TurnTaken
from chat_memory.history.handle import Place
from chat_memory.history.pairs import unanswered
from chat_memory.history.stamping import stamped
from chat_memory.history.turn_stream import TurnStreaming, new_draft, settle_left
from chat_memory.history.turn_terms import Terms, check_answers
from chat_memory.history.twins import twin
from chat_memory.history.windows import Windows
from chat_memory.records import (
    Address,
    Budget,
    Commit,
    HeldTurn,
    Message,
    Receipt,
    Slice,
    TurnRight,
    UnansweredCall,
    uuid7,
)
from chat_memory.rules import drafts
from chat_memory.rules.json_values import unstorable
from chat_memory.rules.numbers import budget, check_flag
from chat_memory.rules.overlap import is_answered, pauses
from chat_memory.storage.contract import BranchStore, TurnStore
from chat_memory.storage.titles import first_title


class Turn:
    """The turn of one question; a context manager, sync and async, that holds the right to answer it.

    Within the block nobody else has that right, unless the lease lapses: each ``append`` renews it, and ``prompt``
    where half of it is over. The block gives it up at its end.

    Made by ``Conversation.turn``, without I/O; entered once.
    """

    def __init__(self, place: Place, question: Message | str, terms: Terms) -> None:
        self._place = place
        self._terms = terms
        self._known = isinstance(question, str) or question.id is not None
        self._asked: Message | str = question if isinstance(question, str) else stamped([question])[0]
        self._holder = str(uuid.uuid4())
        self._held: HeldTurn | None = None
        self._messages: list[Message] = []
        self._version = 0
        self._renewed_at = 0.0
        self._is_stale = False

    def __repr__(self) -> str:
        at, held = self._place.address, self._held
        return f"<Turn {held.number if held else '?'} of {at.workspace}/{at.key}>"

    def __enter__(self) -> Self:
        for pause in self._entering():
            time.sleep(pause)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    async def __aenter__(self) -> Self:
        # Each step is a hop of its own, so that no thread is taken from others while this caller waits.
        steps = self._entering()
        while True:
            pause = await sync_to_async(_next)(steps)
            if pause is None:
                return self
            await asyncio.sleep(pause)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await sync_to_async(self._leave)()

    @property
    def number(self) -> int:
        """The number of the turn: the ``turn`` of its messages."""
        return self._found.number

    @property
    def branch(self) -> str:
        """The name of the branch that the question is on, and its answer."""
        return self._found.at.branch

    @property
    def question(self) -> Message:
        """The question as it is stored."""
        return self._found.question

    @property
    def messages(self) -> list[Message]:
        """What the turn has beside its question, oldest first: what was stored before, and what this block appended."""
        return list(self._messages)

    @property
    def answered(self) -> bool:
        """Whether the newest of ``messages`` is an assistant's that is complete and calls no tool."""
        return is_answered(self._messages)

    @property
    def held(self) -> bool:
        """Whether this block got the right to answer; it does not where the question is answered."""
        return bool(self._found.holder)

    @property
    def unanswered_calls(self) -> list[UnansweredCall]:
        """The tool calls of the turn to which it has no result: where who resumes it goes on."""
        return unanswered(self._messages)

    def prompt(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        greeting: bool = False,
        pending: bool = False,
    ) -> list[Message]:
        """What a model is shown to answer the question: as ``Conversation.context``, as if no later one had been asked.

        It is of the branch that the question is on, and ends with the turn itself: the question, and what the turn has
        got since. Answers that came in late are behind their own questions.

        Args:
            turns: as for ``Conversation.window``.
            messages: as for ``Conversation.window``.
            tokens: as for ``Conversation.window``.
            system: as for ``Conversation.window``.
            greeting: as for ``Conversation.window``.
            pending: as for ``Conversation.window``.

        Raises:
            ValidationError: as ``Conversation.window``.
            WindowTooSmall: as ``Conversation.window``.
            TurnNotFound: the question is not shown any more.
            TurnLost: somebody else has the right to answer, where it had to be renewed.
        """
        held = self._found
        wanted = budget(turns, messages, tokens, system=system, min_version=self._version, greeting=greeting)
        check_flag(pending, "pending")
        if not wanted:
            return []
        if held.holder and time.monotonic() - self._renewed_at > self._terms.lease / 2:
            self.renew()
        shown = self._shown(msgspec.structs.replace(wanted, until=held.number), pending=pending)
        if all(message.id != held.question.id for message in shown):
            raise TurnNotFound(held.at.key, held.question.id)
        return shown

    aprompt = twin(prompt)

    def append(self, *messages: Message) -> Receipt:
        """Store messages in the turn, whichever question is the newest by now, and renew the right to answer.

        A message without an id gets one that is made of the question's and of its place in the turn, so that a call may
        be repeated whose answer was lost: the receipt then has what is stored, and is ``replayed``, whatever the model
        has said since.

        Args:
            messages: the model's messages and the results of its calls; none at all is allowed and does nothing.

        Raises:
            ValidationError: a message cannot be stored, or begins a turn of its own.
            TurnLost: this block has not the right to answer; nothing was written.
            AttachmentNotFound: a message refers to an attachment that the workspace has not.
        """
        held = self._found
        if not held.holder:
            raise TurnLost(held.at.key, held.number)
        check_answers(messages)
        if not messages:
            return Receipt(None, None, self._version, False, ())
        self._reload_where_stale()
        ready = stamped([self._named(message, place) for place, message in enumerate(messages, len(self._messages))])
        state = TurnState.ANSWERED if is_answered(ready) else TurnState.OPEN
        commit = self._store.append(held, ready, lease=self._terms.lease, state=state)
        self._renewed_at = time.monotonic()
        self._version = commit.header.version
        known = {message.id for message in self._messages}
        self._messages += [message for message in commit.messages if message.id not in known]
        return Place(held.at, self._place.adapter).receipt(commit)

    aappend = twin(append)

    def stream(
        self,
        *,
        name: str | None = None,
        resume: bool = False,
        metadata: dict[str, Any] | None = None,
        flush_seconds: float | None = None,
        flush_bytes: int | None = None,
    ) -> TurnStreaming:
        """The next message of the turn, written chunk by chunk, for ``with`` and ``async with``; no I/O yet.

        It gets the id that ``append`` would give it. Where a former attempt ended with a part of it, it comes in the
        place of that part. Each flush renews the right to answer; where the right is lost, the next flush and the end
        raise TurnLost, and what was flushed is kept. A message that somebody had stopped is an answer too.

        Args:
            name: as that of a message.
            resume: whether it goes on from what a former attempt has left, if anything.
            metadata: as that of a message.
            flush_seconds: as for ``Conversation.streaming``.
            flush_bytes: as for ``Conversation.streaming``.

        Raises:
            ValidationError: something is not usable; the text says what.
            TurnLost: this block has not the right to answer.
        """
        held = self._found
        if not held.holder:
            raise TurnLost(held.at.key, held.number)
        check_flag(resume, "resume")
        stamped([Message.assistant("", name=name, metadata=metadata)])
        bounds = {
            "seconds": None if flush_seconds is None else drafts.flush_seconds(flush_seconds),
            "size": None if flush_bytes is None else drafts.flush_bytes(flush_bytes),
        }
        place = Place(held.at, self._place.adapter)
        return TurnStreaming(self, place, self._right, new_draft(name, metadata, resume=resume), **bounds)

    def renew(self) -> None:
        """Have the right for a whole lease from now, as while a model or a tool takes long.

        Raises:
            TurnLost: this block has not the right to answer.
        """
        self._store.renew(self._found, lease=self._terms.lease)
        self._renewed_at = time.monotonic()

    arenew = twin(renew)

    @property
    def _right(self) -> TurnRight:
        return TurnRight(self._found, self._terms.lease)

    @property
    def _store(self) -> TurnStore:
        return self._place.adapter.part(TurnStore)

    @property
    def _found(self) -> HeldTurn:
        if self._held is None:
            raise TurnLost(self._place.address.key, 0)
        return self._held

    def _entering(self) -> Iterator[float]:
        """Take the turn; each value is a number of seconds to wait before the next step."""
        terms = self._terms
        end, waits = time.monotonic() + terms.wait, pauses()
        at = _going_on_before(self._place, self._asked) if terms.busy == "rollback" else self._place.address
        while True:
            began = time.monotonic()
            held = self._take(at)
            if held.holder or is_answered(held.messages) or terms.taken == "look":
                break
            if terms.taken == "refuse" or began >= end:
                raise TurnTaken(at.key, held.number, held.seconds)
            yield max(0.0, min(next(waits), held.seconds, end - began))
        self._held, self._messages = held, list(held.messages)
        self._version, self._renewed_at = held.version, began
        if not held.holder:
            return
        self._is_stale = not held.is_new and settle_left(Place(held.at, self._place.adapter), self._right)
        self._reload_where_stale()
        yield from _among_others(self, end)

    def _take(self, at: Address) -> HeldTurn:
        asked = self._asked
        if isinstance(asked, str) and unstorable(asked):
            raise TurnNotFound(at.key, asked)
        title = None if isinstance(asked, str) else first_title([asked]) or None
        alone, lease = self._terms.busy == "reject", self._terms.lease
        held = self._store.take(
            at, asked, holder=self._holder, lease=lease, title=title, known=self._known, alone=alone
        )
        self._known = True
        return held

    def _leave(self) -> None:
        held = self._held
        if held is not None and held.holder and not self.answered:
            self._store.release(held)

    def _named(self, message: Message, place: int) -> Message:
        if getattr(message, "id", "") is not None:
            return message  # what is no message is refused where it is stamped
        return msgspec.structs.replace(message, id=_ident(self._found, place))

    def _next(self) -> tuple[str, Message | None]:
        """See ``Answering``."""
        self._reload_where_stale()
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == Role.ASSISTANT.value and last.state in PARTIAL:
            return str(last.id), last
        return _ident(self._found, len(self._messages)), None

    def _got(self, commit: Commit | None) -> None:
        """See ``Answering``."""
        if commit is None:
            self._is_stale = True
            return
        (message,) = commit.messages
        self._version, self._renewed_at = commit.header.version, time.monotonic()
        kept = self._messages[:-1] if self._messages and self._messages[-1].id == message.id else self._messages
        self._messages = [*kept, message]

    def _reload_where_stale(self) -> None:
        """Read the messages of the turn anew, where somebody else has stored what was streamed to it."""
        if self._is_stale:
            held = self._found
            wanted = Budget(turns=1, system=False, until=held.number, min_version=self._version)
            shown = self._place.adapter.messages.window(held.at, wanted)
            self._messages, self._is_stale = list(shown.messages[1:]), False

    def _shown(self, wanted: Budget, *, pending: bool) -> list[Message]:
        held, adapter = self._found, self._place.adapter

        def window(wanted: Budget) -> Slice:
            return adapter.messages.window(held.at, wanted)

        return _View(held.at, adapter).shown(wanted, window, pending=pending, before=held.question.seq)


def _ident(held: HeldTurn, place: int) -> str:
    """The id of the message at a place in a turn."""
    space = held.at.session_id or uuid.NAMESPACE_OID
    return str(uuid.uuid5(space, f"{held.question.id}/{place}"))


def _among_others(turn: Turn, end: float) -> Iterator[float]:
    """Do with the turns before one that is held what the caller has chosen."""
    held, busy, store = turn._found, turn._terms.busy, turn._store
    if busy in ("interrupt", "rollback"):
        store.interrupt(held.at, before=held.number, state=TurnState.INTERRUPTED)
    waits = pauses()
    while busy == "enqueue":
        others = [each for each in store.open(held.at) if each.number < held.number]
        if not others:
            return
        now = time.monotonic()
        if now >= end:
            turn._leave()
            raise TurnTaken(held.at.key, others[-1].number, others[-1].seconds)
        turn.renew()
        yield max(0.0, min(next(waits), end - now))


def _going_on_before(place: Place, asked: Message | str) -> Address:
    """Take back the questions that are being answered, unless the asked one is stored: the address to ask it at."""
    at = place.address
    if isinstance(asked, str) or place.adapter.messages.locate(at, asked.id or "") is not None:
        return at
    branches = place.adapter.part(BranchStore)
    ended = place.adapter.part(TurnStore).interrupt(at, state=TurnState.WITHDRAWN)
    if not ended:
        return at
    branch, _left = branches.fork(at, f"rolled-back-{uuid7()}", ended[0].seq - 1, switch=True)
    return place.on(branch.name) if at.branch else at


def _next(steps: Iterator[float]) -> float | None:
    """The next step; None where it was the last. A coroutine cannot be told so by StopIteration."""
    return next(steps, None)


class _View(Windows):
    """The windows of the branch that a turn is on."""

    def shown(
        self, wanted: Budget, window: Callable[[Budget], Slice], *, pending: bool, before: int | None
    ) -> list[Message]:
        """What ``context`` shows, by summaries of what precedes a position."""
        return self._shown_within(wanted, window, pending=pending, before=before)
