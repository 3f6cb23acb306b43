"""Owns summaries: who may make one, of what, and that a failure costs nothing; it must not decide what one says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any

import msgspec
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

from chat_memory import wiring
from chat_memory.exceptions import ValidationError
from chat_memory.history.bounds import whole
from chat_memory.history.handle import Handle
from chat_memory.history.selection import summary_message
from chat_memory.history.stamping import counted, limits
from chat_memory.history.validation import check_message, check_model
from chat_memory.records import Address, Claim, Message, Span, Summary
from chat_memory.signals import summary_kept

Summarizer = Callable[[list[Message]], str | Awaitable[str]]


class Work(msgspec.Struct, frozen=True):
    """A summary to be made: by whom, by which right, of what."""

    summarizer: Summarizer
    claim: Claim
    messages: list[Message]
    model: str


class Summaries(Handle):
    """Summaries are records of their own: what they cover stays as it is (FEATURES S0.35, N45, E04)."""

    def summaries(self) -> list[Summary]:
        """Those made so far of what the conversation shows, oldest first; each goes on from the one before it.

        Raises:
            NotSupported: the back end keeps no summaries.
        """
        return self._adapter.summaries(self._address)

    def summarize(self, summarizer: Summarizer | None = None, *, keep: int, model: str = "") -> Summary | None:
        """Have all but the newest ``keep`` messages summarised; ``context`` then shows the summary in their place.

        No lock and no transaction is held while the summarizer works, and appends go on. Of several callers at once
        one does the work. If the summarizer fails, nothing has happened and the next call may try again.

        Args:
            summarizer: takes the messages that no summary covers yet, with the last summary before them as a system
                message, and gives a text; sync or async. None: the setting SUMMARIZER.
            keep: how many of the newest messages not to cover.
            model: who summarises, kept beside the text.

        Returns:
            The summary; None where there is nothing new to cover, or somebody else is at it.

        Raises:
            ValidationError: an argument is not usable, or the summarizer gave no text.
            TransactionOpen: the caller holds a transaction open.
            NotSupported: the back end keeps no summaries.
        """
        return self._summarized(self._work(summarizer, keep, model))

    async def asummarize(self, summarizer: Summarizer | None = None, *, keep: int, model: str = "") -> Summary | None:
        """Async twin of ``summarize``; no thread waits for an async summarizer."""
        work = await sync_to_async(self._work)(summarizer, keep, model)
        if work is None:
            return None
        try:
            said = await _said(work)
            return await sync_to_async(self._keep)(work, said)
        except BaseException:
            await sync_to_async(self._release)(work)
            raise

    async def asummaries(self) -> list[Summary]:
        """Async twin of ``summaries``."""
        return await sync_to_async(self.summaries)()

    def _summarize_due(self, threshold: int) -> None:
        """Have SUMMARIZER cover all but half of so many messages, unless another worker has just done it."""
        keep = threshold // 2
        self._summarized(self._work(None, keep, "", at_least=threshold - keep))

    def _summarized(self, work: Work | None) -> Summary | None:
        if work is None:
            return None
        with self._released_on_failure(work):
            said = work.summarizer(work.messages)
            return self._keep(work, async_to_sync(_awaited)(said) if isawaitable(said) else said)

    def _work(self, summarizer: Summarizer | None, keep: int, model: str, at_least: int = 1) -> Work | None:
        """What is to be done, the right to it taken; None where there are not so many messages to cover."""
        summarizer = _usable(summarizer)
        check_model(model)
        claim = self._adapter.claim_summary(self._address, whole(keep, "keep"))
        if claim is None:
            return None
        try:
            messages = self._uncovered(claim)
        except BaseException:
            self._adapter.release_summary(self._claimed(claim), claim)
            raise
        if len(messages) < at_least:
            self._adapter.release_summary(self._address, claim)
            return None
        before = [summary_message(claim.previous)] if claim.previous else []
        return Work(summarizer, claim, [*before, *messages], model)

    def _uncovered(self, claim: Claim) -> Sequence[Message]:
        after = claim.previous.last_seq if claim.previous else claim.first_seq - 1
        return self._adapter.read(self._claimed(claim), Span(after=after, before=claim.last_seq + 1)).messages

    def _claimed(self, claim: Claim) -> Address:
        """The branch that a claim is on: while a model works, another one may come to speak for the conversation."""
        return self._on(claim.branch)._address

    def _keep(self, work: Work, text: object) -> Summary | None:
        """Keep what the summarizer said; None where it is too late for it."""
        if not isinstance(text, str) or not text.strip():
            raise ValidationError("must give a text that says something", field="summarizer")
        claim = work.claim
        summary = Summary(claim.first_seq, claim.last_seq, str.__str__(text), work.model, 0, datetime.now(UTC))
        shown = summary_message(summary)
        check_message(shown, limits())
        summary = msgspec.structs.replace(summary, tokens=counted(shown))
        if not self._adapter.keep_summary(self._claimed(claim), claim, summary):
            return None
        self._announce(summary_kept, branch=claim.branch, first_seq=summary.first_seq, last_seq=summary.last_seq)
        return summary

    @contextmanager
    def _released_on_failure(self, work: Work) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._release(work)
            raise

    def _release(self, work: Work) -> None:
        self._adapter.release_summary(self._claimed(work.claim), work.claim)


async def _said(work: Work) -> Any:
    """What the summarizer says; one that is not async has a thread of its own, for the shared one is the database's."""
    if iscoroutinefunction(work.summarizer):
        return await work.summarizer(work.messages)
    said = await sync_to_async(work.summarizer, thread_sensitive=False)(work.messages)
    return await said if isawaitable(said) else said


async def _awaited(said: Awaitable[str]) -> str:
    return await said


def _usable(summarizer: Summarizer | None) -> Summarizer:
    """The caller's summarizer, or the settings'.

    Raises:
        ValidationError: there is none, or it cannot be called.
    """
    found = wiring.summarizer() if summarizer is None else summarizer
    if found is None:
        raise ValidationError("is not given, and the setting SUMMARIZER names none", field="summarizer")
    if not callable(found):
        raise ValidationError(f"must be callable, not {type(found).__name__}", field="summarizer")
    return found
