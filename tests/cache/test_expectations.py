"""bounded: a process that knows of an entry asks in the cheap way; any other for entry or lease in one command."""

import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import override_settings
from redis import Redis

from chat_memory import Message, metrics
from chat_memory.cache import expiry
from chat_memory.cache.expiry import Expiry
from tests.cache.caching import caching, key_of, newest_texts, redis_commands, statements, warmed
from tests.conversations import chat, say
from tests.servers import Server

TAKE, LOOK = "EVALSHA", "LRANGE"


@pytest.fixture
def bounded_cache(client: Redis, shared_server: Server) -> Iterator[None]:
    with caching("bounded", shared_server.url):
        yield


@contextmanager
def another_process(**changed: object) -> Iterator[None]:
    """Of the same deployment: it has not seen anything yet, since other settings make another adapter."""
    chosen: Any = getattr(settings, "CHAT_MEMORY")  # noqa: B009  # the stubs do not know it
    with override_settings(CHAT_MEMORY={**chosen, "MAX_BATCH": 9_999, **changed}):
        yield


@pytest.mark.django_db(transaction=True)
def test_entry_of_another_process_is_a_hit_in_one_command(bounded_cache: None, client: Redis) -> None:
    warmed(client, "a", "b")
    with another_process():
        before = metrics.totals()
        assert redis_commands(client, lambda: chat().tail(1)) == [TAKE]
        assert redis_commands(client, lambda: chat().tail(1)) == [LOOK]
        after = metrics.totals()
        assert (after["hits"] - before["hits"], after["misses"] - before["misses"]) == (2, 0)
        assert statements(newest_texts) == []
        assert newest_texts() == ["a", "b"]


@pytest.mark.django_db(transaction=True)
def test_life_of_an_entry_of_another_process_is_known(
    bounded_cache: None, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is expected for as long as Redis said, and no longer: the clock is the test's own."""
    key = warmed(client, "a")
    with another_process():
        client.pexpire(key, 30_000)
        newest_texts()
        client.delete(key)
        monkeypatch.setattr(expiry, "monotonic", lambda: time.monotonic() + 30)
        assert redis_commands(client, newest_texts) == [TAKE, TAKE]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", ["clear", "delete", "update", "append in a transaction", "append that does not fit"])
def test_what_this_process_took_away_is_not_expected(bounded_cache: None, client: Any, change: str) -> None:
    key = warmed(client, "a")
    if change == "append in a transaction":
        with transaction.atomic():
            say("b")
    elif change == "append that does not fit":
        client.lset(key, -1, client.lindex(key, -1).replace(b";1;", b";0;", 1))
        say("b")
    elif change == "update":
        chat().update(title="t")
    else:
        getattr(chat(), change)()
    assert client.keys() == []
    assert redis_commands(client, newest_texts) == [TAKE, TAKE]


@pytest.mark.django_db(transaction=True)
def test_shorter_life_than_a_lease_is_never_expected(client: Redis, shared_server: Server) -> None:
    with caching("bounded", shared_server.url, CACHE_MAX_AGE=0.2):
        say("a")
        newest_texts()
        assert redis_commands(client, newest_texts)[0] == TAKE
        assert newest_texts() == ["a"]


@pytest.mark.django_db(transaction=True)
def test_reads_that_cannot_fill_ask_for_no_lease(bounded_cache: None, client: Redis) -> None:
    say("a", "b")
    assert redis_commands(client, lambda: chat().since(1)) == [LOOK]
    assert client.keys() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("knows", [True, False])
def test_entry_too_old_for_a_reader_is_replaced(bounded_cache: None, client: Any, knows: bool) -> None:
    """Whether the reader's process knows of it or not."""
    key = warmed(client, "a")
    older = client.dump(key)
    version = say("b")
    client.restore(key, 60_000, older, replace=True)
    with nullcontext() if knows else another_process():
        assert [message.content for message in chat().since(0, min_version=version)] == ["a", "b"]
        assert redis_commands(client, lambda: chat().tail(20, min_version=version)) == [LOOK, TAKE, TAKE][not knows :]
        assert (statements(newest_texts), newest_texts()) == ([], ["a", "b"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("damage", ["{", "cut"])
def test_damaged_entry_of_another_process_is_a_miss(bounded_cache: None, client: Redis, damage: str) -> None:
    key = warmed(client, "a", "b", "c")
    if damage == "cut":
        client.lpop(key)
    else:
        client.lset(key, 1, damage)
    with another_process():
        assert newest_texts() == ["a", "b", "c"]
        assert newest_texts() == ["a", "b", "c"]
    assert client.llen(key_of(client)) == 4


@pytest.mark.django_db(transaction=True)
def test_longer_tail_than_another_process_has_cached(bounded_cache: None, client: Redis) -> None:
    texts = [str(number) for number in range(9)]
    with another_process(CACHE_TAIL=3):
        say(*texts)
        assert [message.content for message in chat().tail(3)] == texts[-3:]
    assert newest_texts() == texts
    assert [message.content for message in chat().tail(3)] == texts[-3:]


@pytest.mark.django_db(transaction=True)
def test_receipt_of_a_session_is_no_measure_of_an_earlier_one(bounded_cache: None, client: Redis) -> None:
    """Deleted and made again while Redis could not hear of it: the entry's number is larger, and of another session."""
    for text in "abc":
        say(text)
    assert newest_texts() == ["a", "b", "c"]
    client.replicaof("127.0.0.1", 1)  # refuses writes
    chat().delete()
    writer = chat()
    version = writer.append(Message.user("new")).version
    client.replicaof("no", "one")
    assert version < 3
    assert [message.content for message in writer.tail(20, min_version=version)] == ["new"]
    assert [message.content for message in writer.since(0, min_version=version)] == ["new"]
    with another_process():
        moved = pickle.loads(pickle.dumps(writer))
        assert moved.tail_json(20, min_version=version).count(b'"role"') == 1


@pytest.mark.django_db(transaction=True)
def test_receipt_of_an_earlier_session_hides_nothing_of_the_later(bounded_cache: None, client: Redis) -> None:
    """Its number is never reached; the answer is the database's."""
    writer = chat()
    versions = [writer.append(Message.user(text)).version for text in "abc"]
    chat().delete()
    say("new")
    newest_texts()
    for _ in range(2):
        assert [message.content for message in writer.tail(20, min_version=versions[-1])] == ["new"]
    assert newest_texts() == ["new"]


@pytest.mark.once
def test_number_of_known_expiries_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "REMEMBERED", 3)
    known = Expiry()
    for key in "abcd":
        known.remember(key, 60)
    assert [known.expects(key) for key in "abcd"] == [False, False, False, True]
    known.remember("d", -1)
    assert not known.expects("d")
