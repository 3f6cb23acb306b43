"""Owns the start of the sub-app, which connects its parts to the package; it must not hold behaviour of its own."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class VectorsConfig(AppConfig):
    """The Django app ``chat_memory.vectors``."""

    name = "chat_memory.vectors"
    label = "chat_memory_vectors"
    verbose_name = _("Embeddings in chat memory")
    default_auto_field = "django.db.models.BigAutoField"
    chat_memory_checks = "chat_memory.vectors.checks"

    def ready(self) -> None:
        """Have embeddings deleted when their message is removed or its text changes, and used by the adapter."""
        from chat_memory.storage.orm.removal import dependent
        from chat_memory.storage.orm.sub_apps import add_vectors
        from chat_memory.vectors.models import Embedding
        from chat_memory.vectors.store import OrmVectors

        dependent(Embedding, by="message", of_text=True)
        add_vectors(OrmVectors)
