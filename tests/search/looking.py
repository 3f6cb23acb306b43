"""Looks into the database of the run for what a search could find, and for what nobody should."""

from django.db import connection

from chat_memory.search.models import Entry


def words_left(marker: str) -> list[str]:
    """Where the tables of the database still have a text, the inner ones of an index too."""
    if connection.vendor == "postgresql":
        return _in_postgresql(marker)
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608  # the database's own name
            if any(marker.encode() in _bytes(value).lower() for row in cursor.fetchall() for value in row):
                found.append(table)
    return found


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _in_postgresql(marker: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text ILIKE %s', [f"%{marker}%"])  # noqa: S608
            (number,) = cursor.fetchone()
            if number:
                found.append(table)
    return found


def entries() -> int:
    """How many entries the index has."""
    return Entry._default_manager.count()
