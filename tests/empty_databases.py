"""Empty databases for hosts that run in a process of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.conf import settings
from psycopg import sql


@contextmanager
def postgresql_database(name: str) -> Iterator[dict[str, Any]]:
    """An empty database on the server of this run."""
    default = settings.DATABASES["default"]
    given = {key: default[key] for key in ("ENGINE", "USER", "PASSWORD", "HOST", "PORT")}
    address = {"host": given["HOST"], "port": given["PORT"], "user": given["USER"], "password": given["PASSWORD"]}
    named = sql.Identifier(name)
    with psycopg.connect(**address, dbname="postgres", autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(named))
        server.execute(sql.SQL("CREATE DATABASE {}").format(named))
        try:
            yield {**given, "NAME": name}
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(named))
