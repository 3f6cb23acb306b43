"""Owns the session row: a conversation, or one of its branches, with its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from chat_memory.choices import MAIN_BRANCH, Pending
from chat_memory.models.user_link import UserLink, empty_link
from chat_memory.models.workspace import Workspace
from chat_memory.records import uuid7

if TYPE_CHECKING:
    from chat_memory.history.conversation import Conversation


class SessionQuerySet(models.QuerySet["Session"]):
    """The queries of sessions."""

    def roots(self) -> SessionQuerySet:
        """The conversations, without rows of branches and without rows marked as deleted."""
        return self.filter(parent__isnull=True, deleted_at__isnull=True)


class Session(models.Model):
    """A conversation, or one branch of it: then ``parent`` is set, and messages 1..``fork_seq`` are shared.

    Only ``chat_memory.storage`` writes these rows: a change of what reads return must change ``version`` and ``vtoken``
    in the same transaction. The columns that an append changes are adjacent, and come before those of varying length:
    PostgreSQL logs an update from the first changed byte to the last.
    """

    id = models.UUIDField(_("id"), primary_key=True, default=uuid7, editable=False)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="sessions", db_index=False, verbose_name=_("workspace")
    )
    last_seq = models.BigIntegerField(_("last position"), default=0, editable=False)
    last_turn = models.BigIntegerField(_("turns"), default=0, editable=False)
    message_count = models.BigIntegerField(_("messages"), default=0, editable=False)
    version = models.BigIntegerField(_("version"), default=0, editable=False)
    vtoken = models.BigIntegerField(_("version token"), default=0, editable=False)
    prev_vtoken = models.BigIntegerField(_("previous version token"), default=0, editable=False)
    updated_at = models.DateTimeField(_("updated at"))
    active_at = models.DateTimeField(
        _("last active"),
        help_text=_("When the newest message was written; without messages, when the session was created."),
    )
    listed_at = models.DateTimeField(
        _("listed at"), editable=False, help_text=_("An indexed copy of the last activity, which may lag.")
    )
    changed_at = models.DateTimeField(
        _("changed at"),
        db_default=Now(),
        editable=False,
        help_text=_("An indexed copy of the time of the last change, which may lag."),
    )
    base_seq = models.BigIntegerField(_("cleared up to"), default=0, editable=False)
    branch_number = models.BigIntegerField(
        _("branch number"),
        default=0,
        db_default=0,
        editable=False,
        help_text=_("Of a branch: its place in the order they were made. Of main: the number given last."),
    )
    created_at = models.DateTimeField(_("created at"))
    pinned = models.BooleanField(_("pinned"), default=False)
    title_made = models.BooleanField(
        _("title made"),
        default=False,
        editable=False,
        help_text=_("Whether the title was made from the first user message."),
    )
    key_from_client = models.BooleanField(
        _("key from client"),
        default=False,
        editable=False,
        help_text=_("Whether a member chose the key through the API; it is given up to the user it is opened for."),
    )
    key = models.CharField(_("key"), max_length=255)
    branch = models.CharField(_("branch"), max_length=100, default=MAIN_BRANCH)
    parent = models.ForeignKey(
        "self",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        db_index=False,
        related_name="branches",
        verbose_name=_("parent"),
    )
    fork_seq = models.BigIntegerField(_("forked at"), null=True, blank=True)
    pending = models.CharField(
        _("pending"),
        max_length=10,
        choices=Pending.choices,
        default="",
        db_default="",
        blank=True,
        editable=False,
        help_text=_("Of a branch that is to become the current one: when it does."),
    )
    head = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        db_index=False,
        related_name="+",
        verbose_name=_("head"),
        help_text=_("The current branch of the conversation; empty if it is this one."),
    )
    user = UserLink(
        settings.AUTH_USER_MODEL,
        on_delete=empty_link,
        null=True,
        blank=True,
        db_index=False,
        db_constraint=False,
        related_name="chat_memory_sessions",
        verbose_name=_("user"),
    )
    user_key = models.CharField(
        _("user key"), max_length=255, blank=True, default="", help_text=_("Kept when the user is deleted.")
    )
    user_left = models.BooleanField(
        _("user left"),
        default=False,
        editable=False,
        help_text=_(
            "Whether the user was deleted; the user key is then nobody's, though another system may use it too."
        ),
    )
    title = models.CharField(_("title"), max_length=200, blank=True, default="")
    tags = models.JSONField(_("tags"), blank=True, default=list)
    metadata = models.JSONField(_("metadata"), blank=True, default=dict)
    cleared_at = models.DateTimeField(_("cleared at"), null=True, editable=False)
    archived_at = models.DateTimeField(_("archived at"), null=True, blank=True)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)

    objects: ClassVar[models.Manager[Session]] = SessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("session")
        verbose_name_plural = _("sessions")
        constraints = (
            models.UniqueConstraint(fields=("workspace", "key", "branch"), name="chat_memory_session_key"),
            models.UniqueConstraint(fields=("id", "workspace"), name="chat_memory_session_tenant"),
        )
        # No index has a column that every append changes; listed_at and changed_at change at most once per
        # ACTIVITY_GRAIN, mostly with the same append.
        indexes = (
            models.Index(
                fields=("workspace", "-listed_at", "-id"),
                condition=models.Q(parent__isnull=True),
                name="chat_memory_by_workspace",
            ),
            models.Index(
                fields=("workspace", "changed_at", "id"),
                condition=models.Q(parent__isnull=True),
                name="chat_memory_by_change",
            ),
            models.Index(
                fields=("user", "-listed_at"), condition=models.Q(user__isnull=False), name="chat_memory_by_user"
            ),
            models.Index(
                fields=("user_key", "-listed_at"), condition=~models.Q(user_key=""), name="chat_memory_by_user_key"
            ),
            models.Index(fields=("parent",), condition=models.Q(parent__isnull=False), name="chat_memory_by_parent"),
            models.Index(fields=("head",), condition=models.Q(head__isnull=False), name="chat_memory_by_head"),
        )

    def __str__(self) -> str:
        # Django's admin keeps this text in its log for ever, so it must hold no words of a message.
        return (not self.title_made and self.title) or self.key

    @property
    def current(self) -> Session:
        """The row of the conversation's current branch."""
        return self.head or self

    def history(self) -> Conversation:
        """The conversation of exactly this row, not of a later session with the same key."""
        raise NotImplementedError  # AppConfig.ready() sets history.of_session here: models import nothing above them
