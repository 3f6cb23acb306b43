"""Owns the part that keeps feedback in Django's models; a verdict is given under the lock of its conversation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connections
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import TruncDate

from chat_memory.choices import State
from chat_memory.exceptions import MessageNotFound, MessageRedacted
from chat_memory.models import Feedback as FeedbackRow, Message as MessageRow
from chat_memory.records import Address, Feedback, FeedbackPlace, Person, Verdict, Votes, VotesOfDay, VotesOfModel
from chat_memory.rules.feedback import model_of
from chat_memory.storage.changed import Kind
from chat_memory.storage.contract import FeedbackStore
from chat_memory.storage.mapping import utc_of
from chat_memory.storage.orm.derived import record_of
from chat_memory.storage.orm.emission import changed_row
from chat_memory.storage.orm.lineage import lineage
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.reading import shown
from chat_memory.storage.orm.rows import Rows, lock
from chat_memory.storage.orm.statements import feedback as statements
from chat_memory.storage.orm.transactions import run_write

_FIRST, _LAST = FeedbackPlace(0, 0), FeedbackPlace(2**63 - 1, 2**63 - 1)
COUNTS = {
    "up": Count("pk", filter=Q(vote=1)),
    "down": Count("pk", filter=Q(vote=-1)),
    "comments": Count("pk", filter=~Q(comment="")),
}
"""The fields of ``Votes``, as aggregates of feedback rows."""


class OrmFeedback(OrmPart, FeedbackStore):
    """Feedback in Django's models."""

    def give(self, at: Address, place: int | str, verdict: Verdict, by: Person) -> Feedback:
        """See ``FeedbackStore.give``."""
        alias = self._alias

        def write(*, nested: bool) -> Feedback:
            rows, message = _found(alias, at, place)
            if verdict.comment and message.state == State.REDACTED.value:
                raise MessageRedacted(at.key, message.seq)
            row, is_new = _given(alias, message, verdict, by)
            if is_new:
                _tell(alias, at, rows, message.seq, nested=nested)
            return _record(message, row)

        return run_write(alias, write, at=at)

    def remove(self, at: Address, place: int | str, by: Person) -> bool:
        """See ``FeedbackStore.remove``."""
        alias = self._alias

        def write(*, nested: bool) -> bool:
            rows, message = _found(alias, at, place)
            number, _by_model = _of(alias, message, by).delete()
            if number:
                _tell(alias, at, rows, message.seq, nested=nested)
            return bool(number)

        return run_write(alias, write, at=at)

    def find(
        self,
        at: Address,
        *,
        after: FeedbackPlace | None = None,
        before: FeedbackPlace | None = None,
        size: int | None = None,
        backwards: bool = False,
    ) -> list[Feedback]:
        """See ``FeedbackStore.find``; one statement."""
        alias, (low, high) = self._alias, (after or _FIRST, before or _LAST)
        params = {"after_seq": low.seq, "after_id": low.number, "before_seq": high.seq, "before_id": high.number}
        params["size"] = _LAST.seq if size is None else size

        def short(**names: Any) -> str:
            return statements.of_main(backwards=backwards, **names)

        def along(**names: Any) -> str:
            return statements.of_branch(backwards=backwards, **names)

        found = [row for row in shown(alias, at, short, along, params) if row[0] is not None]
        return _records(alias, found[::-1] if backwards else found)

    def totals(self, at: Address) -> Votes:
        """See ``FeedbackStore.totals``; one statement."""
        rows = shown(self._alias, at, statements.totals_of_main, statements.totals_of_branch, {})
        return Votes(*(int(number or 0) for number in rows[0][:-1])) if rows else Votes()

    def sums(self, workspace: str, *, since: datetime | None = None, until: datetime | None = None) -> Votes:
        """See ``FeedbackStore.sums``."""
        return Votes(**_stored(self._alias, workspace, since, until).aggregate(**COUNTS))

    def by_day(
        self, workspace: str, *, since: datetime | None = None, until: datetime | None = None, size: int
    ) -> list[VotesOfDay]:
        """See ``FeedbackStore.by_day``."""
        stored = _stored(self._alias, workspace, since, until)
        days = stored.annotate(day=TruncDate("updated_at", tzinfo=UTC)).values("day").annotate(**COUNTS)
        return [VotesOfDay(**counts) for counts in days.order_by("-day")[:size]][::-1]

    def by_model(
        self, workspace: str, *, since: datetime | None = None, until: datetime | None = None, size: int
    ) -> list[VotesOfModel]:
        """See ``FeedbackStore.by_model``."""
        stored = _stored(self._alias, workspace, since, until)
        models = stored.values("model").annotate(**COUNTS).order_by(-(F("up") + F("down")), "model")
        return [VotesOfModel(**counts) for counts in models[:size]]


def _found(alias: str, at: Address, place: int | str) -> tuple[Rows, MessageRow]:
    """A message that the branch shows, under the lock of its conversation.

    Raises:
        MessageNotFound: there is none.
    """
    rows = lock(alias, at)
    stored = rows and lineage(rows.row).message(place)
    if rows is None or stored is None:
        named = {"message_id": place} if isinstance(place, str) else {"seq": place}
        raise MessageNotFound(at.key, **named)
    return rows, stored


def _of(alias: str, message: MessageRow, by: Person) -> QuerySet[FeedbackRow]:
    """A person's feedback on a message, at most one row; never that of a deleted user."""
    on = {"workspace_id": message.workspace_id, "session_id": message.session_id, "seq": message.seq}
    outside = {"user_id": None, "user_left": False, "user_key": by.user_key}
    return FeedbackRow.objects.using(alias).filter(**on, **(outside if by.user_id is None else {"user_id": by.user_id}))


def _given(alias: str, message: MessageRow, verdict: Verdict, by: Person) -> tuple[FeedbackRow, bool]:
    """Store a person's verdict on a message of a locked conversation; return the row, and whether anything changed."""
    said: dict[str, Any] = verdict._asdict()
    row, now = _of(alias, message, by).first(), datetime.now(UTC)
    if row is None:
        on = {"workspace_id": message.workspace_id, "session_id": message.session_id, "seq": message.seq}
        named = by._asdict() | {"model": model_of(record_of(alias, message))}
        return FeedbackRow.objects.using(alias).create(**on, **said, **named, created_at=now, updated_at=now), True
    if {name: getattr(row, name) for name in said} == said:
        return row, False
    row.vote, row.comment, row.updated_at = verdict.vote, verdict.comment, now
    row.save(using=alias, update_fields=(*said, "updated_at"))
    return row, True


def _record(message: MessageRow, row: FeedbackRow) -> Feedback:
    return Feedback(
        seq=row.seq,
        message_id=message.client_id,
        vote=row.vote,
        comment=row.comment,
        user_key=row.user_key,
        user_id=row.user_id,
        model=row.model,
        created_at=row.created_at,
        updated_at=row.updated_at,
        number=row.pk,
    )


def _records(alias: str, rows: Sequence[tuple[Any, ...]]) -> list[Feedback]:
    """The records of rows of the statements, each of which ends with a flag."""
    if not rows:
        return []
    zone = connections[alias].timezone or UTC
    user: Any = FeedbackRow._meta.get_field("user")
    columns: dict[str, Sequence[Any]] = dict(zip((*statements.COLUMNS, "flag"), zip(*rows, strict=True), strict=True))
    columns["user_id"] = list(map(user.target_field.to_python, columns["user_id"]))
    for name in ("created_at", "updated_at"):
        columns[name] = utc_of(columns[name], zone)
    return [Feedback(*fields) for fields in zip(*(columns[name] for name in statements.COLUMNS), strict=True)]


def _stored(alias: str, workspace: str, since: datetime | None, until: datetime | None) -> QuerySet[FeedbackRow]:
    given = {"updated_at__gte": since, "updated_at__lt": until}
    within = {name: moment for name, moment in given.items() if moment is not None}
    rows = FeedbackRow.objects.using(alias).filter(workspace__slug=workspace, session__deleted_at=None, **within)
    return rows.order_by()


def _tell(alias: str, at: Address, rows: Rows, seq: int, *, nested: bool) -> None:
    changed_row(alias, Kind.RATED, at, rows.row, rows.header, nested=nested, first_seq=seq, last_seq=seq)
