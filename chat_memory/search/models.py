"""Owns the table of the index: a row for each message, with its words as the database can search them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    AnyField = models.Field[Any, Any]
else:
    AnyField = models.Field


class WordsField(AnyField):
    """The words of a text: a ``tsvector`` on PostgreSQL; on SQLite the text, of which an FTS5 table has the words."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """The type of the column."""
        return "tsvector" if connection.vendor == "postgresql" else "text"


class Entry(models.Model):
    """What a message is found by. Only the statements of this app write it; the one exit empties it.

    Positions and ids are those of the message, so that nothing has to be joined to know whose it is.
    """

    message_id = models.BigIntegerField(_("message"), primary_key=True)
    workspace_id = models.BigIntegerField(_("workspace"))
    session_id = models.UUIDField(_("session"))
    seq = models.BigIntegerField(_("position"))
    language = models.CharField(_("language"), max_length=127)
    words = WordsField(_("words"))

    class Meta:
        app_label = "chat_memory_search"
        verbose_name = _("entry of the search index")
        verbose_name_plural = _("entries of the search index")
        constraints = (models.UniqueConstraint(fields=("session_id", "seq"), name="chat_memory_search_place"),)

    def __str__(self) -> str:
        return f"{self.session_id}:{self.seq}"
