"""The listing of a workspace beside the best statement for it, in small workspaces and in large ones."""

from collections.abc import Iterator

import psycopg
from django.db import connection
from psycopg.types.numeric import Int8

from chat_memory.models import Workspace
from chat_memory.sessions import find_sessions
from tests.benchmarks.cases import Bench, Result

SIZES = (200, 5_000)
PAGE = 50
GOAL = 1.5
PLANS = "-c plan_cache_mode=force_generic_plan"
# Without what no page shows; the counters are the row's own, since main is the current branch here.
COLUMNS = """id, key, branch, user_key, title, tags, metadata, message_count, version, last_seq, base_seq, last_turn,
  pinned, created_at, updated_at, active_at, archived_at, expires_at, user_id, vtoken, title_made,
  key_from_client"""
ROOTS = "workspace_id = %(workspace)b AND parent_id IS NULL AND deleted_at IS NULL"
EXACT = f"""WITH edge AS (
    SELECT listed_at FROM chat_memory_session WHERE {ROOTS} {{condition}}
    ORDER BY listed_at DESC, id DESC OFFSET {PAGE - 1} LIMIT 1)
  SELECT {COLUMNS} FROM chat_memory_session WHERE {ROOTS} {{condition}}
    AND listed_at >= COALESCE((SELECT listed_at FROM edge) - interval '15 seconds', '-infinity')
  ORDER BY active_at DESC, id DESC LIMIT {PAGE}"""
NEWEST = EXACT.format(condition="")
OF_USER = EXACT.format(condition="AND user_key = %(user)b AND NOT (user_key = '')")
AFTER = EXACT.format(condition="AND (active_at, id) < (%(moment)b, %(id)b) AND listed_at <= %(moment)b")
FILLED = """INSERT INTO chat_memory_session (id, workspace_id, key, branch, user_key, title, tags, metadata,
    last_seq, base_seq, last_turn, message_count, version, vtoken, prev_vtoken, pinned, title_made,
    key_from_client, user_left, created_at, updated_at, active_at, listed_at)
  SELECT gen_random_uuid(), %s, 'k' || n, 'main', 'user-' || n %% 20, 'How do I bake bread? ' || n,
    CASE WHEN n %% 3 = 0 THEN '["bread"]'::jsonb ELSE '[]' END,
    CASE WHEN n %% 5 = 0 THEN '{"a": 1}'::jsonb ELSE '{}' END,
    6, 0, 3, 6, 3, 1, 0, false, true, false, false, t.at, t.at, t.at, t.at
  FROM generate_series(1, %s) n, LATERAL (SELECT now() - n * interval '1 minute' AS at) t"""


def listing(bench: Bench) -> Iterator[Result]:
    """One caller, a page of fifty conversations with their counts."""
    limit = psycopg.connect(bench.url, autocommit=True, prepare_threshold=0, options=PLANS)
    bench.closing.callback(limit.close)
    for size in SIZES:
        yield from _of_size(bench, limit, f"listing-{size}", size)


def _of_size(bench: Bench, limit: psycopg.Connection, slug: str, size: int) -> Iterator[Result]:
    number = Int8(_filled(slug, size))

    def best(statement: str, **params: object) -> list[tuple[object, ...]]:
        cursor = psycopg.Cursor(limit)
        cursor.execute(statement, {"workspace": number, **params}, binary=True)
        return cursor.fetchall()

    of = f"of {size:,}"
    yield bench.compare(f"newest 50 {of} sessions", GOAL, lambda: find_sessions(slug), lambda: best(NEWEST), 60)
    first = find_sessions(slug)
    place = first.sessions[-1]
    after = {"moment": place.active_at, "id": place.id}
    yield bench.compare(
        f"next 50 {of} sessions", GOAL, lambda: find_sessions(slug, before=first.next), lambda: best(AFTER, **after), 60
    )
    mine = "user-7"
    yield bench.compare(
        f"a user's newest {of} sessions",
        GOAL,
        lambda: find_sessions(slug, user=mine),
        lambda: best(OF_USER, user=mine),
        60,
    )


def _filled(slug: str, size: int) -> int:
    """A workspace of so many conversations, straight into the table; its number."""
    workspace = Workspace.objects.create(slug=slug)
    with connection.cursor() as cursor:
        cursor.execute(FILLED, [workspace.pk, size])
        cursor.execute("VACUUM ANALYZE chat_memory_session")
    return workspace.pk
