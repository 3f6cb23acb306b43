"""What was removed while Redis could not be reached: the removal says what is left, and the next cleanup drops it."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from redis import Redis

from chat_memory import Message, conversation, wiring
from chat_memory.cache import coherence
from chat_memory.maintenance.retention import clean_up
from chat_memory.models import Session, UndroppedEntry, Workspace
from tests.acceptance.command_line import run
from tests.cache.caching import caching, redis_commands, statements
from tests.integration.outages import frozen
from tests.rollback import undone
from tests.servers import Server
from tests.ways_out import WAYS, WAYS_OF_A_WORKSPACE

pytestmark = pytest.mark.django_db(transaction=True)

EVERY_WAY = WAYS | WAYS_OF_A_WORKSPACE
CLEANUPS = ("age", "expiry")


@pytest.fixture
def severed(client: Redis, shared_server: Server, each_mode: str) -> Iterator[Server]:
    """The cache at work over a Redis that the test cuts off for a while, in each mode."""
    with caching(each_mode, shared_server.url, CACHE_TTL=600, CACHE_MAX_AGE=600):
        yield shared_server


@contextmanager
def denied(server: Server) -> Iterator[None]:
    """A Redis that serves nobody but the test: no command that is refused can come through later."""
    with Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "operator", "on", "nopass", "~*", "+@all")
    with Redis.from_url(server.url, username="operator", password="x") as operator:
        operator.execute_command("ACL", "SETUSER", "default", "-@all")
        try:
            yield
        finally:
            operator.execute_command("ACL", "SETUSER", "default", "+@all")
    with Redis.from_url(server.url) as client:
        client.execute_command("ACL", "DELUSER", "operator")


def cached_chat(key: str = "doomed", workspace: str = "acme") -> Session:
    """A conversation with a branch whose text is in Redis under each of its names."""
    chat = conversation(key, workspace)
    chat.append(Message.user("a secret"), Message.assistant("b"))
    chat.fork("draft", at=1).append(Message.user("d"))
    for branch in (None, "main", "draft"):
        assert conversation(key, workspace, branch=branch).tail(20)
    return Session.objects.get(workspace__slug=workspace, key=key, branch="main")


def texts(server: Server) -> set[bytes]:
    """What Redis holds of conversations, by key."""
    with Redis.from_url(server.url) as client:
        return {key for key in client.keys("cm:*") if b"a secret" in b"".join(client.lrange(key, 0, -1))}


def cleaned() -> dict[str, object]:
    """The report of a cleanup that finds nothing due."""
    report: dict[str, object] = json.loads(run("cleanup", "--days", "3650", "--format", "json"))
    return report


def age(*rows: Session) -> None:
    """Make conversations due."""
    long_ago = datetime.now(UTC) - timedelta(days=40)
    Session.objects.filter(pk__in=[row.pk for row in rows]).update(active_at=long_ago, listed_at=long_ago)


@pytest.mark.parametrize("way", EVERY_WAY)
def test_r53_next_cleanup_drops_what_a_removal_had_to_leave(way: str, severed: Server) -> None:
    doomed = cached_chat()
    left = texts(severed)
    assert len(left) == 3
    with denied(severed):
        EVERY_WAY[way](doomed)
    assert not Session.objects.filter(key="doomed").exists()
    assert texts(severed) == left
    recover()
    assert cleaned()["entries_left"] == 0
    assert texts(severed) == set()
    assert not UndroppedEntry.objects.exists()


def test_r53_cleanup_says_how_many_are_left_and_until_when(severed: Server) -> None:
    age(cached_chat())
    began = datetime.now(UTC)
    with denied(severed):
        report = clean_up(30)
        assert run("cleanup", "--days", "30").endswith(
            "up to 3 cache entries of what was removed may stay in Redis until "
            f"{report.left_until:%Y-%m-%d %H:%M:%S} UTC, unless the next run can drop them\n"
        )
        assert cleaned()["entries_left"] == 3
    assert (report.sessions, report.entries_left) == (1, 3)
    assert report.left_until is not None
    assert began + timedelta(seconds=600) <= report.left_until <= datetime.now(UTC) + timedelta(seconds=600)
    with Redis.from_url(severed.url) as client:
        lives = [client.pttl(key) / 1000 for key in client.keys("cm:*")]
    assert len(lives) == 3
    assert all(datetime.now(UTC) + timedelta(seconds=life) <= report.left_until for life in lives)


@pytest.mark.usefixtures("impatient")
def test_r53_cleanup_says_what_may_be_left_in_a_frozen_redis(severed: Server) -> None:
    age(cached_chat())
    with frozen(severed):
        assert clean_up(30).entries_left == 3


def test_r53_without_a_life_they_are_left_until_evicted(victim: Server) -> None:
    with caching("strict", victim.url, CACHE_TTL=None):
        age(cached_chat())
        with denied(victim):
            out = run("cleanup", "--days", "30")
            report = cleaned()
    assert "may stay in Redis until it evicts them" in out
    assert (report["entries_left"], report["left_until"]) == (3, None)


@pytest.mark.parametrize("change", ["clear", "edit"])
def test_r53_text_that_was_taken_away_is_dropped_too(change: str, severed: Server) -> None:
    """The conversation stays, and what it no longer says would not."""
    chat = cached_chat().history()
    changes: dict[str, Callable[[], object]] = {"clear": chat.clear, "edit": lambda: chat.edit(1, "other")}
    with denied(severed):
        changes[change]()
    assert texts(severed)
    recover()
    cleaned()
    assert len(texts(severed)) == (1 if change == "clear" else 0)  # the branch still shows what main has cleared


def test_r53_what_is_left_under_a_key_that_went_to_another_is_dropped_too(severed: Server) -> None:
    """A key that a client chose: the text is under it alone, and nothing that happens to its session later tells it."""
    cached_chat()
    Session.objects.update(key_from_client=True, user_key="ann")
    with denied(severed):
        conversation("doomed", "acme", user="bob").append(Message.user("of bob"))
    recover()
    moved = Session.objects.get(user_key="ann", branch="main")
    assert moved.key != "doomed"
    assert moved.history().delete()
    cleaned()
    assert texts(severed) == set()


@pytest.mark.parametrize("change", ["redact", "pop", "delete a branch"])
def test_r53_other_changes_of_what_was_said_are_finished_too(change: str, severed: Server) -> None:
    cached_chat()
    chat, draft = conversation("doomed", "acme"), conversation("doomed", "acme", branch="draft")
    chat.append(Message.user("a secret, too", id="s"))
    draft.append(Message.user("a secret, too"))
    for branch in (None, "main", "draft"):
        conversation("doomed", "acme", branch=branch).tail(20)
    left = texts(severed)
    with denied(severed):
        chat.redact(1)
        changes: dict[str, Callable[[], object]] = {
            "redact": lambda: (chat.redact("s"), draft.redact(3)),
            "pop": lambda: (chat.pop(), draft.pop()),
            "delete a branch": lambda: (draft.delete(), chat.redact("s")),
        }
        changes[change]()
    assert texts(severed) == left
    recover()
    cleaned()
    assert texts(severed) == set()


def test_strict_never_shows_what_was_removed(victim: Server) -> None:
    with caching("strict", victim.url):
        doomed = cached_chat()
        with denied(victim):
            assert doomed.history().delete()
        recover()
        assert len(texts(victim)) == 3
        for branch in (None, "main"):
            assert conversation("doomed", "acme", branch=branch).tail(20) == []


def test_changes_that_take_nothing_away_leave_nothing_to_drop(severed: Server) -> None:
    chat = cached_chat().history()
    with denied(severed):
        chat.append(Message.user("more"))
        chat.update(title="new")
        chat.switch("draft")
    assert not UndroppedEntry.objects.exists()


def test_rollback_leaves_nothing_to_drop(severed: Server) -> None:
    doomed = cached_chat()
    with denied(severed), undone():
        doomed.history().delete()
    assert not UndroppedEntry.objects.exists()


def test_removal_in_a_transaction_is_noted_after_its_commit(severed: Server) -> None:
    doomed = cached_chat()
    with denied(severed):
        with transaction.atomic():
            doomed.history().delete()
            assert not UndroppedEntry.objects.exists()
        assert UndroppedEntry.objects.count() == 3


def test_what_should_have_expired_is_noted_until_redis_was_asked(severed: Server) -> None:
    """A handle may have given its entry a longer life than the settings do."""
    doomed = cached_chat()
    with denied(severed):
        doomed.history().delete()
        UndroppedEntry.objects.update(until=datetime.now(UTC) - timedelta(seconds=1))
        report = cleaned()
        assert (report["entries_left"], report["left_until"]) == (3, None)
    assert texts(severed)
    assert cleaned()["entries_left"] == 0
    assert not UndroppedEntry.objects.exists()
    assert not texts(severed)


def test_nothing_of_the_conversation_is_kept_to_drop_it_later(severed: Server) -> None:
    """A row is the key in Redis, a digest."""
    doomed = cached_chat("by-the-name-of-alice")
    with denied(severed):
        doomed.history().delete()
    assert {key.encode() for key in UndroppedEntry.objects.values_list("key", flat=True)} == texts(severed)


def test_while_redis_answers_no_statement_is_about_it(severed: Server) -> None:
    doomed = cached_chat()
    assert not [sql for sql in statements(doomed.history().delete) if "undropped" in sql]


def test_without_a_cache_nothing_is_noted_and_what_is_left_is_counted(victim: Server) -> None:
    with caching("strict", victim.url):
        doomed = cached_chat()
        with denied(victim):
            doomed.history().delete()
    with caching("off", victim.url):
        age(cached_chat("other"))
        assert clean_up(30).entries_left == 3
    assert UndroppedEntry.objects.count() == 3


def test_log_says_it_once_a_minute_without_names(severed: Server, caplog: pytest.LogCaptureFixture) -> None:
    rows = [cached_chat(f"secret-{number}") for number in range(3)]
    with denied(severed), caplog.at_level(logging.WARNING, logger="chat_memory.removal"):
        for row in rows:
            row.history().delete()
    (said,) = [record.getMessage() for record in caplog.records if record.name == "chat_memory.removal"]
    assert said.startswith(
        "Redis could not be asked to drop 3 cache entries of what was removed; they may stay there until"
    )
    assert "secret" not in said


def test_entries_of_a_batch_are_dropped_by_one_command(severed: Server) -> None:
    age(*(cached_chat(str(number)) for number in range(5)))
    with Redis.from_url(severed.url) as client:
        assert redis_commands(client, lambda: clean_up(30)) == ["UNLINK"]
    assert texts(severed) == set()


def test_many_entries_are_dropped_some_at_a_time(severed: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coherence, "DROPPED", 4)
    age(*(cached_chat(str(number)) for number in range(5)))
    with Redis.from_url(severed.url) as client:
        assert redis_commands(client, lambda: clean_up(30)) == ["UNLINK"] * 4
    assert texts(severed) == set()


def test_workspace_of_a_removed_conversation_need_not_be_there(severed: Server) -> None:
    cached_chat()
    with denied(severed):
        Workspace.objects.get(slug="acme").delete()
    recover()
    assert cleaned()["entries_left"] == 0
    assert texts(severed) == set()


def recover() -> None:
    """Ask Redis anew at once, as the next process would: the breaker of this one may still be open."""
    wiring.cache_client().breaker.succeeded()
