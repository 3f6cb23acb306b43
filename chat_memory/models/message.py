"""Owns the message row, append-only text as it came; ``storage.mapping`` alone turns it into a record and back."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.choices import Role, State
from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace


class MessageQuerySet(models.QuerySet["Message"]):
    """Messages."""

    def visible(self) -> MessageQuerySet:
        """Those that ``clear()`` has not hidden."""
        return self.filter(seq__gt=models.F("session__base_seq"))

    def in_order(self) -> MessageQuerySet:
        """By position: order is ``seq``, never a clock."""
        return self.order_by("session", "seq")


class Message(models.Model):
    """One message. JSON (``parts``, ``tool_calls``, ``metadata``) is text exactly as given, since jsonb rewrites it.

    ``content`` is the text people read and search; where the content is not text, ``parts`` holds it as JSON
    (``null`` included), and where both are NULL the source had no content at all.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    # The tenant foreign key of migration 0001 covers both columns on PostgreSQL.
    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("workspace"),
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="messages", db_index=False, verbose_name=_("session")
    )
    seq = models.BigIntegerField(_("position"))
    client_id = models.CharField(_("message id"), max_length=128)
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    content = models.TextField(_("content"), null=True, blank=True)  # noqa: DJ001  # NULL, "" and absent differ
    parts = models.TextField(_("content parts"), null=True, blank=True)  # noqa: DJ001
    name = models.CharField(_("name"), max_length=255, null=True, blank=True)  # noqa: DJ001
    tool_calls = models.TextField(_("tool calls"), null=True, blank=True)  # noqa: DJ001
    tool_call_id = models.CharField(_("tool call id"), max_length=255, null=True, blank=True)  # noqa: DJ001
    metadata = models.TextField(_("metadata"), null=True, blank=True)  # noqa: DJ001
    turn = models.BigIntegerField(_("turn"), default=0)
    tokens = models.IntegerField(_("tokens"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.COMPLETE)
    created_at = models.DateTimeField(_("created at"))

    objects: ClassVar[models.Manager[Message]] = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = (
            models.UniqueConstraint(fields=("session", "seq"), name="chat_memory_message_seq"),
            models.UniqueConstraint(fields=("session", "client_id"), name="chat_memory_message_once"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="chat_memory_message_role"),
        )
        # A window takes the system messages along wherever they are; they are few.
        indexes = (
            models.Index(fields=("session", "seq"), condition=models.Q(role="system"), name="chat_memory_system"),
        )

    def __str__(self) -> str:
        return gettext("Message {position} ({role})").format(position=self.seq, role=self.get_role_display())
