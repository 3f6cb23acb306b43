"""Owns the branches and summaries of a conversation on their way out and in; it must not know how a line is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from chat_memory import wiring
from chat_memory.choices import MAIN_BRANCH
from chat_memory.exceptions import ValidationError
from chat_memory.history.tokens import estimate
from chat_memory.maintenance.formats import BranchLine, SummaryLine, Transcript
from chat_memory.models import Session, Summary
from chat_memory.records import Address, Message, Span
from chat_memory.storage.orm import DjangoAdapter, branching

Append = Callable[[Address, Sequence[Message], int | None], int]
"""Appends messages to a branch, the first at the position after one that is given; how many of them were new."""


def branch_lines(adapter: DjangoAdapter, main: Address, base_seq: int) -> list[BranchLine]:
    """The branches of a conversation whose ``main`` shows what is after ``base_seq``, parents before children."""
    lines: list[BranchLine] = []
    bases = {MAIN_BRANCH: base_seq}
    waiting = adapter.branches(main)[1:]
    while waiting:  # clocks differ, so a child may seem to be older than its parent
        branch = next(each for each in waiting if (each.parent or MAIN_BRANCH) in bases)
        waiting.remove(branch)
        base = branch.last_seq - branch.message_count
        parent = branch.parent or MAIN_BRANCH
        # What the parent has cleared is in no line of its own, so that the branch brings it along.
        fork_seq = base if bases[parent] > base else branch.fork_seq
        at = Address(main.workspace, main.key, branch.name)
        messages = adapter.read(at, Span(after=max(fork_seq, base))).messages
        lines.append(BranchLine(branch.name, parent, fork_seq, base, messages, branch.current, branch.created_at))
        bases[branch.name] = base
    return lines


def summary_lines(adapter: DjangoAdapter, main: Address) -> list[SummaryLine]:
    """The summaries of a conversation, branch by branch, without those of what has been cleared."""
    kept = Summary.objects.using(adapter.alias).filter(
        workspace__slug=main.workspace, session__key=main.key, text__isnull=False
    )
    rows = kept.select_related("session").order_by("session__created_at", "session_id", "last_seq", "id")
    return [
        SummaryLine(row.session.branch, row.first_seq, row.last_seq, row.text or "", row.model, row.created_at)
        for row in rows
        if row.last_seq > row.session.base_seq
    ]


def restore(alias: str, main: Address, transcript: Transcript, append: Append) -> tuple[int, int]:
    """Bring branches and summaries in, inside the caller's transaction; messages added, and messages in all.

    Raises:
        ValidationError: a branch or a summary lies outside of what its branch holds.
        ChatMemoryError: as ``append``.
    """
    added = total = 0
    current = None
    for line in transcript.branches:
        at = msgspec.structs.replace(main, branch=line.name)
        made = branching.restore(alias, at, line)
        added += append(at, line.messages, max(line.fork_seq, line.base_seq))
        total += len(line.messages)
        if line.current and made:
            current = line.name
    if current:
        branching.switch(alias, main, current)
    Summary.objects.using(alias).bulk_create(_missing(alias, main, transcript.summaries))
    return added, total


def _missing(alias: str, main: Address, lines: Sequence[SummaryLine]) -> Iterator[Summary]:
    """The rows of the summaries that are not stored yet."""
    rows = Session.objects.using(alias).filter(workspace__slug=main.workspace, key=main.key)
    branches = {row.branch: row for row in rows} if lines else {}
    counter = wiring.token_counter(estimate)
    for line in lines:
        row = branches[line.branch]
        if line.last_seq > row.last_seq:
            raise ValidationError(f"the summary up to {line.last_seq} covers more than branch {line.branch!r} holds")
        said = {"first_seq": line.first_seq, "last_seq": line.last_seq, "text": line.text}
        if not Summary.objects.using(alias).filter(workspace_id=row.workspace_id, session=row, **said).exists():
            made_at = line.created_at or datetime.now(UTC)
            yield Summary(
                workspace_id=row.workspace_id,
                session=row,
                **said,
                model=line.model,
                tokens=counter(line.text),
                created_at=made_at,
            )
