"""Owns the table of the index: a row for each message, with its words in the form that the database searches."""

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
    """The words of a text: a ``tsvector`` on PostgreSQL; on SQLite the text itself, indexed by an FTS5 table."""

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        """The type of the column."""
        return "tsvector" if connection.vendor == "postgresql" else "text"


class Entry(models.Model):
    """The index entry of a message. Only the statements of this app write it; ``storage.orm.removal`` deletes it.

    Its position and ids are copies of the message's, so that no join is needed to know where the message belongs.
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
