"""Owns the one row that tells a database from every other; the cache keeps its entries under it."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class DatabaseToken(models.Model):
    """A random text that no other database has, but for a copy of this one; made when a cache first needs it.

    Who deletes the row gives the database another token: no entry that was written until then is read again.
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
