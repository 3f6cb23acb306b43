"""Owns the part that keeps summaries, and the claims on them, in Django's models; no lock is held while one is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connections
from django.db.models import QuerySet

from chat_memory.models import Session, Summary as SummaryRow
from chat_memory.records import Address, Claim, Summary
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import CLAIM_LAPSES, SummaryStore
from chat_memory.storage.mapping import utc_of
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.reading import shown
from chat_memory.storage.orm.rows import lock
from chat_memory.storage.orm.statements import branch, read as main
from chat_memory.storage.orm.transactions import run_durably, run_write


class OrmSummaries(OrmPart, SummaryStore):
    """Summaries in Django's models."""

    def all(self, at: Address) -> list[Summary]:
        """See ``SummaryStore.all``; one statement, since every context asks."""
        alias = self._alias
        found = shown(alias, at, main.summaries, branch.summaries, {})
        rows = [row for row in found if row[0] is not None]
        moments = utc_of([row[5] for row in rows], connections[alias].timezone or UTC) if rows else []
        return [
            Summary(first_seq, last_seq, text, model, tokens, moment)
            for (first_seq, last_seq, text, model, tokens, *_), moment in zip(rows, moments, strict=True)
        ]

    def claim(self, at: Address, keep: int) -> Claim | None:
        """See ``SummaryStore.claim``."""
        alias = self._alias

        def claim() -> Claim | None:
            rows = lock(alias, at)
            return self._claimed(at, rows.row, keep) if rows else None

        return run_durably(alias, claim, what="a summary is made", at=at)

    def keep(self, at: Address, claim: Claim, summary: Summary) -> bool:
        """See ``SummaryStore.keep``."""
        alias = self._alias

        def write(*, nested: bool) -> bool:
            rows = lock(alias, at)
            if rows is None or rows.row.base_seq >= claim.last_seq:
                return False
            given = {"text": summary.text, "model": summary.model, "tokens": summary.tokens}
            kept = bool(_claims(rows.row).filter(pk=claim.id).update(created_at=summary.created_at, **given))
            if kept:
                covered = {"first_seq": claim.first_seq, "last_seq": claim.last_seq}
                changed_row(alias, Kind.SUMMARIZED, at, rows.row, rows.header, nested=nested, **covered)
            return kept

        return run_write(alias, write, at=at)

    def release(self, at: Address, claim: Claim) -> None:
        """See ``SummaryStore.release``."""
        alias = self._alias

        def write(**_nested: bool) -> None:
            rows = lock(alias, at)
            if rows is not None:
                _claims(rows.row).filter(pk=claim.id).delete()

        run_write(alias, write, at=at)

    def _claimed(self, at: Address, row: Session, keep: int) -> Claim | None:
        previous = next(reversed(self.all(at)), None)
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
