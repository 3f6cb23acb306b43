"""Owns the search for messages of a call that are stored already, on a branch or in the part that it shares."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections
from django.db.models import BigIntegerField, QuerySet
from django.db.models.expressions import RawSQL

from chat_memory.exceptions import TooLarge
from chat_memory.models import Message as MessageRow, Session
from chat_memory.records import Message
from chat_memory.storage.mapping import READ_COLUMNS, to_json, to_messages
from chat_memory.storage.orm.lineage import Lineage, lineage
from chat_memory.storage.orm.statements.tables import MESSAGE, weight

_MEMBERS = 400
"""The most bytes that a message's JSON has besides its texts; they do not count, since every answer has them."""


def known_messages(row: Session, messages: Sequence[Message], most: int | None = None) -> dict[str | None, Message]:
    """The messages of a call that are stored already, by id: on the branch or in the part that it shares.

    With ``most`` and several messages, one statement reads only their lengths, and a second one loads them.

    Raises:
        TooLarge: the stored ones have more than ``most`` bytes together.
    """
    line = lineage(row)
    stored = MessageRow.objects.using(row._state.db).filter(
        **line.where, client_id__in=[message.id for message in messages]
    )
    is_bounded = most is not None and len(messages) > 1
    if is_bounded and not _is_any_known(line, stored, most or 0):
        return {}
    found = stored.values_list(*READ_COLUMNS, "session_id")
    reached = [columns for columns in found if line.reaches(columns[-1], columns[0])]
    known = to_messages(reached)
    if is_bounded and len(known) > 1:  # JSON may be six times as long as the text that is stored
        _check_fits(len(known), len(to_json(known)) - _MEMBERS * len(known), most or 0)
    return {message.id: message for message in known}


def _is_any_known(line: Lineage, stored: QuerySet[MessageRow], most: int) -> bool:
    """Whether the branch has any of these messages; only their lengths are read, so that no call loads too much.

    Raises:
        TooLarge: see ``known_messages``.
    """
    own = weight(MESSAGE, postgresql=connections[stored.db].vendor == "postgresql")
    length = RawSQL(own, (), output_field=BigIntegerField())  # noqa: S611  # only names of columns
    found = stored.order_by().annotate(length=length).values_list("seq", "session_id", "length")
    lengths = [length for seq, session_id, length in found if line.reaches(session_id, seq)]
    if len(lengths) > 1:
        _check_fits(len(lengths), sum(lengths), most)
    return bool(lengths)


def _check_fits(number: int, size: int, most: int) -> None:
    if size > most:
        text = f"{number} of them are stored already, too large to be answered at once: {size} bytes, over {most}"
        raise TooLarge(f"{text}; retry in smaller calls", field="messages")
