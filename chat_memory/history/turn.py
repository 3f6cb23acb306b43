"""Owns a turn, one question and all that answers it: who may answer, what a model is shown, and what is stored."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from chat_memory.exceptions import TurnLost, TurnNotFound, TurnTaken, ValidationError
from chat_memory.history.handle import Place
from chat_memory.history.overlapping import among_others, going_on_before
from chat_memory.history.pairs import unanswered
from chat_memory.history.stamping import stamped
from chat_memory.history.turn_messages import TurnMessages
from chat_memory.history.turn_prompt import prompted
from chat_memory.history.turn_stream import TurnStreaming, flush_bounds, new_draft, settle_left
from chat_memory.history.turn_terms import Terms, check_answers
from chat_memory.history.twins import to_the_end, twin
from chat_memory.records import (
    Address,
    HeldTurn,
    Message,
    Receipt,
    TurnRight,
    UnansweredCall,
)
from chat_memory.rules.json_values import unstorable
from chat_memory.rules.numbers import budget, check_flag
from chat_memory.rules.overlap import is_answered, pauses
from chat_memory.storage.contract import TurnStore
from chat_memory.storage.titles import first_title

logger = logging.getLogger("chat_memory.history")


class Turn:
    """The turn of one question; a context manager, sync and async, that holds the right to answer it.

    Within the block nobody else has that right, unless the lease lapses. Each ``append`` renews the lease, and
    ``prompt`` renews it once half of it is over. The end of the block gives the right up.

    Made by ``Conversation.turn``, without I/O; it can be entered once.
    """

    def __init__(self, place: Place, question: Message | str, terms: Terms) -> None:
        self._place = place
        self._terms = terms
        self._known = isinstance(question, str) or question.id is not None
        self._asked: Message | str = question if isinstance(question, str) else stamped([question])[0]
        self._holder = str(uuid.uuid4())
        self._entered: TurnMessages | None = None
        self._renewed_at = 0.0

    def __repr__(self) -> str:
        at, known = self._place.address, self._entered
        return f"<Turn {known.held.number if known else '?'} of {at.workspace}/{at.key}>"

    def __enter__(self) -> Self:
        self._check_fresh()
        steps = self._entering()
        try:
            for pause in steps:
                time.sleep(pause)
        except BaseException:
            self._give_up()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(quietly=kind is not None)

    async def __aenter__(self) -> Self:
        # Each step is a thread hop of its own, so that no thread is occupied while this caller waits.
        self._check_fresh()
        steps = self._entering()
        try:
            while True:
                pause = await to_the_end(lambda: next(steps, None))
                if pause is None:
                    return self
                await asyncio.sleep(pause)
        except BaseException:
            await to_the_end(self._give_up)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_the_end(lambda: self.__exit__(kind, error, trace))

    def __reduce__(self) -> Any:
        raise TypeError("a turn cannot be pickled: give the other process the question's id, and call chat.turn there")

    @property
    def number(self) -> int:
        """The number of the turn: the ``turn`` of its messages."""
        return self._known_now.held.number

    @property
    def branch(self) -> str:
        """The name of the branch of the question and its answer."""
        return self._known_now.held.at.branch

    @property
    def question(self) -> Message:
        """The question as it is stored."""
        return self._known_now.held.question

    @property
    def messages(self) -> list[Message]:
        """The messages of the turn after its question, oldest first: those stored before, and those of this block."""
        return list(self._known_now.stored) if self._entered else []

    @property
    def answered(self) -> bool:
        """Whether the newest of ``messages``, system messages aside, is an assistant's that calls no tool.

        One that failed or was abandoned is no answer; one that somebody stopped is.
        """
        return self._entered is not None and self._entered.answered

    @property
    def held(self) -> bool:
        """Whether this block got the right to answer; False if the question is answered or somebody else has it."""
        return bool(self._known_now.held.holder)

    @property
    def unanswered_calls(self) -> list[UnansweredCall]:
        """The tool calls of the turn that have no result yet; a resumed turn continues with them."""
        return unanswered(self.messages)

    def prompt(
        self,
        *,
        turns: int | None = None,
        messages: int | None = None,
        tokens: int | None = None,
        system: bool = True,
        greeting: bool = False,
        pending: bool = False,
        resume: bool = False,
    ) -> list[Message]:
        """The messages that a model needs to answer the question: as ``Conversation.context``, without later questions.

        They are those of the question's branch and end with the turn itself: the question and the turn's messages so
        far. A late answer to an earlier question comes behind its own question.

        Args:
            turns: as for ``Conversation.window``.
            messages: as for ``Conversation.window``.
            tokens: as for ``Conversation.window``.
            system: as for ``Conversation.window``.
            greeting: as for ``Conversation.window``.
            pending: as for ``Conversation.window``.
            resume: whether the partial answer that a broken attempt left comes last; within the block of
                ``stream(resume=True)`` it always does.

        Raises:
            ValidationError: as ``Conversation.window``.
            WindowTooSmall: as ``Conversation.window``.
            TurnNotFound: the question is not shown any more.
            TurnLost: the lease had to be renewed, but somebody else has the right to answer.
        """
        known = self._known_now
        held = known.held
        wanted = budget(turns, messages, tokens, system=system, min_version=known.version, greeting=greeting)
        check_flag(pending, "pending")
        check_flag(resume, "resume")
        if not wanted:
            return []
        if held.holder and not known.is_over and time.monotonic() - self._renewed_at > self._terms.lease / 2:
            self.renew()
        return prompted(held, self._place.adapter, wanted, pending=pending, left=resume or known.goes_on)

    aprompt = twin(prompt)

    def append(self, *messages: Message) -> Receipt:
        """Store messages in the turn, even if later questions were asked, and renew the right to answer.

        A message without an id gets one that is made from the question's id and its place in the turn. So a call whose
        result was lost can be repeated: the receipt then has the stored messages and is ``replayed``.

        Args:
            messages: the model's messages and the results of its calls; none at all is allowed and does nothing.

        Raises:
            ValidationError: a message cannot be stored, or begins a turn of its own.
            TurnLost: this block does not have the right to answer; nothing was written.
            TurnNotFound: a stream of this block was lost, and the question is not shown any more; nothing was written.
            MessageConflict: an id that the caller gave is stored with other content, or in another turn.
            AttachmentNotFound: a message refers to an attachment that the conversation does not have.
        """
        known = self._known_now
        held, lease = known.holding(), self._terms.lease
        check_answers(messages)
        if not messages:
            return Receipt(None, None, known.version, False, ())
        known.reload()
        ready = known.named(stamped(messages), [message.id is None for message in messages])
        state = known.state_with(ready)
        commit = self._store.append(held, ready, lease=lease, state=state)
        self._renewed_at = time.monotonic()
        known.appended(commit)
        if (told := known.state_with()) != state:  # a replay: the stored messages differ from the given ones
            self._store.append(held, commit.messages, lease=lease, state=told)
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
        """A context manager, sync and async, that writes the next message of the turn chunk by chunk; no I/O yet.

        The message gets the id that ``append`` would give it, and replaces the partial message of a former attempt, if
        there is one. Each flush renews the right to answer. If the right is lost, the next flush and the end of the
        block raise TurnLost, and the flushed text is kept. A message that somebody stopped is an answer too.

        Args:
            name: the name of the message.
            resume: whether to continue the partial message of a former attempt, if there is one.
            metadata: the metadata of the message.
            flush_seconds: as for ``Conversation.streaming``.
            flush_bytes: as for ``Conversation.streaming``.

        Raises:
            ValidationError: an argument is not usable; the text says which.
            TurnLost: this block does not have the right to answer.
        """
        known = self._known_now
        held = known.holding()
        check_flag(resume, "resume")
        stamped([Message.assistant("", name=name, metadata=metadata)])
        bounds = flush_bounds(flush_seconds, flush_bytes)
        place = Place(held.at, self._place.adapter)
        right = TurnRight(held, self._terms.lease)
        return TurnStreaming(known, self.renew, place, right, new_draft(name, metadata, resume=resume), **bounds)

    def renew(self) -> None:
        """Extend the right to a whole lease from now, for example while a model or a tool takes long.

        Raises:
            TurnLost: this block does not have the right to answer.
        """
        self._store.renew(self._known_now.holding(), lease=self._terms.lease)
        self._renewed_at = time.monotonic()

    arenew = twin(renew)

    @property
    def _store(self) -> TurnStore:
        return self._place.adapter.part(TurnStore)

    @property
    def _known_now(self) -> TurnMessages:
        if self._entered is None:
            raise TurnLost(self._place.address.key, 0)
        return self._entered

    def _entering(self) -> Iterator[float]:
        """Take the turn; each value is a number of seconds to wait before the next step."""
        terms = self._terms
        end, waits = time.monotonic() + terms.wait, pauses()
        at = going_on_before(self._place, self._asked) if terms.busy == "rollback" else self._place.address
        while True:
            began = time.monotonic()
            held = self._take(at)
            if held.holder or is_answered(held.messages) or terms.taken == "look":
                break
            if terms.taken == "refuse" or began >= end:
                raise TurnTaken(at.key, held.number, held.seconds)
            yield max(0.0, min(next(waits), held.seconds, end - began))
        self._entered = known = TurnMessages(held, self._place.adapter)
        self._renewed_at = began
        if not held.holder:
            return
        right = TurnRight(held, terms.lease)
        known.is_stale = not held.is_new and settle_left(Place(held.at, self._place.adapter), right)
        known.reload()
        longest = terms.lease / 2
        yield from among_others(self._store, held, terms.busy, end=end, longest=longest, renew=self.renew)

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

    def _check_fresh(self) -> None:
        """Check that the block was not entered before.

        Raises:
            ValidationError: it was.
        """
        if self._entered is not None:
            raise ValidationError("can be entered once: call chat.turn() again", field="turn")

    def _give_up(self) -> None:
        """Give the right up if the block could not be entered, whatever the reason."""
        self._leave(quietly=True)
        self._entered = None

    def _leave(self, *, quietly: bool) -> None:
        """Give the right up; ``quietly``: another error is being raised, which one from here must not replace."""
        known = self._entered
        if known is None or not known.held.holder or known.is_over:
            return
        known.is_over = True
        if known.answered and not known.is_unsure:
            return
        try:
            self._store.release(known.held)
        except Exception as error:
            if not quietly:
                raise
            logger.info("the right to answer a turn was not given up, and lapses (%s)", type(error).__name__)
