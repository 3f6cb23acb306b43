"""The tables of the toy app: one hangs on a session, the other on a message."""

from typing import Any, ClassVar

from django.db import models

from chat_memory.models import Session

removals: list[tuple[str, Any]] = []
"""The database, and what went: how many notes on sessions, or the texts of notes on messages; oldest first."""


def record(alias: str, removed: Any) -> None:
    """Remember what went."""
    removals.append((alias, removed))


def note_texts(rows: models.QuerySet[Any]) -> list[str]:
    """What is known of notes as long as they are there."""
    return sorted(rows.values_list("text", flat=True))


class SessionNote(models.Model):
    """A note on a session, without a constraint in the database."""

    session = models.ForeignKey(Session, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    text = models.TextField()

    objects: ClassVar[models.Manager["SessionNote"]] = models.Manager()

    def __str__(self) -> str:
        return self.text


class MessageNote(models.Model):
    """A note on a message: the row of a branch that holds it, and its position."""

    session_id = models.UUIDField()
    seq = models.BigIntegerField()
    text = models.TextField()

    objects: ClassVar[models.Manager["MessageNote"]] = models.Manager()

    def __str__(self) -> str:
        return self.text
