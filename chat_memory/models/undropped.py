"""Owns the row of a cache entry that Redis could not be told to drop; a cleanup drops the entry, then the row."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class UndroppedEntry(models.Model):
    """A key under which Redis may still hold removed data; the key is a digest, so it has no text of a user."""

    key = models.CharField(_("key"), primary_key=True, max_length=64, editable=False)
    until = models.DateTimeField(_("kept until"), null=True)

    class Meta:
        verbose_name = _("cache entry to drop")
        verbose_name_plural = _("cache entries to drop")
        default_permissions = ()

    def __str__(self) -> str:
        return self.key
