"""Owns the row of a cache entry that Redis could not be asked to drop; it is there only until a cleanup has done so."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class UndroppedEntry(models.Model):
    """A key that Redis may still hold although what it shows was removed: a digest, without any text of a user."""

    key = models.CharField(_("key"), primary_key=True, max_length=64, editable=False)
    until = models.DateTimeField(_("kept until"), null=True)

    class Meta:
        verbose_name = _("cache entry to drop")
        verbose_name_plural = _("cache entries to drop")
        default_permissions = ()

    def __str__(self) -> str:
        return self.key
