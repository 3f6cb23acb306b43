"""What was committed and when, told by triggers of the database itself, and the verdict on what was read.

Writers that died, pushes that were lost and transactions that were rolled back need no bookkeeping: a row of the audit
is there if and only if its transaction was committed. The clock is the machine's; Redis runs on it too.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import psycopg

AUDIT = """
CREATE TABLE audit (
  id bigserial PRIMARY KEY, at double precision DEFAULT extract(epoch FROM clock_timestamp()),
  pid int DEFAULT pg_backend_pid(), txid bigint DEFAULT txid_current(),
  key text, session text, base_seq bigint, last_seq bigint
);
CREATE TABLE audit_message (session text, seq bigint, client_id text);
CREATE FUNCTION audit_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    INSERT INTO audit (key, session, base_seq, last_seq) VALUES (OLD.key, OLD.id, 0, 0);
  ELSE
    INSERT INTO audit (key, session, base_seq, last_seq) VALUES (NEW.key, NEW.id, NEW.base_seq, NEW.last_seq);
  END IF;
  RETURN NULL;
END $$;
CREATE FUNCTION audit_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit_message VALUES (NEW.session_id, NEW.seq, NEW.client_id);
  RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON chat_memory_session
  FOR EACH ROW EXECUTE FUNCTION audit_session();
CREATE TRIGGER audit AFTER INSERT ON chat_memory_message FOR EACH ROW EXECUTE FUNCTION audit_message();
"""
# The last row of a transaction about a key is what it committed; the row lock puts transactions in order.
COMMITTED = """
SELECT DISTINCT ON (key, txid) id, key, session, base_seq, last_seq, at, pid FROM audit
 WHERE key LIKE %s || '-%%' ORDER BY key, txid, id DESC
"""


EXAMPLES = 2


class SessionState(NamedTuple):
    """The session, its visible messages as (position, id), when it was written, and when known to be committed."""

    session: str
    shown: tuple[tuple[int, str], ...]
    written: float
    acknowledged: float


class Verdict(NamedTuple):
    """What the reads of a run were worth; `oldest` in seconds."""

    reads: int
    stale: int
    corrupt: int
    behind_own_write: int
    oldest: float
    examples: list[Any]


class Truth:
    """The states of every conversation of one run, in the order in which they were committed."""

    def __init__(self, url: str, run: str, writes: Sequence[dict[str, Any]]) -> None:
        with psycopg.connect(url) as connection:
            changes = sorted(connection.execute(COMMITTED, (run,)).fetchall())
            rows = connection.execute("SELECT session, seq, client_id FROM audit_message ORDER BY session, seq")
            messages: dict[str, list[tuple[int, str]]] = defaultdict(list)
            for session, seq, message_id in rows:
                messages[session].append((seq, message_id))
        ends = _Ends(writes)
        self.states: dict[str, list[SessionState]] = defaultdict(lambda: [SessionState("", (), -math.inf, -math.inf)])
        self.unexplained = 0
        for _id, key, session, base_seq, last_seq, at, pid in changes:
            shown = tuple(messages[session][base_seq:last_seq])
            end = ends.of(pid, at)
            self.unexplained += end == math.inf
            self.states[key].append(SessionState(session, shown, at, end))
        self._known = {key: _earliest_from(states) for key, states in self.states.items()}

    def judge(self, reads: Sequence[dict[str, Any]]) -> Verdict:
        """Corrupt: no committed state reads so. Stale: a newer one was acknowledged before the read began."""
        counts: Counter[str] = Counter()
        oldest, examples = 0.0, []
        for read in reads:
            outcome, age = self._outcome(read)
            counts[outcome] += 1
            oldest = max(oldest, age)
            if outcome != "fresh" and counts[outcome] <= EXAMPLES:
                examples.append((outcome, age, {**read, "got": [seq for seq, _id in read["got"]]}))
        return Verdict(len(reads), counts["stale"], counts["corrupt"], counts["behind"], oldest, examples)

    def _outcome(self, read: dict[str, Any]) -> tuple[str, float]:
        states = self.states[read["key"]]
        known = self._known.get(read["key"], [-math.inf])
        got = [tuple(pair) for pair in read["got"]]
        current = bisect_left(known, read["begin"]) - 1
        if any(_view(state.shown, read) == got for state in _written_until(states[current:], read["end"])):
            return "fresh", 0.0
        seen = [index for index in range(current) if _view(states[index].shown, read) == got]
        if not seen:
            return "corrupt", 0.0
        return ("behind" if self._is_behind(states, seen, read) else "stale"), read["begin"] - known[seen[-1] + 1]

    @classmethod
    def _is_behind(cls, states: Sequence[SessionState], seen: Sequence[int], read: dict[str, Any]) -> bool:
        """Whether it lacks the reader's own write: by its number alone, a version may be that of an earlier session."""
        if not read["own"] or seen[-1] >= (first := cls._first_with(states, read["own"])):
            return False
        return read["knows"] or all(states[index].session == states[first].session for index in seen)

    @staticmethod
    def _first_with(states: Sequence[SessionState], message_id: str) -> int:
        return next(
            index for index, state in enumerate(states) if any(known == message_id for _seq, known in state.shown)
        )


class _Ends:
    """When the call returned in which a connection wrote something: one connection does one thing at a time."""

    def __init__(self, writes: Sequence[dict[str, Any]]) -> None:
        self._calls: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for write in writes:
            self._calls[write["pid"]].append((write["end"], write["begin"]))
        for calls in self._calls.values():
            calls.sort()

    def of(self, pid: int, at: float) -> float:
        """Infinity: nobody lived to tell."""
        calls = self._calls.get(pid, [])
        place = bisect_left(calls, (at, -math.inf))
        return calls[place][0] if place < len(calls) and calls[place][1] <= at else math.inf


def _earliest_from(states: Sequence[SessionState]) -> list[float]:
    """From when on each state, or a later one, was known to be committed."""
    known, earliest = [], math.inf
    for state in reversed(states):
        earliest = min(earliest, state.acknowledged)
        known.append(earliest)
    return known[::-1]


def _written_until(states: Sequence[SessionState], end: float) -> Iterator[SessionState]:
    return (state for state in states if state.written <= end)


def _view(shown: Sequence[tuple[int, str]], read: dict[str, Any]) -> list[tuple[int, str]]:
    """What a read of that kind shows of a state."""
    if read["kind"] == "since":
        return [item for item in shown if item[0] > read["n"]]
    return list(shown[max(0, len(shown) - read["n"]) :])
