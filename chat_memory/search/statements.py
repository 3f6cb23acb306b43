"""Owns the statements of the index, for both database vendors.

An entry's words are the texts of a message: its content, or the texts among its parts; of a redacted one, none. On
PostgreSQL each entry has one lexeme more, the number of its workspace behind a control character, which no text can
have: so the index itself leaves out other tenants. On SQLite the number is a column of the FTS5 table.
"""

from __future__ import annotations

from functools import cache

from chat_memory.models import Message, Session, Workspace
from chat_memory.search.models import Entry
from chat_memory.storage.orm.statements import texts
from chat_memory.storage.orm.statements.listing import checks

INDEXED = 100_000
"""Characters of a message that can be found, the first ones: PostgreSQL takes no more than 1 MB of words."""
RANKED = 500
"""Messages that a search compares, the newest that fit."""
COMPARED = 1_000_000
"""Characters of these in which SQLite counts words, the newest again; what is older comes after those."""
MARK = "\x01"
"""What stands before the number of a workspace in its lexeme."""
ENTRY, MESSAGE, SESSION, WORKSPACE = (model._meta.db_table for model in (Entry, Message, Session, Workspace))
FTS = "chat_memory_search_fts"
FOUND = ("id", "key", "title", "user_id", "user_key", "pinned", "archived_at", "active_at")
"""The columns of a conversation that a search gives."""


def text_of(vendor: str) -> str:
    """The text of a message ``m`` that can be found; "" where there is none."""
    return texts.text_of(vendor, INDEXED)


@cache
def words_of(vendor: str) -> str:
    """The words of a message ``m``, as the column has them."""
    if vendor != "postgresql":
        return text_of(vendor)
    said = f"to_tsvector(%(search_language)s::text::regconfig, {text_of(vendor)})"
    return f"{said} || array_to_tsvector(ARRAY[chr({ord(MARK)}) || m.workspace_id])"


@cache
def insert(vendor: str, source: str) -> str:
    """Put the messages of a source, which calls them ``m``, into the index, in place of what it has of them."""
    if vendor != "postgresql" and " WHERE " not in source:
        source += " WHERE true"  # else SQLite takes ON for a condition of a join
    return f"""
INSERT INTO {ENTRY} (message_id, workspace_id, session_id, seq, language, words)
SELECT m.id, m.workspace_id, m.session_id, m.seq, %(search_language)s{"::text" if vendor == "postgresql" else ""},
  {words_of(vendor)}
FROM {source}
ON CONFLICT (message_id) DO UPDATE SET language = EXCLUDED.language, words = EXCLUDED.words"""


@cache
def find(vendor: str, given: tuple[str, ...], *, since: bool, until: bool) -> str:
    """The best hit of each conversation that meets the conditions, the best of all first, and how many hits it has.

    The newest %(look)b entries that match are looked at. Each row begins with how many there were, and how many of
    these a reader is shown, at most RANKED; there is one row at least. Most conversations have no other branch than
    ``main``, and are told by their first row alone.
    """
    times = [condition for condition, is_given in ((_SINCE, since), (_UNTIL, until)) if is_given]
    # Fenced, so that the row r is found by its id alone.
    timed = f"JOIN {MESSAGE} m ON m.id = c.message_id AND (m.workspace_id = r.workspace_id) IS TRUE" if times else ""
    root = f"s.workspace_id = r.workspace_id AND s.key = r.key AND s.branch = 'main' AND {checks(vendor, given)}"
    roots = f"JOIN {SESSION} s ON {root}"
    if vendor == "postgresql":  # one row at most: without LIMIT it expects as many as the key has branches
        roots = f"CROSS JOIN LATERAL (SELECT s.id, s.head_id, s.base_seq FROM {SESSION} s WHERE {root} LIMIT 1) s"
    columns = ", ".join(f"s.{column}" for column in FOUND)
    return f"""
WITH RECURSIVE candidates AS MATERIALIZED (
  SELECT e.message_id, e.session_id, e.seq FROM {_matching(vendor)}
  WHERE {_matches(vendor)} AND e.workspace_id = (SELECT w.id FROM {WORKSPACE} w WHERE w.slug = %(workspace)b)
  ORDER BY {_newest_first(vendor)} LIMIT %(look)b
), found AS MATERIALIZED (
  SELECT c.message_id, c.session_id, c.seq, s.id AS root_id, s.head_id, s.base_seq
  FROM candidates c JOIN {SESSION} r ON r.id = c.session_id {roots} {timed}
  WHERE {" AND ".join(times) or "true"}
), {_lineage("f.root_id, f.head_id AS shown_id FROM found f WHERE f.head_id IS NOT NULL")},
newest AS MATERIALIZED (
  SELECT f.message_id, f.root_id FROM found f
  WHERE f.head_id IS NULL AND f.session_id = f.root_id AND f.seq > f.base_seq
  UNION ALL
  SELECT f.message_id, f.root_id
  FROM found f JOIN lineage l ON l.root_id = f.root_id AND l.id = f.session_id AND {_IS_SHOWN}
  ORDER BY message_id DESC LIMIT {RANKED}
), ranked AS MATERIALIZED ({_ranked(vendor, "root_id")}),
placed AS (
  SELECT message_id, root_id, rank, COUNT(*) OVER (PARTITION BY root_id) AS hits,
    ROW_NUMBER() OVER (PARTITION BY root_id ORDER BY rank DESC, message_id DESC) AS place
  FROM ranked
), page AS (
  SELECT {columns}, p.hits, p.message_id, p.rank FROM placed p JOIN {SESSION} s ON s.id = p.root_id WHERE p.place = 1
  ORDER BY p.rank DESC, p.message_id DESC LIMIT %(size)b OFFSET %(skip)b
)
SELECT n.looked, n.shown, {", ".join(f"s.{column}" for column in (*FOUND, "hits", "message_id"))}
FROM (SELECT (SELECT COUNT(*) FROM candidates) AS looked, (SELECT COUNT(*) FROM newest) AS shown) n
  LEFT JOIN page s ON s.hits > 0
ORDER BY s.rank DESC, s.message_id DESC"""


@cache
def find_in(vendor: str) -> str:
    """The hits that a branch, given by its row, shows, the best first."""
    return f"""
WITH RECURSIVE branch AS (
  SELECT s.id AS root_id, s.id AS shown_id FROM {SESSION} s
  WHERE s.id = %(session_id)b AND s.workspace_id = %(workspace_id)b
), {_lineage("root_id, shown_id FROM branch")},
newest AS MATERIALIZED (
  SELECT e.message_id
  FROM {_matching(vendor)} JOIN lineage l ON l.id = e.session_id AND {_IS_SHOWN.replace("f.", "e.")}
  WHERE {_matches(vendor)} AND e.workspace_id = %(workspace_id)b
  ORDER BY e.message_id DESC LIMIT {RANKED}
), ranked AS ({_ranked(vendor)})
SELECT message_id FROM ranked ORDER BY rank DESC, message_id DESC LIMIT %(size)b"""


@cache
def shown(vendor: str, *, words: int, headline: bool) -> str:
    """What a page shows of messages: places, ids, and a part of each text, where the first of some words stands.

    The part comes with its place in the text and the length of that; where a headline is asked for, also as PostgreSQL
    marks it.
    """
    postgresql = vendor == "postgresql"
    position, least = ("strpos", "least") if postgresql else ("instr", "min")
    ids = "= ANY(%(ids)b::int8[])" if postgresql else "IN (SELECT value FROM json_each(%(ids)b))"
    at = [f"COALESCE(NULLIF({position}(t.lowered, %(word_{number})b), 0), {INDEXED})" for number in range(words)]
    begin = f"CASE WHEN t.nearest < {INDEXED} AND t.nearest > {_BEFORE} THEN t.nearest - {_BEFORE} ELSE 1 END"
    marked = "NULL"
    if headline:  # without the marks that a text may have of its own
        clean = f"translate(c.part, '{START}{STOP}', '')"
        options = f"HighlightAll=true, StartSel={START}, StopSel={STOP}"
        marked = f"ts_headline(%(search_language)b::text::regconfig, {clean}, %(query)b::tsquery, '{options}')"
    # Each step has its table, else the expressions of one would be computed again wherever the next has them.
    return f"""
WITH texts AS MATERIALIZED (
  SELECT m.id, m.seq, m.client_id, m.role, m.created_at, {text_of(vendor)} AS text FROM {MESSAGE} m
  WHERE m.workspace_id = %(workspace_id)b AND m.id {ids}
), small AS MATERIALIZED (SELECT t.id, lower(t.text) AS lowered FROM texts t),
places AS MATERIALIZED (SELECT t.id, {least}({", ".join(at)}, {INDEXED}) AS nearest FROM small t),
begun AS MATERIALIZED (SELECT t.id, CAST({begin} AS integer) AS begin FROM places t),
cut AS MATERIALIZED (
  SELECT t.id, t.seq, t.client_id, t.role, t.created_at, substr(t.text, b.begin, {PART}) AS part, b.begin,
    length(t.text) AS size
  FROM texts t JOIN begun b ON b.id = t.id
)
SELECT c.id, c.seq, c.client_id, c.role, c.created_at, c.part, c.begin - 1, c.size, {marked} FROM cut c"""


PART = 10_000
"""Characters of a message in which words are marked."""
_BEFORE = 500
"""Characters of them before the first word."""
START, STOP = "\x02", "\x03"
"""Around a word that PostgreSQL found, in what only this app reads."""
_SINCE, _UNTIL = "m.created_at >= %(since)b", "m.created_at < %(until)b"
_IS_SHOWN = "f.seq > l.low AND f.seq <= l.high AND f.seq > l.base"


def _matching(vendor: str) -> str:
    """The entries ``e`` that may match."""
    return f"{ENTRY} e" if vendor == "postgresql" else f"{FTS} JOIN {ENTRY} e ON e.message_id = {FTS}.rowid"


def _matches(vendor: str) -> str:
    return "e.words @@ %(scoped)b::tsquery" if vendor == "postgresql" else f"{FTS} MATCH %(scoped)b"


def _newest_first(vendor: str) -> str:
    """The order of entries: PostgreSQL is to sort what its index finds, and not to try all from the newest on."""
    return "e.message_id + 0 DESC" if vendor == "postgresql" else f"{FTS}.rowid DESC"


def _ranked(vendor: str, *columns: str) -> str:
    """The newest hits, each with its rank: a larger number fits better.

    It is made of the row alone. FTS5's own counts in how many rows of all workspaces a word is, so that the order would
    tell a reader what others have written; here it is how often the words are in the text. FTS5 takes the square of
    a text's length to mark one that is all hits.
    """
    names = ", ".join(("n.message_id", *(f"n.{column}" for column in columns)))
    if vendor == "postgresql":
        return f"""SELECT {names}, ts_rank(e.words, %(query)b::tsquery) AS rank
  FROM newest n JOIN {ENTRY} e ON e.message_id = n.message_id"""
    # The table of words comes first, as it would be searched anew for each row of the others.
    return f"""SELECT {names}, CASE WHEN n.characters <= {COMPARED}
    THEN length(highlight({FTS}, 0, '{START}', '')) - length({FTS}.words) ELSE 0 END AS rank
  FROM {FTS} CROSS JOIN (
    SELECT n.*, SUM(length(e.words)) OVER (ORDER BY n.message_id DESC) AS characters
    FROM newest n JOIN {ENTRY} e ON e.message_id = n.message_id
  ) n ON n.message_id = {FTS}.rowid
  WHERE {_matches(vendor)} AND {FTS}.rowid >= (SELECT MIN(message_id) FROM newest)"""


def _lineage(first: str) -> str:
    """A CTE of the rows that branches show, with the range of positions of each; ``base`` is what each has cleared."""
    return f"""lineage(root_id, id, workspace_id, parent_id, low, high, base) AS (
  SELECT b.root_id, s.id, s.workspace_id, s.parent_id, COALESCE(s.fork_seq, 0), s.last_seq, s.base_seq
  FROM (SELECT DISTINCT {first}) b JOIN {SESSION} s ON s.id = b.shown_id AND s.deleted_at IS NULL
  UNION ALL
  SELECT l.root_id, p.id, p.workspace_id, p.parent_id, COALESCE(p.fork_seq, 0), l.low, l.base
  FROM lineage l JOIN {SESSION} p ON p.id = l.parent_id AND p.workspace_id = l.workspace_id
)"""
