"""Owns the rows a transcript shows: the messages of one branch, with those that it shares with its ancestors."""

from __future__ import annotations

from functools import reduce
from operator import or_

import msgspec
from django.db.models import Q, QuerySet

from chat_memory.admin.rows import rows, with_users
from chat_memory.models import Message, Redaction, Revision, Session, Summary
from chat_memory.storage.orm.lineage import Lineage, Stretch, lineage

SUMMARIES = 20
"""A page shows at most this many summaries, the newest."""
NEAREST = 100
"""Summaries are searched on this many nearest rows of a lineage: SQLite refuses a condition with a thousand terms."""
FORMER = 200
"""A page shows at most this many former texts, the newest."""


class ShownBranch(msgspec.Struct, frozen=True):
    """The branch that a transcript shows, with the other rows of its conversation.

    Attributes:
        root: the row of ``main``, which also holds the title and the other fields of the conversation.
        row: the row of the branch that is shown.
        current: the row of the conversation's current branch.
        branches: the rows of all branches: main, the current one, then the newest first.
        lineage: the rows whose messages the branch shows, each with its range of positions.
    """

    root: Session
    row: Session
    current: Session
    branches: list[Session]
    lineage: Lineage

    def messages(self, low: int, high: int) -> list[Message]:
        """The visible messages of the branch after position ``low``, up to and including ``high``, oldest first."""
        in_range = self._in_range(max(low, self.row.base_seq), min(high, self.row.last_seq))
        return list(rows(Message).filter(in_range, **self._tenant).order_by("seq"))

    def former(self, low: int, high: int) -> list[Revision]:
        """The revisions of the messages in the same range of positions, newest first."""
        return list(rows(Revision).filter(self._in_range(low, high), **self._tenant).order_by("-id")[:FORMER])

    def summaries(self) -> list[Summary]:
        """The newest summaries of the messages the branch shows; each one includes the earlier ones."""
        nearest = self.lineage.stretches[:NEAREST]
        covered = reduce(or_, (Q(session_id=each.session_id, last_seq__lte=each.high) for each in nearest))
        shown = {"last_seq__gt": self.row.base_seq, "text__isnull": False}
        summaries = rows(Summary).filter(covered, **shown, **self._tenant)
        return list(summaries.order_by("-last_seq", "-id")[:SUMMARIES])

    @property
    def _tenant(self) -> dict[str, int]:
        return {"workspace_id": self.row.workspace_id}

    def _in_range(self, low: int, high: int) -> Q:
        """The condition for rows at positions of the branch after ``low``, up to and including ``high``.

        Each row of the lineage contributes only the positions that the branch shares with it.
        """
        cut = (Stretch(each.session_id, max(each.low, low), min(each.high, high)) for each in self.lineage.stretches)
        overlapping = (each for each in cut if each.low < each.high)
        conditions = (Q(session_id=each.session_id, seq__gt=each.low, seq__lte=each.high) for each in overlapping)
        return reduce(or_, conditions, Q(pk__in=[]))


def shown_branch(session: Session, *, main: bool = False) -> ShownBranch:
    """The branch that the transcript of a session row shows: two queries, whatever the number and depth of branches.

    The row of a branch shows that branch. The root row shows the current branch, or ``main`` if ``main`` is True.
    """
    family = {row.pk: row for row in _family(session)} or {session.pk: session}
    root = next((row for row in family.values() if row.parent_id is None), session)
    current = next((row for row in family.values() if row.pk == root.head_id), root)
    row = family.get(session.pk, session)
    if row.parent_id is None or main:
        row = root if main else current
    ordered = sorted(family.values(), key=lambda each: (each.created_at, each.pk), reverse=True)
    ordered.sort(key=lambda each: (each is not root, each is not current))
    return ShownBranch(root, row, current, ordered, lineage(row))


def former_of(message: Message) -> list[Revision]:
    """The revisions of one message, newest first."""
    same = {"workspace_id": message.workspace_id, "session_id": message.session_id, "seq": message.seq}
    return list(rows(Revision).filter(**same).order_by("-id")[:FORMER])


def redaction_of(message: Message) -> Redaction | None:
    """Who redacted a message, and when; None where that is not known."""
    same = {"workspace_id": message.workspace_id, "session_id": message.session_id, "seq": message.seq}
    return rows(Redaction).filter(**same).first()


def _family(session: Session) -> QuerySet[Session]:
    """The rows of all branches of a conversation, those marked as deleted included."""
    family = rows(Session).filter(workspace_id=session.workspace_id, key=session.key)
    return with_users(family.select_related("workspace"))
