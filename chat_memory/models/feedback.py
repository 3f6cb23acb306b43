"""Owns the row of feedback: one person's verdict on the message at a position; it is deleted with the message."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.models.session import Session
from chat_memory.models.user_link import UserLink, empty_link
from chat_memory.models.workspace import Workspace


class Feedback(models.Model):
    """One person's vote on a message, with a comment; ``user_left``: its user was deleted, and it is nobody's now."""

    id = models.BigAutoField(_("id"), primary_key=True)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.CASCADE, related_name="+", db_index=False, verbose_name=_("workspace")
    )
    seq = models.BigIntegerField(_("position"))
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("given at"))
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="feedback", db_index=False, verbose_name=_("session")
    )
    user = UserLink(
        settings.AUTH_USER_MODEL,
        on_delete=empty_link,
        null=True,
        blank=True,
        db_index=False,
        db_constraint=False,
        related_name="chat_memory_feedback",
        verbose_name=_("user"),
    )
    vote = models.SmallIntegerField(_("vote"), choices=((1, _("good")), (-1, _("bad"))))
    user_left = models.BooleanField(_("user left"), default=False, editable=False)
    user_key = models.CharField(_("user key"), max_length=255, help_text=_("Kept when the user is deleted."))
    model = models.CharField(_("language model"), max_length=255, blank=True, default="")
    comment = models.TextField(_("comment"), blank=True, default="")

    class Meta:
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")
        constraints = (
            models.UniqueConstraint(
                fields=("session", "seq", "user"),
                condition=models.Q(user__isnull=False),
                name="chat_memory_vote_of_user",
            ),
            models.UniqueConstraint(
                fields=("session", "seq", "user_key"),
                condition=models.Q(user__isnull=True, user_left=False),
                name="chat_memory_vote_of_key",
            ),
            models.CheckConstraint(condition=models.Q(vote__in=(1, -1)), name="chat_memory_vote"),
        )
        indexes = (
            models.Index(fields=("session", "seq", "id"), name="chat_memory_feedback_on"),
            models.Index(fields=("workspace", "updated_at"), name="chat_memory_feedback_time"),
            models.Index(fields=("user",), condition=models.Q(user__isnull=False), name="chat_memory_feedback_by"),
        )

    def __str__(self) -> str:
        return gettext("Feedback on message {position}").format(position=self.seq)
