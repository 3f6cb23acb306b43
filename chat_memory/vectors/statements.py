"""Owns the statements over embeddings, for both database vendors; each is limited to one workspace."""

from __future__ import annotations

from functools import cache

from chat_memory.choices import State
from chat_memory.models import Message
from chat_memory.storage.orm.statements.branch import line_of
from chat_memory.storage.orm.statements.tables import BY_ID, SESSION, message_columns
from chat_memory.storage.orm.statements.texts import text_of
from chat_memory.vectors.models import Embedding

EMBEDDED = 8_000
"""Only the first this many characters of a message are embedded, because models take no longer texts."""
TABLE, MESSAGE = Embedding._meta.db_table, Message._meta.db_table
IS_SAID = f"m.state <> '{State.REDACTED.value}' AND (m.content <> '' OR m.parts IS NOT NULL)"
"""The condition for a message ``m`` that may have words."""
_LINE = line_of("s.last_seq", f"{SESSION} s WHERE {BY_ID}")
_PLACES = "session_id = l.id AND {0}.workspace_id = l.workspace_id AND {0}.seq <= l.high"
KIND = """
SELECT t.typname = 'vector' AND pg_type_is_visible(t.oid) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(%(table)b) AND a.attname = 'vector'"""
"""Whether the column has pgvector's type, and that type is on the search path."""


@cache
def unembedded(vendor: str) -> str:
    """The messages without an embedding that a branch shows in a range: ids, session rows, positions and texts."""
    own = "e.session_id = m.session_id AND e.seq = m.seq AND e.workspace_id = m.workspace_id AND e.model = %(model)b"
    has = f"SELECT 1 FROM {TABLE} e WHERE {own} AND (e.dimensions = %(dimensions)b OR e.dimensions = 0)"
    return f"""
WITH RECURSIVE {_LINE}
SELECT m.id, m.session_id, m.seq, {text_of(vendor, EMBEDDED)}
FROM lineage l JOIN {MESSAGE} m ON m.{_PLACES.format("m")} AND m.seq > l.low
WHERE m.workspace_id = %(workspace_id)b AND m.seq > %(after)b AND m.seq <= %(until)b AND {IS_SAID}
  AND NOT EXISTS ({has})
ORDER BY m.seq LIMIT %(size)b"""


@cache
def texts(vendor: str) -> str:
    """The present texts of a workspace's messages by their ids, without those that have no content."""
    return f"""
SELECT m.id, m.session_id, m.seq, {text_of(vendor, EMBEDDED)} FROM {MESSAGE} m
WHERE m.workspace_id = %(workspace_id)b AND m.id {_among(vendor)} AND {IS_SAID}"""


@cache
def keep(vendor: str) -> str:
    """Store an embedding, replacing the message's existing one of the same model; for ``executemany``."""
    cast = "::real[]" if vendor == "postgresql" else ""
    return f"""
INSERT INTO {TABLE} (message_id, workspace_id, session_id, seq, model, dimensions, vector)
VALUES (%s, %s, %s, %s, %s, %s, %s{cast})
ON CONFLICT (session_id, seq, model) DO UPDATE
  SET message_id = EXCLUDED.message_id, dimensions = EXCLUDED.dimensions, vector = EXCLUDED.vector"""


@cache
def nearest() -> str:
    """The messages with the nearest embeddings, by pgvector: ids and scores; of equal scores, the newest first."""
    # Scores are rounded, so that equal scores are equal on every processor.
    score = "round((-(e.vector <#> %(vector)b::real[]::vector))::numeric, 6)"
    return f"""
WITH RECURSIVE {_LINE}
SELECT e.message_id, {score}::float8 AS score FROM {_shown()}
ORDER BY {score} DESC, e.seq DESC LIMIT %(size)b"""


@cache
def vectors(vendor: str) -> str:
    """The embeddings of the messages that a branch shows in a range: ids, positions and bytes."""
    # The binary form of the array is parsed faster than a list of numbers.
    numbers = "array_send(e.vector::real[])" if vendor == "postgresql" else "e.vector"
    return f"""
WITH RECURSIVE {_LINE}
SELECT e.message_id, e.seq, {numbers} FROM {_shown()} AND e.seq <= %(until)b"""


@cache
def messages(vendor: str) -> str:
    """The messages of a workspace with some ids, in the order of positions; the id is the last column."""
    return f"""
SELECT {message_columns("m")}, m.id FROM {MESSAGE} m
WHERE m.workspace_id = %(workspace_id)b AND m.id {_among(vendor)} AND {IS_SAID} ORDER BY m.seq"""


def _shown() -> str:
    """The embeddings ``e`` of a model that a branch shows after a position."""
    return f"""lineage l JOIN {TABLE} e ON e.{_PLACES.format("e")} AND e.seq > l.low
WHERE e.workspace_id = %(workspace_id)b AND e.seq > %(after)b AND e.model = %(model)b
  AND e.dimensions = %(dimensions)b"""


def _among(vendor: str) -> str:
    return "= ANY(%(ids)b::int8[])" if vendor == "postgresql" else "IN (SELECT value FROM json_each(%(ids)b))"
