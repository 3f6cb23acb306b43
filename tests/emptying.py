"""Empties the database after a test that committed, by deleting the few rows there are.

Django's own way, a flush, truncates every table and then makes all permissions anew, which took longer than most tests.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from django.test import TransactionTestCase

from chat_memory.models import DatabaseToken

KEPT = frozenset({model._meta.db_table for model in (ContentType, Permission)})
"""Tables that a migration fills, and no test."""
FLUSHES_BETWEEN = 100
"""After so many times the tables are truncated after all, since rows that are deleted leave room behind."""


@pytest.fixture(scope="session", autouse=True)
def emptied_by_deletes() -> Iterator[None]:
    flush, times = TransactionTestCase._fixture_teardown, iter(range(1, 10**9))  # type: ignore[attr-defined]  # Django's

    def empty(case: Any) -> None:
        if case.available_apps is not None or case.serialized_rollback or next(times) % FLUSHES_BETWEEN == 0:
            flush(case)
            return
        for alias in case._databases_names(include_mirrors=False):
            delete_all(alias)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty)
        yield


def delete_all(alias: str) -> None:
    """Delete every row of every table, but what migrations have put there."""
    connection = connections[alias]
    with transaction.atomic(using=alias), connection.cursor() as cursor:  # keys between tables are checked at its end
        cursor.execute(_filled(alias))
        for (table,) in cursor.fetchall():
            if table == DatabaseToken._meta.db_table:
                DatabaseToken.objects.using(alias).all().delete()  # this process then forgets the name
            else:
                cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")  # noqa: S608  # a name of a model


@cache
def _filled(alias: str) -> str:
    """A query of the names of the tables that have rows."""
    connection = connections[alias]
    tables = set(connection.introspection.django_table_names(only_existing=True, include_views=False)) - KEPT
    quoted = {table: connection.ops.quote_name(table) for table in sorted(tables)}
    return " UNION ALL ".join(
        f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {name})"  # noqa: S608  # names of models
        for table, name in quoted.items()
    )
