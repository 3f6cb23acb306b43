"""Owns the message row; only ``storage.mapping`` converts between rows and records."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.choices import Role, State
from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace


class Message(models.Model):
    """One message. JSON (``parts``, ``tool_calls``, ``metadata``, ``extra``) is text, since jsonb would rewrite it.

    ``content`` holds a content that is text. Any other content, null included, is in ``parts`` as JSON. Where both
    columns are NULL, the message came without the key ``content``.
    """

    # Columns of fixed length come first: PostgreSQL would pad them between columns of varying length.
    id = models.BigAutoField(_("id"), primary_key=True)
    # No constraint of its own: on PostgreSQL migration 0002 adds a composite foreign key (workspace, session).
    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("workspace"),
    )
    seq = models.BigIntegerField(_("position"))
    created_at = models.DateTimeField(_("created at"))
    turn = models.IntegerField(_("turn"), default=0)
    tokens = models.IntegerField(_("tokens"), null=True, blank=True)
    # Few messages are crossed; windows skip them when they look for the border between two turns.
    crossed = models.BooleanField(
        _("crossed"),
        default=False,
        db_default=False,
        editable=False,
        help_text=_("Whether a later question was stored before it."),
    )
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="messages", db_index=False, verbose_name=_("session")
    )
    role = models.CharField(_("role"), max_length=10, choices=Role.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.COMPLETE)
    client_id = models.CharField(_("message id"), max_length=512)
    content = models.TextField(_("content"), null=True, blank=True)  # noqa: DJ001  # NULL, "" and absent differ
    parts = models.TextField(_("content parts"), null=True, blank=True)  # noqa: DJ001
    name = models.CharField(_("name"), max_length=255, null=True, blank=True)  # noqa: DJ001
    tool_calls = models.TextField(_("tool calls"), null=True, blank=True)  # noqa: DJ001
    tool_call_id = models.TextField(_("tool call id"), null=True, blank=True)  # noqa: DJ001
    metadata = models.TextField(_("metadata"), null=True, blank=True)  # noqa: DJ001
    extra = models.TextField(_("further fields"), null=True, blank=True)  # noqa: DJ001

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        constraints = (
            models.UniqueConstraint(fields=("session", "client_id"), name="chat_memory_message_once"),
            # After the other: of two indexes of equal cost PostgreSQL uses the younger, and reads need this one.
            models.UniqueConstraint(fields=("session", "seq"), name="chat_memory_message_seq"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="chat_memory_message_role"),
        )
        # A window includes all system messages, wherever they are; the partial index finds the few there are.
        indexes = (
            models.Index(fields=("session", "seq"), condition=models.Q(role="system"), name="chat_memory_system"),
        )

    def __str__(self) -> str:
        return gettext("Message {position} ({role})").format(position=self.seq, role=self.get_role_display())
