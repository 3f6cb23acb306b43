"""The command chat_memory_check: what must hold is compared with what is stored and cached, and told or repaired."""

import io
import json
import re
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from redis import Redis

from chat_memory import Message, conversation
from chat_memory.maintenance import integrity
from chat_memory.models import Message as MessageRow, Session, Workspace
from tests.acceptance.command_line import run
from tests.integration.outages import refusing

SUMMARY: Any = re.compile(r'(?:"violations":)?(\d+)(?: violations?, |,"repaired":)(\d+)')
pytestmark = pytest.mark.django_db(transaction=True)


def talk(key: str = "k", *, turns: int = 2, workspace: str = "acme") -> Any:
    """A conversation of some turns, after a cleared one."""
    chat = conversation(key, workspace)
    chat.append(Message.user("hidden"))
    chat.clear()
    for number in range(turns):
        chat.append(Message.user(f"{number}?", id=f"{number}u"), Message.assistant(f"{number}.", id=f"{number}a"))
    return chat


def rows(key: str = "k") -> Any:
    return Session.objects.filter(key=key, workspace__slug="acme")


def messages(key: str = "k") -> Any:
    return MessageRow.objects.filter(session__key=key, workspace__slug="acme")


def violations(*arguments: str) -> list[tuple[str, str]]:
    """What and in which session, as the command says to programs; its exit status agrees."""
    return [(fault["what"], fault["key"]) for fault in report(*arguments)["faults"]]


def report(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed("--format", "json", *arguments))
    assert found["violations"] == len(found["faults"])
    return found


def printed(*arguments: str) -> str:
    """What is on stdout, refused or not: with violations left the exit status is 1, else 0."""
    out = io.StringIO()
    refused = False
    try:
        call_command("chat_memory_check", *arguments, stdout=out, stderr=io.StringIO())
    except CommandError:
        refused = True
    violations, repaired = SUMMARY.search(out.getvalue()).groups()
    assert refused == (int(violations) > int(repaired))
    return out.getvalue()


def test_what_the_package_writes_is_sound() -> None:
    """Appends, replays, clears, updates, imports of old positions, conversations without a message."""
    chat = talk()
    chat.append(Message.user("0?", id="0u"), Message.user("new"))
    chat.update(title="t")
    conversation("empty", "acme").open(title="nothing yet")
    talk("other", workspace="globex").clear()
    found = report("--cache")
    assert (found["sessions"], found["messages"], found["faults"]) == (3, 5, [])
    assert report("--workspace", "globex")["sessions"] == 1
    assert "3 sessions with 5 messages" in run("check")


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        ({"message_count": 9}, "message_count"),
        ({"last_turn": 9}, "last_turn"),
        ({"last_seq": 4, "message_count": 3}, "last_seq"),
        ({"base_seq": 0, "message_count": 5}, None),
        ({"base_seq": 9, "message_count": 0}, "base_seq"),
    ],
    ids=str,
)
def test_counters_that_disagree_with_the_messages(spoil: dict[str, int], what: str | None) -> None:
    talk()
    talk("sound")
    rows().update(**spoil)
    found = dict(violations())
    assert (what is None and not found) or found[str(what)] == "k"
    assert "sound" not in found.values()


@pytest.mark.parametrize("counter", ["message_count", "last_turn", "last_seq"])
def test_repair_recounts_and_moves_the_version(counter: str) -> None:
    """Whoever holds the old version, a cache or an optimistic writer, must see that the session has changed."""
    chat = talk()
    before = chat.session()
    rows().update(**{counter: 2})
    violations("--repair", "--workspace", "acme")
    after = chat.session()
    assert violations() == []
    assert after.version == before.version + 1
    assert after.vtoken != before.vtoken
    same = [(record.message_count, record.last_turn, record.last_seq, record.updated_at) for record in (before, after)]
    assert same[0] == same[1]
    assert chat.append(Message.user("next")).first_seq == before.last_seq + 1


def test_lost_messages_are_told_and_never_papered_over() -> None:
    """A position that was given away stays so, and the hole stays a violation."""
    chat = talk()
    messages().filter(seq=3).delete()
    assert violations() == [("positions", "k"), ("message_count", "k")]
    found = report("--repair")
    assert [(fault["what"], fault["repaired"]) for fault in found["faults"]] == [
        ("positions", False),
        ("message_count", True),
    ]
    assert violations("--repair") == [("positions", "k")]
    assert "acme/k: positions are missing, 1 of 4" in printed()
    messages().filter(seq=5).delete()
    violations("--repair")
    chat.append(Message.user("x"))
    assert messages().order_by("-seq")[0].seq == 6


def test_several_violations_are_one_line_each() -> None:
    talk()
    rows().update(message_count=9, last_turn=9)
    lines = printed("--repair").splitlines()
    assert lines[:2] == [
        "acme/k: message_count is 9, not 4 (repaired)",
        "acme/k: last_turn is 9, not 3 (repaired)",
    ]
    assert lines[2] == "1 session with 4 messages and 0 cached: 2 violations, 2 repaired"
    assert "0 violations" in run("check")


@pytest.mark.sqlite
def test_messages_without_a_session_and_of_another_workspace() -> None:
    talk()
    talk("gone")
    stranger = Workspace.objects.create(slug="globex")
    messages().filter(seq=3).update(workspace=stranger)
    with connection.constraint_checks_disabled():
        rows("gone").filter(key="gone")._raw_delete("default")
    try:
        found = report()
        told = {fault["what"]: (fault["workspace"], fault["detail"]) for fault in found["faults"]}
        assert told == {
            "workspace": ("acme", "of 1 messages is not the session's"),
            "orphans": ("acme", "5 messages of a session that is gone"),
        }
        assert {what for what, _key in violations("--repair")} == set(told)
    finally:
        MessageRow.objects.filter(workspace__slug__in=("acme", "globex")).delete()


@pytest.mark.postgresql
@pytest.mark.django_db
def test_positions_and_ids_stored_twice() -> None:
    """What unique constraints forbid, and a damaged index lets in."""
    with connection.cursor() as cursor:
        for name in ("chat_memory_message_seq", "chat_memory_message_once"):
            cursor.execute(f"ALTER TABLE chat_memory_message DROP CONSTRAINT {name}")
    talk()
    messages().filter(seq=3).update(client_id="0u")
    assert violations() == [("duplicates", "k")]
    messages().filter(seq=3).update(client_id="again", seq=2)
    assert violations() == [("positions", "k"), ("duplicates", "k")]


def test_branches_have_positions_of_their_own() -> None:
    talk()
    parent = rows().get()
    now = {"created_at": parent.created_at, "updated_at": parent.updated_at}
    branch = Session(workspace=parent.workspace, key="k", branch="b", parent=parent, fork_seq=3, last_seq=5, **now)
    branch.last_turn = 3
    branch.save()
    for seq in (4, 5):
        MessageRow.objects.create(
            workspace=parent.workspace,
            session=branch,
            seq=seq,
            client_id=str(seq),
            role="user",
            turn=seq - 2,
            created_at=parent.created_at,
        )
    assert violations() == []
    MessageRow.objects.filter(session=branch, seq=4, workspace=parent.workspace).delete()
    assert "acme/k@b: positions are missing, 1 of 2" in printed()


def test_statements_do_not_grow_with_the_messages() -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as statements:
            run("check")
        return len(statements)

    talk(turns=1)
    few = asked()
    talk(turns=30)
    talk("another")
    assert asked() == few


@pytest.mark.postgresql
def test_a_repair_waits_for_who_is_writing() -> None:
    """Else it would count without the message that is about to be there."""
    talk()
    rows().update(message_count=9)
    repairing = threading.Thread(target=repair_elsewhere)
    with transaction.atomic():
        conversation("k", "acme").append(Message.user("x"))
        repairing.start()
        while not somebody_waits_for_a_lock():
            assert repairing.is_alive()
    repairing.join(60)
    assert violations() == []
    assert rows().get().message_count == 5


def repair_elsewhere() -> None:
    try:
        integrity.check(repair=True)
    finally:
        connection.close()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # within a transaction the answer would stay as it is
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("number", [1, 3])
def test_every_session_is_looked_at_once_whatever_the_batch(monkeypatch, number: int) -> None:
    monkeypatch.setattr(integrity, "BATCH_SIZE", number)
    for key in "abcde":
        talk(key, turns=1)
    rows("e").update(message_count=9)
    reached: list[int] = []
    found = integrity.check(on_batch=reached.append)
    assert (found.sessions, reached[-1], [fault.key for fault in found.faults]) == (5, 5, ["e"])


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--workspace", "nowhere"], "there is no workspace 'nowhere'"),
        (["--cache", "--sample", "0"], "--sample must be a whole number from 1"),
        (["--cache", "--sample", "100001"], "--sample must be a whole number from 1"),
        (["--sample", "5"], "--sample goes with --cache"),
    ],
)
def test_refusals(arguments: list[str], refusal: str) -> None:
    with pytest.raises(CommandError, match=refusal):
        run("check", *arguments)


def test_without_a_cache_there_is_nothing_to_look_into(settings) -> None:
    settings.CHAT_MEMORY = {"CACHE": "off"}
    with pytest.raises(CommandError, match=r"^--cache needs a cache"):
        run("check", "--cache")


def test_redis_that_does_not_answer_is_a_refusal(settings) -> None:
    talk()
    with refusing() as address:
        settings.CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": f"redis://{address}/0"}}
        with pytest.raises(CommandError, match="Redis does not answer: ConnectionError"):
            run("check", "--cache")


@pytest.fixture(params=["strict", "bounded"])
def cached(request, settings, redis_client: Redis) -> Any:
    """A cached conversation in either mode: its only key, and a way to change what is under it."""
    settings.CHAT_MEMORY = {"CACHE": request.param, "CACHE_MAX_AGE": 60}
    talk().tail(50)
    return Entry(redis_client, request.param)


class Entry:
    """The list under the key of the only cached session: messages, and last the header."""

    def __init__(self, client: Any, mode: str) -> None:
        self.client = client
        self.mode = mode
        (self.key,) = list(client.scan_iter("cm:{*"))

    def header(self, place: int, value: bytes) -> None:
        parts = self.client.lindex(self.key, -1).split(b";")
        parts[place] = value
        self.client.lset(self.key, -1, b";".join(parts))


def test_sound_entries_are_counted(cached: Entry) -> None:
    found = report("--cache")
    assert (found["entries"], found["faults"]) == (1, [])
    assert report()["entries"] == 0


def other_content(cached: Entry) -> None:
    cached.client.lset(cached.key, 0, cached.client.lindex(cached.key, 0).replace(b"0?", b"1?"))


def damaged(cached: Entry) -> None:
    cached.client.lset(cached.key, 0, b"{")


def other_bounds(cached: Entry) -> None:
    ident = cached.client.lindex(cached.key, -1).split(b";")[6].split(b",")
    cached.header(6, b",".join([ident[0], b"2", ident[2]]))
    cached.header(7, b"0")
    cached.client.lpop(cached.key)


def other_type(cached: Entry) -> None:
    cached.client.delete(cached.key)
    cached.client.set(cached.key, "x")


@pytest.mark.parametrize("spoil", [other_content, damaged, other_bounds, other_type])
def test_an_entry_that_claims_the_row_and_differs(cached: Entry, spoil) -> None:
    spoil(cached)
    assert violations("--cache") == [("cache", "k")]
    assert violations() == []
    found = report("--cache", "--repair")
    assert [fault["repaired"] for fault in found["faults"]] == [True]
    assert not cached.client.exists(cached.key)
    assert violations("--cache") == []
    assert [message.content for message in conversation("k", "acme").tail(50)] == ["0?", "0.", "1?", "1."]


@pytest.mark.parametrize("mode", ["strict", "bounded"])
def test_a_part_that_claims_to_be_the_whole(settings, redis_client: Redis, mode: str) -> None:
    settings.CHAT_MEMORY = {"CACHE": mode, "CACHE_TAIL": 2}
    talk().tail(2)
    entry = Entry(redis_client, mode)
    assert violations("--cache") == []
    entry.header(7, b"1")
    assert violations("--cache") == [("cache", "k")]


def test_an_entry_that_is_behind_is_no_violation(cached: Entry) -> None:
    """A push got lost: strict refuses the entry, and bounded lets it die."""
    held = cached.client.dump(cached.key)
    life = max(0, cached.client.pttl(cached.key))
    conversation("k", "acme").append(Message.user("new"))
    cached.client.restore(cached.key, life, held, replace=True)
    assert report("--cache")["entries"] == 1
    assert violations("--cache") == []


def test_a_foreign_value_is_a_miss_and_no_violation(cached: Entry) -> None:
    cached.client.delete(cached.key)
    cached.client.rpush(cached.key, "garbage")
    assert report("--cache")["entries"] == 0


@pytest.mark.parametrize("milliseconds", [None, 60_500])
def test_bounded_entries_must_die_in_time(cached: Entry, milliseconds: int | None) -> None:
    if milliseconds is None:
        cached.client.persist(cached.key)
    else:
        cached.client.pexpire(cached.key, milliseconds)
    assert violations("--cache") == ([("cache", "k")] if cached.mode == "bounded" else [])


def test_the_sample_is_of_those_changed_last(cached: Entry) -> None:
    other_content(cached)
    talk("newer").tail(50)
    assert violations("--cache", "--sample", "1") == []
    assert violations("--cache", "--sample", "2") == [("cache", "k")]


def test_a_check_while_others_write_finds_nothing(settings) -> None:
    """Rows and messages are compared in one snapshot, and an entry is read before its rows."""
    settings.CHAT_MEMORY = {"CACHE": "strict"}
    done = threading.Event()

    def write() -> None:
        try:
            chat = conversation("k", "acme")
            for number in range(60):
                chat.append(Message.user(str(number)), Message.assistant("x"))
                chat.tail(20)
                if number % 20 == 19:
                    chat.clear()
        finally:
            connection.close()
            done.set()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    looked = 0
    while not done.is_set():
        found = integrity.check(cache=True)
        assert found.faults == ()
        looked += found.entries
    for writer in writers:
        writer.join(60)
    assert looked
    assert integrity.check(cache=True, repair=True).violations == 0
