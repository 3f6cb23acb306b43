"""Owns the start of the app: what is connected to what; it must not hold behaviour of its own."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatMemoryConfig(AppConfig):
    """The Django app ``chat_memory``."""

    name = "chat_memory"
    verbose_name = _("Chat memory")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and connect each room to what it listens to."""
        from chat_memory import checks, metrics, signals, wiring
        from chat_memory.history.announcing import announce
        from chat_memory.history.automatic import summarise_when_due, watch
        from chat_memory.history.conversation import of_session
        from chat_memory.models import (
            AttachmentReference,
            Draft,
            Feedback,
            MessageChange,
            Redaction,
            Revision,
            Session,
            Summary,
            Turn,
        )
        from chat_memory.storage.changed import changed, emitted
        from chat_memory.storage.orm import naming, owners, referring, removal, renaming

        checks.register()
        metrics.sum_up_with(wiring.shared_counters)
        emitted.connect(wiring.bring_to_cache, weak=False)
        for receiver in (announce, watch):
            changed.connect(receiver, weak=False)
        signals.summary_due.connect(summarise_when_due)
        removal.connect()
        owners.connect()
        renaming.connect()
        naming.connect(self)
        removal.dependent(Revision, by="message")
        removal.dependent(Redaction, by="message")
        removal.dependent(Feedback, by="message")
        removal.dependent(Draft, by="message")
        removal.dependent(Turn, by="message")
        removal.dependent(
            AttachmentReference, by="message", before=referring.referred_to, after_commit=referring.remove_unused
        )
        removal.dependent(Summary, by="session")
        removal.dependent(MessageChange, by="session")
        Session.history = of_session  # type: ignore[method-assign,assignment]  # the models may not import it
