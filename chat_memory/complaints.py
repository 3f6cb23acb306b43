"""Owns the fixed words that may be shown for a database error; its text must not be, as it may name hosts and users."""

from __future__ import annotations

import re
from collections.abc import Mapping

WORDS_BY_STATE: Mapping[str, str] = {
    "25006": "read-only transaction",
    "26000": "prepared statement does not exist",
    "28000": "authentication failed",
    "28P01": "password authentication failed",
    "3D000": "no such database",
    "3F000": "no such schema",
    "42501": "permission denied",
    "42703": "no such column",
    "42P01": "no such table",
    "42P05": "prepared statement already exists",
    "53100": "disk full",
    "53200": "out of memory",
    "53300": "too many connections",
    "55P03": "lock not available",
    "57014": "statement cancelled, as by a timeout",
    "57P01": "the server is shutting down",
    "57P03": "the server is starting up or shutting down",
}
"""The words for PostgreSQL's errors, by SQLSTATE. An error while connecting has no SQLSTATE, only a text."""
WORDS_BY_TEXT: tuple[tuple[str, str], ...] = (
    ("password authentication failed", "password authentication failed"),
    ("authentication failed|no pg_hba.conf entry|no password supplied", "authentication failed"),
    ("too many clients|too many connections|connection slots are reserved|no more connections", "too many connections"),
    ("fatal.*permission denied", "permission denied"),
    ("the database system is|server login has been failing", "the server is starting up or shutting down"),
    ("role .* does not exist", "no such role"),
    ("database .* does not exist|no such database", "no such database"),
    ("no such table", "no such table"),
    ("no such column", "no such column"),
    ("database is locked|table is locked", "database is locked"),
    ("readonly database", "read-only database"),
    ("disk is full", "disk full"),
    ("disk i/o error", "disk error"),
    ("file is not a database", "file is not a database"),
    ("image is malformed", "database is damaged"),
    ("fatal:", "connection refused by the database"),
)
"""The words for errors of SQLite, and of PostgreSQL and its poolers while connecting, by a pattern of the text."""
LOOKED_AT = 2_000
"""The characters of a text that are searched, from its beginning."""
_PATTERNS = [(re.compile(pattern, re.IGNORECASE), words) for pattern, words in WORDS_BY_TEXT]


def words_for(error: BaseException) -> str:
    """The fixed words for a database error; "" if the database did not answer, or the error is not listed here.

    An error that Django raises has the driver's error as its cause.
    """
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None)
    if state and not state.startswith("08"):  # that class means: the connection is lost
        return WORDS_BY_STATE.get(state, f"error {state}")
    text = str(cause)[:LOOKED_AT]
    return next((words for pattern, words in _PATTERNS if pattern.search(text)), "")
