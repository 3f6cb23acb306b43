"""Owns the part that remembers cache entries to drop in a table, which is empty unless Redis could not be reached."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from functools import partial

from django.db.models import Count, Max, Q, QuerySet

from chat_memory.models import UndroppedEntry
from chat_memory.storage.contract import Undropped, UndroppedStore
from chat_memory.storage.orm.part import OrmPart
from chat_memory.storage.orm.transactions import run_write

PAGE = 1_000
Drop = Callable[[Sequence[str]], bool]


class OrmUndropped(OrmPart, UndroppedStore):
    """Cache entries to drop in Django's models."""

    def note(self, keys: Collection[str], until: datetime | None) -> None:
        """See ``UndroppedStore.note``; in sorted order, so that two calls never deadlock."""
        rows = [UndroppedEntry(key=key, until=until) for key in sorted(keys)]

        def write(**_nested: bool) -> None:
            self._rows.bulk_create(rows, update_conflicts=True, update_fields=["until"], unique_fields=["key"])

        run_write(self._alias, write)

    def settle(self, drop: Drop) -> None:
        """See ``UndroppedStore.settle``."""
        while run_write(self._alias, partial(self._settle_some, drop)) == PAGE:
            pass

    def left(self) -> Undropped:
        """See ``UndroppedStore.left``."""
        endless = Count("key", filter=Q(until__isnull=True))
        found = self._rows.aggregate(size=Count("key"), last=Max("until"), endless=endless)
        last = found["last"]
        return Undropped(found["size"], None if found["endless"] or last is None or last < datetime.now(UTC) else last)

    def _settle_some(self, drop: Drop, **_nested: bool) -> int:
        """Drop some of the keys under row locks, so that a concurrent ``note`` waits and then stores its key again."""
        locked = self._rows.order_by("key").select_for_update(skip_locked=True)
        keys = list(locked.values_list("key", flat=True)[:PAGE])
        if keys and not drop(keys):
            return 0
        if keys:
            self._rows.filter(key__in=keys).delete()
        return len(keys)

    @property
    def _rows(self) -> QuerySet[UndroppedEntry]:
        return UndroppedEntry.objects.using(self._alias)
