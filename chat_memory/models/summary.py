"""Owns the summary row: the summary of a range of messages, or the claim of a caller who is making one."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace
from chat_memory.records import uuid7


class Summary(models.Model):
    """A summary of the messages up to ``last_seq``, which stay stored; a row without ``text`` is a claim."""

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("workspace")
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="summaries", db_index=False, verbose_name=_("session")
    )
    first_seq = models.BigIntegerField(_("first position"))
    last_seq = models.BigIntegerField(_("last position"))
    text = models.TextField(_("text"), null=True)  # noqa: DJ001  # NULL: claimed, not yet written
    model = models.CharField(_("model"), max_length=255, blank=True, default="")
    tokens = models.IntegerField(_("tokens"), default=0)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        verbose_name = _("summary")
        verbose_name_plural = _("summaries")
        constraints = (
            models.UniqueConstraint(
                fields=("session",), condition=models.Q(text__isnull=True), name="chat_memory_summary_claim"
            ),
        )
        indexes = (models.Index(fields=("session", "last_seq"), name="chat_memory_summary_range"),)

    def __str__(self) -> str:
        return gettext("Summary of {first} to {last}").format(first=self.first_seq, last=self.last_seq)
