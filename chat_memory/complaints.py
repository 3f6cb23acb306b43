"""Owns what may be shown of a database's error: fixed words, never the text itself, which may name hosts and users."""

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
"""What PostgreSQL says, by SQLSTATE. An error while connecting has no SQLSTATE, only a text."""
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
"""What SQLite says, and PostgreSQL and its poolers while connecting: a pattern of the text, and the words for it."""
LOOKED_AT = 2_000
"""Characters of a text that are looked at, from its beginning."""
_PATTERNS = [(re.compile(pattern, re.IGNORECASE), words) for pattern, words in WORDS_BY_TEXT]


def words_for(error: BaseException) -> str:
    """What the database said, in fixed words; "" where it did not answer, or said what is not known here.

    An error that Django raises has the driver's as its cause.
    """
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None)
    if state and not state.startswith("08"):  # that class means: the connection is lost
        return WORDS_BY_STATE.get(state, f"error {state}")
    text = str(cause)[:LOOKED_AT]
    return next((words for pattern, words in _PATTERNS if pattern.search(text)), "")
