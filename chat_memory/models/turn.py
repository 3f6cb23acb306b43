"""Owns the row of a turn that somebody answers: who holds the right to answer, and until when."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext, gettext_lazy as _

from chat_memory.choices import TurnState
from chat_memory.models.session import Session
from chat_memory.models.workspace import Workspace


class Turn(models.Model):
    """One turn on a branch; ``seq`` is the position of its question, with which the row is deleted.

    ``lease_until`` is in milliseconds of the database's own clock, so that the clocks of hosts need not agree.
    """

    id = models.BigAutoField(_("id"), primary_key=True)
    # No constraint of its own: the session row has the same workspace, and every statement names both.
    workspace = models.ForeignKey(
        Workspace,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
        verbose_name=_("workspace"),
    )
    seq = models.BigIntegerField(_("position of the question"))
    lease_until = models.BigIntegerField(_("lease until"))
    turn = models.IntegerField(_("turn"))
    session = models.ForeignKey(
        Session, on_delete=models.CASCADE, related_name="turns", db_index=False, verbose_name=_("session")
    )
    state = models.CharField(_("state"), max_length=11, choices=TurnState.choices)
    holder = models.CharField(_("holder"), max_length=36)

    class Meta:
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        constraints = (models.UniqueConstraint(fields=("session", "turn"), name="chat_memory_turn_once"),)

    def __str__(self) -> str:
        return gettext("Turn {number}").format(number=self.turn)
