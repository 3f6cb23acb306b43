"""Owns the rows a transcript shows: the messages of one branch, and those that it shares with its ancestors."""

from __future__ import annotations

from functools import reduce
from operator import or_

import msgspec
from django.db.models import Q, QuerySet
from django.db.models.functions import Left

from chat_memory.admin.pages.former_texts import former_within
from chat_memory.admin.pages.votes import votes_within
from chat_memory.admin.rows import rows, with_users
from chat_memory.maintenance.sizes import bytes_of
from chat_memory.models import Message, Redaction, Revision, Session, Summary
from chat_memory.records import Votes
from chat_memory.storage.orm.lineage import Lineage, Stretch, lineage

SUMMARIES = 20
"""A page shows at most this many summaries, the newest."""
SUMMARY_CHARACTERS = 20_000
"""A page shows at most this many characters of each summary."""
NEAREST = 100
"""Summaries are searched on the nearest this many rows of a lineage: SQLite refuses a condition of a thousand terms."""
LISTED = 100
"""A page lists at most this many branches besides main and the current one."""
_TEXTS = ("content", "parts", "tool_calls", "tool_call_id", "metadata", "extra")


class ShownBranch(msgspec.Struct, frozen=True):
    """The branch that a transcript shows, with the other rows of its conversation.

    Attributes:
        root: the row of ``main``, which also holds the title and the other fields of the conversation.
        row: the row of the branch that is shown.
        current: the row of the conversation's current branch.
        lineage: the rows whose messages the branch shows, each with its range of positions.
    """

    root: Session
    row: Session
    current: Session
    lineage: Lineage

    def sizes(self, low: int, high: int) -> list[tuple[int, int]]:
        """The position and the bytes of each visible message after ``low``, up to and including ``high``."""
        return list(self._messages(low, high).values_list("seq", bytes_of(*_TEXTS)))

    def messages(self, low: int, high: int) -> list[Message]:
        """The visible messages of the branch after position ``low``, up to and including ``high``, oldest first."""
        return list(self._messages(low, high))

    def former(self, low: int, high: int) -> list[Revision]:
        """The revisions of the messages in this range of positions, newest first, as many as fit into a page."""
        return former_within(self._in_range(low, high), self._tenant)

    def votes(self, low: int, high: int) -> dict[int, Votes]:
        """The votes on the messages in this range of positions, by position."""
        return votes_within(self._in_range(low, high), self._tenant)

    def branches(self, skipped: int = 0) -> tuple[list[Session], bool]:
        """Main, the current branch, then the others, newest first; and whether there are more.

        Args:
            skipped: the number of the others that earlier pages have listed.
        """
        first = [self.root] if self.current is self.root else [self.root, self.current]
        others = family_of(self.root).exclude(pk__in=[row.pk for row in first]).order_by("-branch_number", "-pk")
        listed = others.only("branch", "parent_id", "head_id", "message_count", "pending")[
            skipped : skipped + LISTED + 1
        ]
        found = list(listed)
        return [*first, *found[:LISTED]], len(found) > LISTED

    def summaries(self) -> list[Summary]:
        """The newest summaries of the messages the branch shows; each one includes the earlier ones."""
        nearest = self.lineage.stretches[:NEAREST]
        covered = reduce(or_, (Q(session_id=each.session_id, last_seq__lte=each.high) for each in nearest))
        shown = {"last_seq__gt": self.row.base_seq, "text__isnull": False}
        beginning = Left("text", SUMMARY_CHARACTERS + 1)  # one more, to see whether the text is longer
        summaries = rows(Summary).filter(covered, **shown, **self._tenant).annotate(beginning=beginning).defer("text")
        return list(summaries.order_by("-last_seq", "-id")[:SUMMARIES])

    @property
    def _tenant(self) -> dict[str, int]:
        return {"workspace_id": self.row.workspace_id}

    def _messages(self, low: int, high: int) -> QuerySet[Message]:
        in_range = self._in_range(max(low, self.row.base_seq), min(high, self.row.last_seq))
        return rows(Message).filter(in_range, **self._tenant).order_by("seq")

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
    named = Q(parent=None) | Q(pk=session.pk) | Q(pk__in=family_of(session).filter(parent=None).values("head_id"))
    family = {row.pk: row for row in with_users(family_of(session).select_related("workspace").filter(named))}
    root = next((row for row in family.values() if row.parent_id is None), session)
    current = next((row for row in family.values() if row.pk == root.head_id), root)
    row = family.get(session.pk, session)
    if row.parent_id is None or main:
        row = root if main else current
    return ShownBranch(root, row, current, lineage(row))


def redaction_of(message: Message) -> Redaction | None:
    """Who redacted a message, and when; None where that is not known."""
    same = {"workspace_id": message.workspace_id, "session_id": message.session_id, "seq": message.seq}
    return rows(Redaction).filter(**same).first()


def family_of(session: Session) -> QuerySet[Session]:
    """The rows of all branches of a conversation, those marked as deleted included."""
    return rows(Session).filter(workspace_id=session.workspace_id, key=session.key)
