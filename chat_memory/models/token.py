"""Owns the single row that identifies a database; the keys of cache entries depend on it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class DatabaseToken(models.Model):
    """A random text that only this database and copies of it have; created when a cache first needs it.

    Deleting the row gives the database another token, so that no cache entry written before is read again.
    """

    ONLY: ClassVar[int] = 1
    """The primary key of the only row."""

    id = models.PositiveSmallIntegerField(_("id"), primary_key=True, default=ONLY, editable=False)
    token = models.CharField(_("token"), max_length=32, editable=False)

    class Meta:
        verbose_name = _("token of the database")
        verbose_name_plural = _("tokens of the database")
        default_permissions = ()

    def __str__(self) -> str:
        return self.token
