"""Owns summaries and the claims on them; it must not call a summarizer, nor hold a lock while one is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connections, transaction
from django.db.models import QuerySet

from chat_memory.exceptions import TransactionOpen
from chat_memory.models import Session, Summary as SummaryRow
from chat_memory.records import Address, Claim, Summary
from chat_memory.storage.base import CLAIM_LAPSES
from chat_memory.storage.mapping import utc_of
from chat_memory.storage.orm import statements
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.reading import plain
from chat_memory.storage.orm.rows import find, lock
from chat_memory.storage.orm.transactions import own_or_callers, retrying


def summaries(alias: str, at: Address) -> list[Summary]:
    """The contract is ``SummaryStore.summaries``; one statement where the root speaks, since every context asks."""
    found = plain(alias, at, statements.summaries, {})
    if found is None or (found and found[0][-1]):
        branch = find(alias, at)
        return _kept(branch.row) if branch else []
    rows = [row for row in found if row[0] is not None]
    moments = utc_of([row[5] for row in rows], connections[alias].timezone or UTC) if rows else []
    return [
        Summary(first_seq, last_seq, text, model, tokens, moment)
        for (first_seq, last_seq, text, model, tokens, *_), moment in zip(rows, moments, strict=True)
    ]


def claim_summary(alias: str, at: Address, keep: int) -> Claim | None:
    """The contract is ``SummaryStore.claim_summary``."""

    def write() -> Claim | None:
        with transaction.atomic(using=alias, durable=True):
            rows = lock(alias, at)
            return _claimed(rows.row, keep) if rows else None

    try:
        return retrying(alias, write)
    except RuntimeError as error:  # what Django says of a durable block within another
        raise TransactionOpen("a summary is made outside of any transaction") from error


def keep_summary(alias: str, at: Address, claim: Claim, summary: Summary) -> bool:
    """The contract is ``SummaryStore.keep_summary``."""

    def write() -> bool:
        with own_or_callers(alias):
            rows = lock(alias, at)
            if rows is None or rows.row.base_seq >= claim.last_seq:
                return False
            said = {"text": summary.text, "model": summary.model, "tokens": summary.tokens}
            return bool(_claims(rows.row).filter(pk=claim.id).update(created_at=summary.created_at, **said))

    return retrying(alias, write)


def release_summary(alias: str, at: Address, claim: Claim) -> None:
    """The contract is ``SummaryStore.release_summary``."""

    def write() -> None:
        with own_or_callers(alias):
            rows = lock(alias, at)
            if rows is not None:
                _claims(rows.row).filter(pk=claim.id).delete()

    retrying(alias, write)


def _claimed(row: Session, keep: int) -> Claim | None:
    previous = next(reversed(_kept(row)), None)
    first, done = (previous.first_seq, previous.last_seq) if previous else (row.base_seq + 1, row.base_seq)
    last, now = row.last_seq - keep, datetime.now(UTC)
    if last <= done:
        return None
    open_claims = _claims(row)
    if open_claims.filter(created_at__gt=now - timedelta(seconds=CLAIM_LAPSES)).exists():
        return None
    open_claims.delete()
    made = SummaryRow.objects.using(row._state.db).create(
        workspace_id=row.workspace_id, session_id=row.pk, first_seq=first, last_seq=last, created_at=now
    )
    return Claim(made.pk, first, last, previous, row.branch)


def _claims(row: Session) -> QuerySet[SummaryRow]:
    same = SummaryRow.objects.using(row._state.db).filter(workspace_id=row.workspace_id, session_id=row.pk)
    return same.filter(text__isnull=True)


def _kept(row: Session) -> list[Summary]:
    line = lineage(row)
    rows = SummaryRow.objects.using(row._state.db).filter(**line.where, last_seq__gt=row.base_seq, text__isnull=False)
    return [
        _summary(found) for found in rows.order_by("last_seq", "id") if line.reaches(found.session_id, found.last_seq)
    ]


def _summary(row: SummaryRow) -> Summary:
    moment = row.created_at.astimezone(UTC)
    return Summary(row.first_seq, row.last_seq, row.text or "", row.model, row.tokens, moment)
