"""Owns which rows a page about a conversation shows: those of a branch and of what it shares; it must not page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_
from uuid import UUID

import msgspec
from django.db.models import F, Q, QuerySet, Sum

from chat_memory.models import Message, Session, Summary
from chat_memory.models.audit import Revision
from chat_memory.storage.orm.lineage import Part

LISTED = 100
"""How many branches a page names."""
SUMMARIES = 20
NEAREST = 100
"""Among how many rows of a lineage summaries are looked for: SQLite takes no condition of a thousand."""
FORMER = 200
"""How many former texts a page shows, the newest."""


class View(msgspec.Struct, frozen=True):
    """A conversation as one of its branches shows it.

    Attributes:
        root: its first row, which holds its title and the like.
        row: the branch.
        speaker: the branch that speaks for the conversation.
        branches: all of them: main, the one that speaks, then the newest first.
        parts: the rows that hold what the branch shows, its own first.
    """

    root: Session
    row: Session
    speaker: Session
    branches: list[Session]
    parts: list[Part]

    def messages(self, low: int, high: int) -> list[Message]:
        """What the branch shows after one position, up to another."""
        held = self._held(max(low, self.row.base_seq), min(high, self.row.last_seq))
        rows = Message.objects.using(self.row._state.db).filter(held, workspace_id=self.row.workspace_id)
        return list(rows.order_by("seq"))

    def former(self, low: int, high: int) -> list[Revision]:
        """What those messages said before their edits, newest first."""
        rows = Revision.objects.using(self.row._state.db).filter(
            self._held(low, high), workspace_id=self.row.workspace_id
        )
        return list(rows.order_by("-id")[:FORMER])

    def summaries(self) -> list[Summary]:
        """The newest of what the branch shows; each covers the earlier."""
        shared = (Q(session_id=part.session_id, last_seq__lte=part.high) for part in self.parts[:NEAREST])
        rows = Summary.objects.using(self.row._state.db).filter(
            reduce(or_, shared), workspace_id=self.row.workspace_id, last_seq__gt=self.row.base_seq, text__isnull=False
        )
        return list(rows.order_by("-last_seq", "-id")[:SUMMARIES])

    def _held(self, low: int, high: int) -> Q:
        """The condition for rows at those positions of the branch; each of its rows is asked for its share alone."""
        cut = [Part(part.session_id, max(part.low, low), min(part.high, high)) for part in self.parts]
        met = [part for part in cut if part.low < part.high]
        return _shown(met) if met else Q(pk__in=[])


def view_of(session: Session, *, main: bool = False) -> View:
    """The view of a session row: one query, however deep its branches go.

    A branch shows itself. The first row stands for the whole: it shows the branch that speaks, itself with ``main``.
    """
    rows = {row.pk: row for row in _family(session)} or {session.pk: session}
    root = next((row for row in rows.values() if row.parent_id is None), session)
    speaker = rows.get(root.head_id, root) if root.head_id else root
    row = rows.get(session.pk, session)
    if row.parent_id is None or main:
        row = root if main else speaker
    ordered = sorted(rows.values(), key=lambda each: (each.created_at, each.pk), reverse=True)
    ordered.sort(key=lambda each: (each is not root, each is not speaker))
    return View(root, row, speaker, ordered, _parts(row, rows))


def page_of_row(session: Session) -> str:
    """The transcript that shows this very row: that of a first row shows whatever speaks."""
    return "main" if session.parent_id is None and session.head_id is not None else "transcript"


def sizes_of(sessions: Sequence[Session]) -> list[int]:
    """How many messages each conversation holds with all its branches, from their counters: one query."""
    of = {"workspace_id__in": {each.workspace_id for each in sessions}, "key__in": {each.key for each in sessions}}
    branches = Session.objects.filter(**of, parent__isnull=False).order_by().values_list("workspace_id", "key")
    own = branches.annotate(own=Sum(F("last_seq") - F("fork_seq")))
    added = {(workspace_id, key): number for workspace_id, key, number in own}
    return [each.message_count + added.get((each.workspace_id, each.key), 0) for each in sessions]


def former_of(message: Message) -> list[Revision]:
    """What one message said before its edits, newest first."""
    rows = Revision.objects.using(message._state.db).filter(
        workspace_id=message.workspace_id, session_id=message.session_id, seq=message.seq
    )
    return list(rows.order_by("-id")[:FORMER])


def _family(session: Session) -> QuerySet[Session]:
    """All rows of a conversation, deleted or not."""
    rows = Session.objects.using(session._state.db).filter(workspace_id=session.workspace_id, key=session.key)
    return rows.select_related("workspace", "user")


def _parts(row: Session, known: dict[UUID, Session]) -> list[Part]:
    """As ``lineage``, among rows that were read already."""
    parts, high, here = [], row.last_seq, row
    while True:
        low = here.fork_seq or 0
        parts.append(Part(here.pk, low, high))
        if here.parent_id is None or here.parent_id not in known:
            return parts
        here, high = known[here.parent_id], low


def _shown(parts: Sequence[Part]) -> Q:
    return reduce(or_, (Q(session_id=part.session_id, seq__gt=part.low, seq__lte=part.high) for part in parts))
