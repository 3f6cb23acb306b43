"""Owns the rows that syncing readers need: which messages changed, and which conversations were deleted."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace


class MessageChange(models.Model):
    """One change of a stored message: it was edited or redacted, or it was removed from the end of a branch.

    ``session`` is the first row of the conversation, ``number`` counts its changes from 1, and ``row`` is the id of the
    row that has, or had, the message. It contains no text of the message.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("workspace")
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("session")
    )
    number = models.BigIntegerField(_("number"))
    row = models.UUIDField(_("row"))
    seq = models.BigIntegerField(_("position"))
    vtoken = models.BigIntegerField(_("version token"))
    taken = models.CharField(
        _("taken"),
        max_length=16,
        blank=True,
        default="",
        help_text=_("Of a message that was taken off: a digest of its id and time; empty: it says something else."),
    )
    changed_at = models.DateTimeField(_("changed at"))

    class Meta:
        verbose_name = _("change of a message")
        verbose_name_plural = _("changes of messages")
        default_permissions = ()
        constraints = (models.UniqueConstraint(fields=("session", "number"), name="chat_memory_change_of"),)

    def __str__(self) -> str:
        return gettext("Change of message {position}").format(position=self.seq)


class Tombstone(models.Model):
    """The id of a deleted conversation's first row; cleanup removes the tombstone after ``TOMBSTONE_DAYS``.

    It may outlive its workspace: deleting a workspace deletes its conversations first, which creates their tombstones.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("workspace"),
    )
    session_id = models.UUIDField(_("session"))
    gone_at = models.DateTimeField(_("gone at"))

    class Meta:
        verbose_name = _("conversation that is gone")
        verbose_name_plural = _("conversations that are gone")
        default_permissions = ()
        indexes = (models.Index(fields=("workspace", "gone_at", "id"), name="chat_memory_gone"),)

    def __str__(self) -> str:
        return str(self.session_id)
