"""Owns which lookups an address may ask a list for: those that compare a column of short values."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import JSONField, Model, TextField

CHEAP = frozenset({"exact", "in", "isnull", "gt", "gte", "lt", "lte"})
"""A regular expression may take exponential time, and a search within texts reads all of them."""


def is_cheap(model: type[Model], lookup: str) -> bool:
    """Whether a lookup compares a column that is neither a text without limit nor JSON, across relations too.

    A name that is no field's is not judged here: Django answers it with an error that users understand.
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
