"""Owns the session row: a conversation or a branch of one, with its counters; messages refer to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.apps import apps
from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from chat_memory.choices import MAIN_BRANCH
from chat_memory.models.workspace import Workspace
from chat_memory.records import uuid7

if TYPE_CHECKING:
    from chat_memory.history.conversation import Conversation


class SessionQuerySet(models.QuerySet["Session"]):
    """Sessions; counts and listings speak of roots, since a branch is part of its conversation."""

    def roots(self) -> SessionQuerySet:
        """Conversations, without their branches."""
        return self.filter(parent__isnull=True)

    def newest_first(self) -> SessionQuerySet:
        """By last change, ties by id: a total order, so that keyset pages neither skip nor repeat."""
        return self.order_by("-updated_at", "-id")


class Session(models.Model):
    """A conversation, or one branch of it (``parent`` set, sharing messages 1..``fork_seq``).

    Written by ``chat_memory.storage`` alone: whatever changes what a read returns moves ``version`` and ``vtoken``
    in the same transaction.
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="sessions", db_index=False, verbose_name=_("workspace")
    )
    key = models.CharField(_("key"), max_length=255)
    branch = models.CharField(_("branch"), max_length=100, default=MAIN_BRANCH)
    parent = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="branches", verbose_name=_("parent")
    )
    fork_seq = models.BigIntegerField(_("forked at"), null=True, blank=True)
    head = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("head"),
        help_text=_("The branch that speaks for the conversation; empty: this one."),
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="chat_memory_sessions",
        verbose_name=_("user"),
    )
    user_key = models.CharField(
        _("user key"), max_length=255, blank=True, default="", help_text=_("Kept when the user goes.")
    )
    title = models.CharField(_("title"), max_length=200, blank=True, default="")
    tags = models.JSONField(_("tags"), blank=True, default=list)
    metadata = models.JSONField(_("metadata"), blank=True, default=dict)
    last_seq = models.BigIntegerField(_("last position"), default=0, editable=False)
    base_seq = models.BigIntegerField(_("cleared up to"), default=0, editable=False)
    last_turn = models.BigIntegerField(_("turns"), default=0, editable=False)
    message_count = models.BigIntegerField(_("messages"), default=0, editable=False)
    version = models.BigIntegerField(_("version"), default=0, editable=False)
    vtoken = models.BigIntegerField(_("version token"), default=0, editable=False)
    prev_vtoken = models.BigIntegerField(_("previous version token"), null=True, editable=False)
    pinned = models.BooleanField(_("pinned"), default=False)
    cleared_at = models.DateTimeField(_("cleared at"), null=True, editable=False)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))

    objects: ClassVar[models.Manager[Session]] = SessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        constraints = (
            models.UniqueConstraint(fields=("workspace", "key", "branch"), name="chat_memory_session_key"),
            models.UniqueConstraint(fields=("workspace", "id"), name="chat_memory_session_tenant"),
        )
        indexes = (
            models.Index(fields=("workspace", "-updated_at", "-id"), name="chat_memory_by_workspace"),
            models.Index(fields=("user", "-updated_at"), name="chat_memory_by_user"),
            models.Index(fields=("user_key", "-updated_at"), name="chat_memory_by_user_key"),
        )

    def __str__(self) -> str:
        return self.title or self.key

    def history(self) -> Conversation:
        """The conversation this row stands for, the same object ``chat_memory.conversation()`` gives."""
        config: Any = apps.get_app_config("chat_memory")
        conversation: Conversation = config.conversation_of(self)
        return conversation
