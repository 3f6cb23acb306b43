"""Owns the meaning of a time without an offset in a line: it is in the time zone that the import chose."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from chat_memory.exceptions import ValidationError

_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)


def zone_named(name: object) -> tzinfo:
    """The time zone of an IANA name such as Europe/Berlin; a zone itself is returned as it is.

    Raises:
        ValidationError: there is no such time zone.
    """
    if isinstance(name, tzinfo):
        return name
    try:
        return ZoneInfo(name)  # type: ignore[arg-type]  # anything else than a name is refused below
    except (LookupError, ValueError, TypeError, AttributeError, OSError):
        raise ValidationError(
            f"names no time zone such as Europe/Berlin or UTC: {name!r:.80}", field="timezone"
        ) from None


class Clock:
    """Gives the naive times of one line their zone, and counts them in ``naive``."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self.naive = 0

    def set(self, record: Any, names: Iterable[str], path: str = "") -> None:
        """Replace the naive times under these names of an object by the same times in UTC; leave the rest as it is.

        Raises:
            ValidationError: a time is out of range in UTC; the error names its path.
        """
        if not isinstance(record, dict):
            return
        for name in names:
            value = record.get(name)
            if type(value) is str and (moment := _naive(value)) is not None:
                record[name] = self._utc(moment, f"{path}{name}")
                self.naive += 1

    def set_each(self, records: Any, path: str, names: Iterable[str] = ("created_at",)) -> None:
        """As ``set``, for the times of each object in a list."""
        for place, record in _places(records, path):
            self.set(record, names, f"{place}.")

    def set_branches(self, branches: Any) -> None:
        """As ``set_each``, for branches and their messages."""
        for place, branch in _places(branches, "branches"):
            self.set(branch, ("created_at",), f"{place}.")
            if isinstance(branch, Mapping):
                self.set_each(branch.get("messages"), f"{place}.messages")

    def _utc(self, moment: datetime, path: str) -> str:
        try:
            return moment.replace(tzinfo=self._zone).astimezone(UTC).isoformat()
        except OverflowError:
            raise ValidationError("is out of range in UTC", field=path) from None


def _places(records: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The elements of a list, each with its path; nothing for a value that is not a list."""
    for index, record in enumerate(records if isinstance(records, list) else ()):
        yield f"{path}[{index}]", record


def _naive(text: str) -> datetime | None:
    """The time that a text without an offset names; None for every other text."""
    if not _NAIVE.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
