"""Owns which lookups the URL of a list may have: only those that compare a column of short values."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import JSONField, Model, TextField

CHEAP = frozenset({"exact", "in", "isnull", "gt", "gte", "lt", "lte"})
"""The allowed lookups. A regular expression may take exponential time, and ``contains`` reads every text."""


def is_cheap(model: type[Model], lookup: str) -> bool:
    """Whether a lookup, also one across relations, compares a column that is neither unlimited text nor JSON.

    True for an unknown field name, because Django answers that with an error that users understand.
    """
    names = lookup.split("__")
    field: Any = None
    while names and model is not None:
        found = _field(model, names[0])
        if found is None:
            break
        field, model = found, found.related_model
        names = names[1:]
    if field is None:
        return True
    if isinstance(field, (TextField, JSONField)):
        return False
    return not names or (len(names) == 1 and names[0] in CHEAP)


def _field(model: type[Model], name: str) -> Any:
    try:
        return model._meta.pk if name == "pk" else model._meta.get_field(name)
    except FieldDoesNotExist:
        return None
