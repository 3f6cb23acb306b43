"""Owns the statements that read the feedback on a branch: on its own messages, and on those of its ancestors."""

from __future__ import annotations

from functools import cache

from chat_memory.models import Feedback
from chat_memory.storage.orm.statements import branch
from chat_memory.storage.orm.statements.read import root
from chat_memory.storage.orm.statements.tables import MESSAGE

FEEDBACK = Feedback._meta.db_table
COLUMNS = ("seq", "client_id", "vote", "comment", "user_key", "user_id", "model", "created_at", "updated_at", "id")
_SHOWN = ", ".join(f"{'m' if column == 'client_id' else 'f'}.{column}" for column in COLUMNS)
_BETWEEN = "(f.seq, f.id) > (%(after_seq)b, %(after_id)b) AND (f.seq, f.id) < (%(before_seq)b, %(before_id)b)"
_WITH_MESSAGE = (
    f"{FEEDBACK} f JOIN {MESSAGE} m "
    "ON m.workspace_id = f.workspace_id AND m.session_id = f.session_id AND m.seq = f.seq"
)
_OF_MAIN = (
    "f.workspace_id = s.workspace_id AND f.session_id = s.id AND s.on_branch = 0 "
    "AND f.seq > s.base_seq AND f.seq <= s.last_seq"
)
_OF_LINE = (
    "f.workspace_id = l.workspace_id AND f.session_id = l.id "
    "AND f.seq > l.low AND f.seq <= l.high AND f.seq > (SELECT base_seq FROM session)"
)
_COUNTED = (
    "SUM(CASE WHEN f.vote = 1 THEN 1 ELSE 0 END), SUM(CASE WHEN f.vote = -1 THEN 1 ELSE 0 END), "
    "SUM(CASE WHEN f.comment <> '' THEN 1 ELSE 0 END)"
)


@cache
def of_main(*, by_id: bool, owner: str, backwards: bool) -> str:
    """A page of the feedback on ``main``; where there is none, one row whose columns are NULL."""
    return f"""
WITH {root(by_id=by_id, owner=owner)}
SELECT {_SHOWN}, s.on_branch FROM session s LEFT JOIN ({_WITH_MESSAGE}) ON {_OF_MAIN} AND {_BETWEEN}
{_page(backwards=backwards)}"""


@cache
def of_branch(*, by_id: bool, owner: str, follows: bool, backwards: bool) -> str:
    """A page of the feedback on a branch."""
    return f"""
{_line(by_id=by_id, owner=owner, follows=follows)}
SELECT {_SHOWN}, (SELECT {branch.FORKED} FROM session) FROM lineage l JOIN ({_WITH_MESSAGE})
  ON {_OF_LINE} AND {_BETWEEN}
{_page(backwards=backwards)}"""


@cache
def totals_of_main(*, by_id: bool, owner: str) -> str:
    """How much feedback there is on ``main``; no row where there is no conversation."""
    return f"""
WITH {root(by_id=by_id, owner=owner)}
SELECT {_COUNTED}, MAX(s.on_branch) FROM session s LEFT JOIN {FEEDBACK} f ON {_OF_MAIN} HAVING COUNT(s.id) > 0"""


@cache
def totals_of_branch(*, by_id: bool, owner: str, follows: bool) -> str:
    """How much feedback there is on a branch; no row where there is no such branch."""
    return f"""
{_line(by_id=by_id, owner=owner, follows=follows)}
SELECT {_COUNTED}, MAX((SELECT {branch.FORKED} FROM session)) FROM lineage l LEFT JOIN {FEEDBACK} f ON {_OF_LINE}
HAVING COUNT(l.id) > 0"""


def _line(*, by_id: bool, owner: str, follows: bool) -> str:
    row = branch.meant_row(by_id=by_id, owner=owner, follows=follows)
    return f"WITH RECURSIVE {row}, {branch.line_of('last_seq', 'session s')}"


def _page(*, backwards: bool) -> str:
    order = "DESC" if backwards else "ASC"
    return f"ORDER BY f.seq {order}, f.id {order} LIMIT %(size)b"
