"""Owns the feedback on pages of messages: the number of votes, and the newest feedback on one message."""

from __future__ import annotations

from django.db.models import Q

from chat_memory.admin.rows import rows, with_users
from chat_memory.models import Feedback, Message
from chat_memory.records import Votes
from chat_memory.storage.orm.feedback import COUNTS

SHOWN = 20
"""The page of a message shows at most this much feedback, the newest; the list has the rest."""


def votes_within(where: Q, tenant: dict[str, int]) -> dict[int, Votes]:
    """The votes on messages by their positions, as far as there are any: one query."""
    found = rows(Feedback).filter(where, **tenant).order_by().values("seq").annotate(**COUNTS)
    return {seq: Votes(*numbers) for seq, *numbers in found.values_list("seq", *COUNTS)}


def newest_on(message: Message) -> list[Feedback]:
    """The newest feedback on a message, newest first."""
    place = {"workspace_id": message.workspace_id, "session_id": message.session_id, "seq": message.seq}
    return list(with_users(rows(Feedback).filter(**place)).order_by("-updated_at", "-id")[:SHOWN])
