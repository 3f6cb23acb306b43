"""Owns making summaries: the claim to make one, the messages it covers, its storage; it must not decide its text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any

import msgspec
from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

from chat_memory import host_callables
from chat_memory.exceptions import ValidationError
from chat_memory.history.handle import Handle
from chat_memory.history.selection import summary_message
from chat_memory.history.stamping import counted
from chat_memory.history.twins import twin
from chat_memory.records import Claim, Message, Span, Summary
from chat_memory.rules.limits import limits
from chat_memory.rules.message import check_message
from chat_memory.rules.names import check_model
from chat_memory.rules.numbers import whole_number
from chat_memory.storage.contract import SummaryStore

Summarizer = Callable[[list[Message]], str | Awaitable[str]]


class Work(msgspec.Struct, frozen=True):
    """A summary to be made: the summarizer, the claim to make it, the messages for it, and the model's name."""

    summarizer: Summarizer
    claim: Claim
    messages: list[Message]
    model: str


class Summaries(Handle):
    """Summaries are separate records; the messages that they cover are not changed."""

    def summaries(self) -> list[Summary]:
        """The summaries of messages that the conversation shows, oldest first; each continues the one before it.

        Raises:
            NotSupported: the back end keeps no summaries.
        """
        return self.place.adapter.part(SummaryStore).all(self.place.address)

    asummaries = twin(summaries)

    def summarize(self, summarizer: Summarizer | None = None, *, keep: int, model: str = "") -> Summary | None:
        """Summarise all but the newest ``keep`` messages; ``context`` then shows the summary in their place.

        No lock and no transaction is held while the summarizer works, so appends continue. Only one of several
        concurrent callers does the work. If the summarizer fails, nothing is stored, and the next call may try again.

        Args:
            summarizer: takes the messages that no summary covers yet, with the last summary before them as a system
                message, and returns a text; sync or async. None: the setting SUMMARIZER.
            keep: how many of the newest messages not to cover.
            model: the name of the language model, stored with the text.

        Returns:
            The summary; None where there is nothing new to cover, or another caller is making it.

        Raises:
            ValidationError: an argument is not usable, or the summarizer returned no text.
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
            text = await _text(work)
            return await sync_to_async(self._keep)(work, text)
        except BaseException:
            await sync_to_async(self._release)(work.claim)
            raise

    def _summarize_due(self, threshold: int) -> None:
        """Have SUMMARIZER cover all but the newest ``threshold`` / 2 messages, unless a worker has just done so."""
        keep = threshold // 2
        self._summarized(self._work(None, keep, "", at_least=threshold - keep))

    def _summarized(self, work: Work | None) -> Summary | None:
        if work is None:
            return None
        with self._released_on_failure(work):
            text = work.summarizer(work.messages)
            return self._keep(work, async_to_sync(_awaited)(text) if isawaitable(text) else text)

    def _work(self, summarizer: Summarizer | None, keep: int, model: str, at_least: int = 1) -> Work | None:
        """Claim the work and read its messages; None if somebody else has it or there are fewer than ``at_least``."""
        summarizer = _usable(summarizer)
        check_model(model)
        claim = self.place.adapter.part(SummaryStore).claim(self.place.address, whole_number(keep, "keep"))
        if claim is None:
            return None
        try:
            messages = self._uncovered(claim)
        except BaseException:
            self._release(claim)
            raise
        if len(messages) < at_least:
            self._release(claim)
            return None
        before = [summary_message(claim.previous)] if claim.previous else []
        return Work(summarizer, claim, [*before, *messages], model)

    def _uncovered(self, claim: Claim) -> Sequence[Message]:
        after = claim.previous.last_seq if claim.previous else claim.first_seq - 1
        span = Span(after=after, before=claim.last_seq + 1)
        return self.place.adapter.messages.read(self.place.on(claim.branch), span).messages

    def _keep(self, work: Work, text: object) -> Summary | None:
        """Store the summarizer's text; None if the claim is not valid any more."""
        if not isinstance(text, str) or not text.strip():
            got = "empty text" if isinstance(text, str) else type(text).__name__
            raise ValidationError(f"must give a text that says something, not {got}", field="summarizer")
        claim = work.claim
        summary = Summary(claim.first_seq, claim.last_seq, str.__str__(text), work.model, 0, datetime.now(UTC))
        message = summary_message(summary)
        check_message(message, limits())
        summary = msgspec.structs.replace(summary, tokens=counted(message))
        # On the claim's branch: while a model works, another branch may become the current one.
        is_kept = self.place.adapter.part(SummaryStore).keep(self.place.on(claim.branch), claim, summary)
        return summary if is_kept else None

    @contextmanager
    def _released_on_failure(self, work: Work) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._release(work.claim)
            raise

    def _release(self, claim: Claim) -> None:
        self.place.adapter.part(SummaryStore).release(self.place.on(claim.branch), claim)


async def _text(work: Work) -> Any:
    """The summarizer's text; a sync summarizer gets a thread of its own, because the shared one is the database's."""
    if iscoroutinefunction(work.summarizer):
        return await work.summarizer(work.messages)
    text = await sync_to_async(work.summarizer, thread_sensitive=False)(work.messages)
    return await text if isawaitable(text) else text


async def _awaited(text: Awaitable[str]) -> str:
    return await text


def _usable(summarizer: Summarizer | None) -> Summarizer:
    """The caller's summarizer, or the settings'.

    Raises:
        ValidationError: there is none, or it cannot be called.
    """
    usable = host_callables.summarizer() if summarizer is None else summarizer
    if usable is None:
        raise ValidationError("is not given, and the setting SUMMARIZER names none", field="summarizer")
    if not callable(usable):
        raise ValidationError(f"must be callable, not {type(usable).__name__}", field="summarizer")
    return usable
