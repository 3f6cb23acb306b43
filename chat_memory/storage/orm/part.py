"""Owns what the parts over Django's models share: the database they work on."""

from __future__ import annotations

from django.db import router

from chat_memory.models import Session


class OrmPart:
    """A part on one database alias, or on the one the router writes sessions to."""

    def __init__(self, using: str | None) -> None:
        self._using = using

    @property
    def _alias(self) -> str:
        """The alias for reads and writes; reads use it too, so that they see every committed write."""
        return self._using or router.db_for_write(Session)
