"""Owns the row of a draft: a message that is being streamed, with the text written so far."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.choices import Role
from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace


class Draft(models.Model):
    """A message that is being streamed; its writer refers to it by its primary key, which is never used again.

    Its times are milliseconds since 1970 by the database's clock, so that the clocks of processes do not matter. The
    table has only the rows of open drafts, so an index would cost each write more than it saves.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("workspace")
    )
    seq = models.BigIntegerField(_("position"), default=0, help_text=_("Of the message it is to replace; 0: none."))
    begun = models.BigIntegerField(_("begun"))
    touched = models.BigIntegerField(_("last written"))
    length = models.IntegerField(_("characters"), default=0)
    turn = models.IntegerField(_("turn"), null=True, blank=True, help_text=_("Of a draft that answers in a turn."))
    stop_asked = models.BooleanField(_("stop asked"), default=False)
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="drafts", db_index=False, verbose_name=_("session")
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    client_id = models.CharField(_("message id"), max_length=512)
    name = models.CharField(_("name"), max_length=255, null=True, blank=True)  # noqa: DJ001  # NULL and "" differ
    metadata = models.TextField(_("metadata"), null=True, blank=True)  # noqa: DJ001
    text = models.TextField(_("text"), default="", blank=True)

    class Meta:
        verbose_name = _("draft")
        verbose_name_plural = _("drafts")
        constraints = (models.UniqueConstraint(fields=("session", "client_id"), name="chat_memory_draft_once"),)

    def __str__(self) -> str:
        return gettext("Draft of {length} characters").format(length=self.length)
