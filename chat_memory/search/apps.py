"""Owns the start of the sub-app, which connects its parts to the package; it must not hold behaviour of its own."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SearchConfig(AppConfig):
    """The Django app ``chat_memory.search``."""

    name = "chat_memory.search"
    label = "chat_memory_search"
    verbose_name = _("Search in chat memory")
    default_auto_field = "django.db.models.BigAutoField"
    chat_memory_checks = "chat_memory.search.checks"

    def ready(self) -> None:
        """Have every stored message indexed, every removal empty its entries, and the adapter search in the index."""
        from chat_memory.search.models import Entry
        from chat_memory.search.purging import purge
        from chat_memory.search.statements import insert
        from chat_memory.search.store import OrmSearch
        from chat_memory.search.wording import parameters
        from chat_memory.storage.orm.beside import Beside, beside
        from chat_memory.storage.orm.removal import dependent
        from chat_memory.storage.orm.sub_apps import add_search

        beside(Beside(insert, parameters, changed=purge))
        dependent(Entry, by="message", after=purge)
        add_search(OrmSearch)
