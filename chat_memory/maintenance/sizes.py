"""Owns the lengths of stored texts, computed by the database without loading the texts."""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from django.db.models import F, Func, IntegerField, Value
from django.db.models.functions import Coalesce


class Bytes(Func):
    """The number of bytes of a text; PostgreSQL knows it without decompressing the text."""

    function = "OCTET_LENGTH"
    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """SQLite has the function by that name only since 3.43."""
        if connection.Database.sqlite_version_info >= (3, 43):
            return self.as_sql(compiler, connection, **context)
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))", **context)


def bytes_of(*columns: str) -> Any:
    """The number of bytes of several columns of a row together; NULL counts as 0."""
    return reduce(add, (Coalesce(Bytes(F(column)), Value(0)) for column in columns))
