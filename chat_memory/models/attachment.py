"""Owns the rows of attachments: the files of a workspace, and which messages refer to which files."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace


class Attachment(models.Model):
    """A file in the storage; the row is created before the file and deleted after it, so that no file is forgotten.

    ``ready``: the file is complete. If the row has no workspace, its file still has to be deleted.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.SET_NULL,
        null=True,
        related_name="attachments",
        db_index=False,
        verbose_name=_("workspace"),
    )
    size = models.BigIntegerField(_("bytes"))
    created_at = models.DateTimeField(_("created at"))
    ready = models.BooleanField(_("ready"), default=False)
    sha256 = models.CharField(_("SHA-256"), max_length=64)
    media_type = models.CharField(_("media type"), max_length=100)
    file = models.CharField(_("file"), max_length=255, help_text=_("Its name in the storage."))

    class Meta:
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")
        constraints = (
            models.UniqueConstraint(
                fields=("workspace", "sha256"), condition=models.Q(ready=True), name="chat_memory_attachment_once"
            ),
        )
        indexes = (
            # Few rows match: their files are about to be written or deleted.
            models.Index(
                fields=("created_at",),
                condition=models.Q(ready=False) | models.Q(workspace__isnull=True),
                name="chat_memory_attachment_open",
            ),
        )

    def __str__(self) -> str:
        return gettext("{type}, {size} bytes").format(type=self.media_type, size=self.size)


class AttachmentReference(models.Model):
    """A reference of the message at a position, or of its content before an edit, to an attachment.

    Position 0 on a conversation's first row: the attachment was added for a future message; it is kept until ``until``.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("workspace")
    )
    seq = models.BigIntegerField(_("position"))
    until = models.DateTimeField(_("kept until"), null=True)
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="references", db_index=False, verbose_name=_("session")
    )
    sha256 = models.CharField(_("SHA-256"), max_length=64)

    class Meta:
        verbose_name = _("reference to an attachment")
        verbose_name_plural = _("references to attachments")
        constraints = (models.UniqueConstraint(fields=("session", "seq", "sha256"), name="chat_memory_reference_once"),)
        indexes = (models.Index(fields=("workspace", "sha256"), name="chat_memory_reference_to"),)

    def __str__(self) -> str:
        return gettext("Reference of message {position}").format(position=self.seq)
