"""Owns the rows that are kept for a message and deleted with it: its former contents, and who redacted it."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace


class Revision(models.Model):
    """A former content of the message at a position, in the same columns as in Message."""

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("workspace")
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="revisions", db_index=False, verbose_name=_("session")
    )
    seq = models.BigIntegerField(_("position"))
    content = models.TextField(_("content"), null=True)  # noqa: DJ001  # as in Message
    parts = models.TextField(_("content parts"), null=True)  # noqa: DJ001
    edited_at = models.DateTimeField(_("edited at"))

    class Meta:
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")
        indexes = (models.Index(fields=("session", "seq"), name="chat_memory_revision_of"),)

    def __str__(self) -> str:
        return gettext("Former text of message {position}").format(position=self.seq)


class Redaction(models.Model):
    """The redaction of the message at a position; ``by`` is the user's key as the caller gave it, often ""."""

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("workspace")
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="redactions", db_index=False, verbose_name=_("session")
    )
    seq = models.BigIntegerField(_("position"))
    by = models.CharField(_("by"), max_length=255, blank=True, default="")
    redacted_at = models.DateTimeField(_("redacted at"))

    class Meta:
        verbose_name = _("redaction")
        verbose_name_plural = _("redactions")
        constraints = (models.UniqueConstraint(fields=("session", "seq"), name="chat_memory_redaction_of"),)

    def __str__(self) -> str:
        return gettext("Redaction of message {position}").format(position=self.seq)
