"""Owns the statements of the index, for both database vendors.

An entry's words come from the message's content, or from the texts among its parts; a redacted message has none. On
PostgreSQL each entry has one more lexeme: a control character, which no text can contain, and the workspace's id. So
the index itself leaves out other tenants. On SQLite the id is a column of the FTS5 table.
"""

from __future__ import annotations

from functools import cache

from chat_memory.models import Message, Session, Workspace
from chat_memory.search.models import Entry
from chat_memory.storage.orm.statements import texts
from chat_memory.storage.orm.statements.listing import checks, named_workspace

INDEXED = 100_000
"""Only the first this many characters of a message are indexed: PostgreSQL takes no more than 1 MB of words."""
RANKED = 500
"""A search ranks this many matching messages, the newest ones."""
COMPARED = 1_000_000
"""SQLite counts words in the newest of these, up to this many characters; older ones rank after them."""
MARK = "\x01"
"""The character before the workspace's id in its lexeme."""
ENTRY, MESSAGE, SESSION, WORKSPACE = (model._meta.db_table for model in (Entry, Message, Session, Workspace))
FTS = "chat_memory_search_fts"
FOUND = ("id", "key", "title", "user_id", "user_key", "pinned", "archived_at", "active_at")
"""The columns of a conversation that a search returns."""


def text_of(vendor: str) -> str:
    """The searchable text of a message ``m``; "" where there is none."""
    return texts.text_of(vendor, INDEXED)


@cache
def words_of(vendor: str) -> str:
    """The words of a message ``m``, in the form of the column."""
    if vendor != "postgresql":
        return text_of(vendor)
    said = f"to_tsvector(%(search_language)s::text::regconfig, {text_of(vendor)})"
    return f"{said} || array_to_tsvector(ARRAY[chr({ord(MARK)}) || m.workspace_id])"


@cache
def insert(vendor: str, source: str) -> str:
    """Index the messages of a source, which names them ``m``; existing entries are replaced."""
    if vendor != "postgresql" and " WHERE " not in source:
        source += " WHERE true"  # otherwise SQLite parses ON CONFLICT as a join condition
    return f"""
INSERT INTO {ENTRY} (message_id, workspace_id, session_id, seq, language, words)
SELECT m.id, m.workspace_id, m.session_id, m.seq, %(search_language)s{"::text" if vendor == "postgresql" else ""},
  {words_of(vendor)}
FROM {source}
ON CONFLICT (message_id) DO UPDATE SET language = EXCLUDED.language, words = EXCLUDED.words"""


@cache
def find(vendor: str, given: tuple[str, ...], *, since: bool, until: bool) -> str:
    """The best hit of each conversation that meets the conditions, best first, and the conversation's number of hits.

    The newest %(look)b matching entries are looked at. Each row begins with the number looked at, and the number of
    those that are visible to a reader, at most RANKED; there is at least one row. A conversation whose current branch
    is ``main`` needs no lineage.
    """
    times = [condition for condition, is_given in ((_SINCE, since), (_UNTIL, until)) if is_given]
    # IS TRUE keeps the planner from using the condition to find r: r must be found by its id.
    timed = f"JOIN {MESSAGE} m ON m.id = c.message_id AND (m.workspace_id = r.workspace_id) IS TRUE" if times else ""
    root = f"s.workspace_id = r.workspace_id AND s.key = r.key AND s.branch = 'main' AND {checks(vendor, given)}"
    roots = f"JOIN {SESSION} s ON {root}"
    if vendor == "postgresql":  # at most one row; without LIMIT the planner expects one for each branch
        roots = f"CROSS JOIN LATERAL (SELECT s.id, s.head_id, s.base_seq FROM {SESSION} s WHERE {root} LIMIT 1) s"
    columns = ", ".join(f"s.{column}" for column in FOUND)
    return f"""
WITH RECURSIVE candidates AS MATERIALIZED (
  SELECT e.message_id, e.session_id, e.seq FROM {_matching(vendor)}
  WHERE {_matches(vendor)} AND e.workspace_id = {named_workspace(by_id=True)}
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
    """The hits among the messages that a branch shows, best first; the branch is given by its row."""
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
    """The columns of found messages that a page shows, with the part of each text around the first found word.

    The part comes with its offset and the length of the whole text; with ``headline``, also as PostgreSQL marks it.
    """
    postgresql = vendor == "postgresql"
    position, least = ("strpos", "least") if postgresql else ("instr", "min")
    ids = "= ANY(%(ids)b::int8[])" if postgresql else "IN (SELECT value FROM json_each(%(ids)b))"
    at = [f"COALESCE(NULLIF({position}(t.lowered, %(word_{number})b), 0), {INDEXED})" for number in range(words)]
    begin = f"CASE WHEN t.nearest < {INDEXED} AND t.nearest > {_BEFORE} THEN t.nearest - {_BEFORE} ELSE 1 END"
    marked = "NULL"
    if headline:  # mark characters that the text itself contains are removed first
        clean = f"translate(c.part, '{START}{STOP}', '')"
        options = f"HighlightAll=true, StartSel={START}, StopSel={STOP}"
        marked = f"ts_headline(%(search_language)b::text::regconfig, {clean}, %(query)b::tsquery, '{options}')"
    # Each step is materialized; otherwise its expressions would be computed again for each use in the next step.
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
"""The number of characters of a message in which words are marked."""
_BEFORE = 500
"""The number of these before the first found word."""
START, STOP = "\x02", "\x03"
"""The marks around a word that PostgreSQL found; only this app reads them."""
_SINCE, _UNTIL = "m.created_at >= %(since)b", "m.created_at < %(until)b"
_IS_SHOWN = "f.seq > l.low AND f.seq <= l.high AND f.seq > l.base"


def _matching(vendor: str) -> str:
    """The entries ``e`` that may match."""
    return f"{ENTRY} e" if vendor == "postgresql" else f"{FTS} JOIN {ENTRY} e ON e.message_id = {FTS}.rowid"


def _matches(vendor: str) -> str:
    return "e.words @@ %(scoped)b::tsquery" if vendor == "postgresql" else f"{FTS} MATCH %(scoped)b"


def _newest_first(vendor: str) -> str:
    """The order of entries; ``+ 0`` makes PostgreSQL sort what its index finds instead of scanning from the newest."""
    return "e.message_id + 0 DESC" if vendor == "postgresql" else f"{FTS}.rowid DESC"


def _ranked(vendor: str, *columns: str) -> str:
    """The newest hits, each with its rank: a larger number is a better match.

    The rank depends only on the row: on SQLite it is how often the words occur in the text. FTS5's own rank also counts
    in how many rows a word occurs, over all workspaces, so its order would reveal what other tenants have written.
    COMPARED bounds the work, because marking a text that is all hits takes FTS5 quadratic time.
    """
    names = ", ".join(("n.message_id", *(f"n.{column}" for column in columns)))
    if vendor == "postgresql":
        return f"""SELECT {names}, ts_rank(e.words, %(query)b::tsquery) AS rank
  FROM newest n JOIN {ENTRY} e ON e.message_id = n.message_id"""
    # The FTS table comes first in the join; otherwise it would be searched again for each row of the others.
    return f"""SELECT {names}, CASE WHEN n.characters <= {COMPARED}
    THEN length(highlight({FTS}, 0, '{START}', '')) - length({FTS}.words) ELSE 0 END AS rank
  FROM {FTS} CROSS JOIN (
    SELECT n.*, SUM(length(e.words)) OVER (ORDER BY n.message_id DESC) AS characters
    FROM newest n JOIN {ENTRY} e ON e.message_id = n.message_id
  ) n ON n.message_id = {FTS}.rowid
  WHERE {_matches(vendor)} AND {FTS}.rowid >= (SELECT MIN(message_id) FROM newest)"""


def _lineage(first: str) -> str:
    """A CTE of the session rows that branches show, each with its range of positions, and the branch's ``base_seq``."""
    return f"""lineage(root_id, id, workspace_id, parent_id, low, high, base) AS (
  SELECT b.root_id, s.id, s.workspace_id, s.parent_id, COALESCE(s.fork_seq, 0), s.last_seq, s.base_seq
  FROM (SELECT DISTINCT {first}) b JOIN {SESSION} s ON s.id = b.shown_id AND s.deleted_at IS NULL
  UNION ALL
  SELECT l.root_id, p.id, p.workspace_id, p.parent_id, COALESCE(p.fork_seq, 0), l.low, l.base
  FROM lineage l JOIN {SESSION} p ON p.id = l.parent_id AND p.workspace_id = l.workspace_id
)"""
