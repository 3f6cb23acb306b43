"""Owns the start of the app: what is connected to what; it must not hold behaviour of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from chat_memory.history.conversation import Conversation
    from chat_memory.models import Session


class ChatMemoryConfig(AppConfig):
    """The Django app ``chat_memory``."""

    name = "chat_memory"
    verbose_name = _("Chat memory")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks; connect what lower rooms only announce."""
        from chat_memory import checks, metrics, signals, wiring
        from chat_memory.history.automatic import summarise_when_due
        from chat_memory.history.conversation import of_session

        checks.register()
        metrics.sum_up_with(wiring.sums)
        signals.summary_due.connect(summarise_when_due)
        self._of_session = of_session

    def conversation_of(self, session: Session) -> Conversation:
        """The conversation of a session row (the models may not import it)."""
        return self._of_session(session)
