"""Do the tests bite? Each guard of the cache is broken in a copy of the checkout, and some test must see it.

So are the moves of a branch's version that the cache relies on, and the guards of turns.

`python -m tests.faults.mutants [NAME ...]` prints which were caught and ends with 1 if one was not.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.mutant import PACKAGE, ROOT, Mutant
from tests.faults.turn_mutants import TURN_MUTANTS

COPIED = ("chat_memory", "example_project", "tests", "manage.py", "pyproject.toml")
RED = 1
"""What pytest ends with if tests failed, and only then."""
WITHIN = 300.0
"""Seconds for the tests over one copy; what hangs is not what a test has seen."""


FILL, LEASE, PUSH = "cache/scripts/fill.lua", "cache/scripts/lease.lua", "cache/scripts/push.lua"
COHERENCE, ENTRY, POLICY, CODEC = "cache/coherence.py", "cache/entry.py", "cache/policy.py", "cache/codec.py"
READING, SPANS, KEYS, SENT_AHEAD = "cache/reading.py", "cache/spans.py", "cache/keys.py", "cache/sent_ahead.py"
OWNERS = "cache/owners.py"
LISTENING, ADAPTER, WIRING = "cache/listening.py", "cache/adapter.py", "wiring.py"
NAMING, RENAMING = "storage/orm/naming.py", "storage/orm/renaming.py"
EMISSION, EDITS, ROWS = "storage/orm/emission.py", "storage/orm/edits.py", "storage/orm/rows.py"
MUTANTS = (
    *TURN_MUTANTS,
    Mutant("fill ignores whose lease it is", FILL, "h.lease ~= lease or ", ""),
    Mutant("fill ignores that the lease lapsed", FILL, " or h.expires <= since", ""),
    Mutant("fill ignores that the key is filled", FILL, "h.state ~= 'L' or h.lease ~= lease", "false"),
    Mutant(
        "fill into an absent key",
        FILL,
        "if not h or",
        "if not h then h = {state = 'L', lease = lease, least = 0, expires = since + LEASE_MS} end\n  if",
    ),
    Mutant("fill ignores what writers announced", FILL, "if version < h.least then", "if false then"),
    Mutant("fill takes a newer release's key", FILL, "if h and is_newer(h.format)", "if false"),
    Mutant("fill undoes a newer version", FILL, "h.version > version and", "false and"),
    Mutant("fill compares the versions of two sessions", FILL, "h.session == ARGV[5] and ", ""),
    Mutant("fill does not hear who insists", FILL, " and ARGV[9] ~= '1'", ""),
    Mutant("fill counts the age from the fill", FILL, "  since = h.expires - LEASE_MS\n", ""),
    Mutant("fill adds to what is there", FILL, "redis.call('DEL', key)", ""),
    Mutant("fill for ever", FILL, "if ARGV[8] ~= ''", "if false"),
    Mutant("fill weighs nothing", FILL, "weight = weight_from(ENTRIES)", "weight = 0"),
    Mutant("two have the lease", LEASE, "if h.state == 'L' and h.expires > now and", "if false and"),
    Mutant("a lease without an end holds", LEASE, " and h.expires <= now + LEASE_MS", ""),
    Mutant("lease of a newer release's key", LEASE, "if is_newer(h.format)", "if false"),
    Mutant("lease takes a good entry away", LEASE, "if h.version >= least", "if false"),
    Mutant("lease is never given over an entry", LEASE, "if h.version >= least then", "if true then"),
    Mutant("lease forgets what the entry had", LEASE, "least = math.max(least, h.version)", "least = 0"),
    Mutant("lapsed lease forgets what writers announced", LEASE, "least = math.max(least, h.least)", ""),
    Mutant("lease for ever", LEASE, "redis.call('PEXPIRE', key, whole_number(LEASE_MS + 50))", ""),
    Mutant("push ignores the version", PUSH, "h.version ~= tonumber(ARGV[3]) or ", ""),
    Mutant("push ignores the token", PUSH, "h.token ~= ARGV[4] or ", ""),
    Mutant("push ignores the format", PUSH, " or h.format ~= ARGV[1]", ""),
    Mutant("push ignores the session", PUSH, "if h.session ~= ARGV[2] or ", "if "),
    Mutant("push leaves what it cannot complete", PUSH, "  redis.call('DEL', key)\n", ""),
    Mutant(
        "push makes an entry of a part",
        PUSH,
        "if not h then return 'absent' end",
        "if not h then redis.call('RPUSH', key, '') h = {state = 'V', session = ARGV[2], version = tonumber(ARGV[3]), "
        "token = ARGV[4], format = ARGV[1], ident = '', extent = '0', least = 0, lease = '', expires = 0, "
        "weight = 0} end",
    ),
    Mutant("push tells the lease nothing", PUSH, "h.least = math.max(h.least, version)", ""),
    Mutant("push tells the lease the last, not the largest", PUSH, "math.max(h.least, version)", "version"),
    Mutant("push does not know an old one", PUSH, "if h.session == ARGV[2] and (", "if false and ("),
    Mutant("push takes another history's version for its own", PUSH, " and h.token == ARGV[6])", ")"),
    Mutant("push takes an earlier session for its own", PUSH, "h.session == ARGV[2] and (", "("),
    Mutant("push trims one too many", PUSH, "redis.call('LLEN', key) - cap", "redis.call('LLEN', key) - cap + 1"),
    Mutant("push trims nothing", PUSH, "while surplus > 0 or h.weight", "while h.weight"),
    Mutant("push trims and says it is the whole", PUSH, "surplus > 0 and '0' or", "surplus > 0 and h.extent or"),
    Mutant("push of a part says it is the whole", PUSH, "if ARGV[10] == '1' then", "if false then"),
    Mutant("push weighs nothing", PUSH, "h.weight = h.weight + weight_from(ENTRIES)", ""),
    Mutant("push weighs what it has trimmed", PUSH, "h.weight - #oldest", "h.weight"),
    Mutant(
        "push makes an entry as heavy as may be", PUSH, "while surplus > 0 or h.weight > HEAVIEST", "while surplus > 0"
    ),
    Mutant("push makes an entry lighter and keeps silent", PUSH, "surplus > 0 and '0' or 'cut'", "'0'"),
    Mutant("push onto what was robbed", PUSH, "if not oldest then return 'dropped' end", "oldest = oldest or ''"),
    Mutant(
        "push empties the list for a moment",
        PUSH,
        "redis.call('LSET', key, -1, ARGV[ENTRIES])",
        "redis.call('RPOP', key) redis.call('RPUSH', key, ARGV[ENTRIES])",
    ),
    Mutant("push lengthens the age", PUSH, "if ARGV[9] == 'none'", "if ARGV[9] == ''"),
    Mutant("push keeps the token", PUSH, "version, ARGV[6], ARGV[7], version", "version, h.token, ARGV[7], version"),
    Mutant("push keeps the version", PUSH, "= version, ARGV[6], ARGV[7], version", "= h.version, ARGV[6], ARGV[7], 0"),
    Mutant("push keeps the identity", PUSH, "ARGV[6], ARGV[7], version", "ARGV[6], h.ident, version"),
    Mutant("an answer that nobody took is the next one's", SENT_AHEAD, "self._connection.disconnect()", "pass"),
    Mutant("rule 1 is off", ENTRY, "return self.header == header", "return True"),
    Mutant(
        "rule 1 compares the number alone",
        ENTRY,
        "return self.header == header",
        "return self.header is not None and self.header.version == header.version",
    ),
    Mutant("rule 1 ahead of another session", ENTRY, "self.is_of(header.session_id) and ", ""),
    Mutant("look takes a lease for an entry", ENTRY, " or fields[1] != VALID", ""),
    Mutant("what came is everything", ENTRY, "self.whole and len(self.messages) == self.visible", "self.whole"),
    Mutant("look reads any format", COHERENCE, "if format_ != self._format:", "if not format_:"),
    Mutant("look takes another key's entry", COHERENCE, "if owner != key:", "if False:"),
    Mutant("a list that was cut is believed", COHERENCE, "entry is None or entry.is_complete(newest)", "True"),
    Mutant("a capped fill says it is the whole", COHERENCE, "if whole and kept == given else", "if whole else"),
    Mutant("a fill says nothing of what was too heavy", COHERENCE, "if kept < min(given, tail):", "if False:"),
    Mutant("a capped push is not cut", COHERENCE, "int(len(added) > cap)", "0"),
    Mutant("a push leaves out what is too heavy", COHERENCE, "if len(kept) < min(len(added), cap):", "if False:"),
    Mutant("bounded entries of strict's age", COHERENCE, "return int(self.policy.max_age * 1000)", "return 3_600_000"),
    Mutant("an hour's entries serve a minute", POLICY, 'b{self.max_age:g}"', 'b"'),
    Mutant("both modes have one format", POLICY, 'f"{LAYOUT:02}s"', 'f"{LAYOUT:02}b{self.max_age:g}"'),
    Mutant(
        "an event before the commit",
        EMISSION,
        "transaction.on_commit(partial(emit, source_of(alias), *events), using=alias, robust=True)",
        "emit(source_of(alias), *events)",
    ),
    Mutant("half a transaction is pushed", LISTENING, "event.nested and self._drops_nested", "False"),
    Mutant("replayed messages are pushed", LISTENING, " if (message.seq or 0) > before]", "]"),
    *(
        Mutant(
            f"an entry stays that was {kind.lower()}",
            LISTENING,
            "{Kind.SUMMARIZED, Kind.RATED}",
            f"{{Kind.SUMMARIZED, Kind.RATED, Kind.{kind}}}",
        )
        for kind in ("CLEARED", "DELETED", "FORKED", "SWITCHED", "EDITED", "RESTORED")
    ),
    Mutant("a push to a branch leaves what is current", LISTENING, "if event.asked != CURRENT:", "if False:"),
    Mutant("a drop leaves what is current", LISTENING, "{CURRENT, MAIN_BRANCH,", "{MAIN_BRANCH,"),
    Mutant("a drop leaves main", LISTENING, "{CURRENT, MAIN_BRANCH,", "{CURRENT,"),
    Mutant("a drop leaves the branch", LISTENING, "MAIN_BRANCH, event.branch, event.asked}", "MAIN_BRANCH}"),
    Mutant("a cache hears of every store", ADAPTER, ", sender=inner.source)", ")"),
    Mutant("who only writes tells no cache", WIRING, "_composition.adapter(events[0].using)", "pass"),
    Mutant(
        "all branches have one key",
        KEYS,
        "self._store.unique_name, workspace, key, branch)",
        'self._store.unique_name, workspace, key, "")',
    ),
    Mutant("all databases have one name", KEYS, "self._store.unique_name,", '"",'),
    Mutant("bounded answers a transaction", READING, "if self._in_transaction():", "if False:"),
    Mutant("strict fills in a transaction", READING, "if self._in_transaction() or not fills", "if not fills"),
    Mutant("min_version is not heard", READING, "entry.version >= span.min_version", "True"),
    Mutant("min_version of whatever session", READING, " and not is_of_another", ""),
    Mutant(
        "min_version binds no fill",
        READING,
        "self._coherence.take(key, span.min_version, newest)",
        "self._coherence.take(key, 0, newest)",
    ),
    Mutant(
        "strict answers more than it has",
        READING,
        "entry.is_at(header) and answers(span, entry)",
        "entry.is_at(header)",
    ),
    Mutant("bounded answers more than it has", READING, " and answers(span, entry) and not", " and not"),
    Mutant("a page before a position is of the newest", SPANS, " or span.before is not None", ""),
    Mutant(
        "any read fills",
        SPANS,
        "return span.after is None and span.before is None and span.first is None",
        "return True",
    ),
    Mutant(
        "a fill of a part says it is the whole",
        READING,
        "whole = wide.last is None or len(found.messages) < wide.last",
        "whole = True",
    ),
    Mutant("bounded shows anybody's entry", READING, " and self._owners.let_see(at, entry)", ""),
    Mutant("a user's read fills what it may not see", READING, "found.header is None and at.is_checked", "False"),
    Mutant("what is nobody's is remembered as a visitor's", OWNERS, "not record.user_key or ", ""),
    Mutant(
        "an owner is shown any entry under the key",
        OWNERS,
        "header is None or not entry.is_of(header.session_id)",
        "False",
    ),
    Mutant(
        "a row's handle reads a later session",
        READING,
        "return not at.pinned or header.session_id == at.session_id",
        "return True",
    ),
    Mutant(
        "a handle reads whoever has its slug now",
        READING,
        "header is None or header.workspace_id != at.workspace_id",
        "header is None",
    ),
    Mutant(
        "bounded fills by what a handle knew",
        READING,
        "session_id=None, workspace_id=None, pinned=False",
        "cache_ttl=at.cache_ttl",
    ),
    Mutant("a database's name is asked for once", NAMING, "    _forget(connection.alias)", "    return"),
    Mutant(
        "a renamed workspace leaves its entries",
        RENAMING,
        "emitted.send_robust(sender=source_of(alias), events=batch)",
        "pass",
    ),
    Mutant("system messages are all messages", READING, "if span.system:", "if False:"),
    Mutant("a row's handle moves to what is current", READING, "if not at.pinned:", "if True:"),
    Mutant("a window knows all system messages", READING, "if has_all or not budget.system:", "if True:"),
    Mutant(
        "a window takes a part for the whole",
        READING,
        "found.header is None or found.header.visible <= len(found.messages)",
        "True",
    ),
    Mutant("nobody insists", READING, "insist=entry is not None", "insist=False"),
    Mutant("decoding sees no gap", CODEC, "!= list(range(last_seq - len(messages) + 1, last_seq + 1))", "== 0"),
    Mutant("joining sees no gap", CODEC, "if not _is_at(", "if False and not _is_at("),
    Mutant("joining looks at no end", CODEC, " or entry[-1] != _CLOSING", ""),
    Mutant(
        "edit moves no version",
        EDITS,
        'sharing.update(version=F("version") + 1, prev_vtoken=F("vtoken"), vtoken=token, ',
        "sharing.update(",
    ),
    Mutant(
        "edit moves the version of one branch",
        EDITS,
        "pk__in=[*shown]",
        "pk=rows.row.pk",
    ),
    Mutant(
        "what is current next has its own version",
        ROWS,
        "max(root.version, before.version, after.version) + 1",
        "after.version + 1",
    ),
    Mutant(
        "what is current next passes the first branch alone",
        ROWS,
        "max(root.version, before.version, after.version)",
        "max(root.version, after.version)",
    ),
)


class Found(NamedTuple):
    """How a run over a copy ended, which test said so, and all that was printed."""

    code: int | None
    first: str
    printed: str = ""


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """What the tests need, in a place of its own."""
    with tempfile.TemporaryDirectory(prefix="chat-memory-mutants-") as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder) / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        yield Path(folder)


def tested(copy: Path, tests: Sequence[tuple[str, ...]]) -> Found:
    """The tests over a copy, to the first that fails."""
    found = Found(0, "no test ran")
    for part in tests:
        found = _tested(copy, part)
        if found.code != 0:
            break
    return found


def survives(mutant: Mutant, copy: Path) -> bool:
    """Whether no test sees it; what was seen is printed."""
    path = copy / PACKAGE / mutant.file
    whole = path.read_text()
    begin = time.perf_counter()
    path.write_text(mutant.breaks(whole))
    try:
        found = tested(copy, mutant.tests)
    finally:
        path.write_text(whole)
    verdict = "caught" if found.code == RED else "SURVIVED"
    seconds = time.perf_counter() - begin
    sys.stdout.write(f"{verdict:9} {mutant.name} ({seconds:.0f} s): {found.first[:110]}\n")
    sys.stdout.flush()
    return found.code != RED


def main(names: list[str]) -> int:
    """Break one guard after the other; 0 if all were seen."""
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    if unknown := set(names).difference(mutant.name for mutant in chosen):
        raise SystemExit(f"no mutants of these names: {sorted(unknown)}")
    if unfit := [mutant.name for mutant in chosen if not mutant.is_fit]:
        raise SystemExit(f"these guards are no longer there, or are twice: {unfit}")
    with copy_of_checkout() as copy:
        sound = tested(copy, [part for tests in {mutant.tests for mutant in chosen} for part in tests])
        if sound.code != 0:
            raise SystemExit(f"{sound.printed}\nnothing is broken yet, and the tests are red: {sound.first}")
        survivors = [mutant.name for mutant in chosen if survives(mutant, copy)]
    sys.stdout.write(f"{len(chosen) - len(survivors)} of {len(chosen)} broken guards were caught\n")
    return min(1, len(survivors))


def _tested(copy: Path, tests: Sequence[str]) -> Found:
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-profile", "unshrunk"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    how: dict[str, Any] = {"cwd": copy, "env": _environment(copy), "capture_output": True, "text": True}
    try:
        ended = subprocess.run(command, check=False, timeout=WITHIN, **how)
    except subprocess.TimeoutExpired:
        return Found(None, f"still running after {WITHIN:.0f} s")
    failed = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    first = (failed or ended.stdout.splitlines()[-1:] or [ended.stderr[-300:]])[0]
    return Found(ended.returncode, first, ended.stdout)


def _environment(copy: Path) -> dict[str, str]:
    """That of this process; compiled code is kept and goes with the copy, or each mutant would compile everything."""
    return os.environ | {"CHAT_MEMORY_TEST_DB": "sqlite", "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": ""}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
