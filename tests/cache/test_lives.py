"""How long a conversation stays cached: by CACHE_TTL, by the handle's own `cache_ttl`, in bounded by CACHE_MAX_AGE."""

import json
from collections.abc import Iterator

import pytest
from redis import Redis

from chat_memory import Message, ValidationError, append_many
from chat_memory.cache.coherence import JITTER
from tests.cache.caching import HIT, caching, key_of, newest_texts, statements, warmed
from tests.conversations import chat, say
from tests.servers import Server
from tests.watched_redis import watched

pytestmark = pytest.mark.django_db(transaction=True)

LIVES = {"active": 300, "recent": 3600, "important": 86_400}
SLACK = 30
"""Seconds that a busy machine may take from a write to the look at it."""


@pytest.fixture
def strict_cache(client: Redis, shared_server: Server) -> Iterator[None]:
    with caching("strict", shared_server.url):
        yield


def is_about(left: int, seconds: float) -> bool:
    """Milliseconds left, after the jitter and some time."""
    return (seconds * (1 - JITTER) - SLACK) * 1000 < left <= seconds * 1000


@pytest.mark.parametrize("life", LIVES)
def test_life_of_a_handle(strict_cache: None, client: Redis, life: str) -> None:
    """FEATURES S2.20: five minutes, an hour, a day."""
    say("a")
    newest_texts(cache_ttl=LIVES[life])
    assert is_about(client.pttl(key_of(client)), LIVES[life])


def test_without_one_it_is_that_of_the_setting(client: Redis, shared_server: Server) -> None:
    with caching("strict", shared_server.url, CACHE_TTL=120):
        assert is_about(client.pttl(warmed(client, "a")), 120)


def test_archive_is_not_cached(cached: str, client: Redis) -> None:
    """FEATURES S2.20, N11: 0 keeps it out of Redis, and takes out what another handle has put there."""
    say("a", to=chat(cache_ttl=0))
    assert [newest_texts(cache_ttl=0) for _ in range(2)] == [["a"], ["a"]]
    assert json.loads(chat(cache_ttl=0).tail_json(5))[0]["content"] == "a"
    assert client.keys() == []
    newest_texts()
    assert len(client.keys()) == 1
    say("b", to=chat(cache_ttl=0))
    assert client.keys() == []
    assert newest_texts() == ["a", "b"]


def test_setting_of_0_caches_nothing(client: Redis, shared_server: Server, each_mode: str) -> None:
    with caching(each_mode, shared_server.url, CACHE_TTL=0):
        say("a")
        assert (newest_texts(), client.keys()) == (["a"], [])
        newest_texts(cache_ttl=60)  # unless a handle asks for it
        assert len(client.keys()) == 1


@pytest.mark.parametrize(("ttl", "milliseconds"), [(0.5, 500), (1.9, 1900), (0.0004, 1)])
def test_parts_of_a_second_count(strict_cache: None, client: Redis, ttl: float, milliseconds: int) -> None:
    """FEATURES R03, R04."""
    say("a")
    with watched(client) as commands:
        newest_texts(cache_ttl=ttl)
        given = next(each["command"] for each in commands if each["command"].startswith("EVALSHA"))
    # Behind the key: format, four of the state, whole, the life; the empty lease is not to be seen here.
    assert milliseconds * 0.89 - 1 <= int(given.split()[4:][6]) <= milliseconds


@pytest.mark.parametrize("write", ["read", "append"])
def test_last_handle_that_fills_or_appends_decides(strict_cache: None, client: Redis, write: str) -> None:
    key = warmed(client, "a")
    for ttl in (60, 86_400, None, 300):
        if write == "read":
            client.delete(key)
            newest_texts(cache_ttl=ttl)
        else:
            say("more", to=chat(cache_ttl=ttl))
        left = client.pttl(key)
        assert left == -1 if ttl is None else is_about(left, ttl)


def test_reads_that_hit_do_not_renew(strict_cache: None, client: Redis) -> None:
    """FEATURES R18: documented so."""
    key = warmed(client, "a")
    client.pexpire(key, 60_000)
    newest_texts(cache_ttl=86_400)
    assert client.pttl(key) <= 60_000


def test_two_lives_break_no_rule(cached: str, client: Redis) -> None:
    """Handles of every life write and read in turn: nothing is ever missing."""
    expected = []
    for number, ttl in enumerate([60, None, 0, 3600, 0.5, 0, None] * 3):
        version = say(str(number), to=chat(cache_ttl=ttl))
        expected.append(str(number))
        for other in (None, 300, 0):
            found = chat(cache_ttl=other).tail(50, min_version=version)
            assert [message.content for message in found] == expected


def test_bounded_keeps_its_age_limit(client: Redis, shared_server: Server) -> None:
    """No life of a handle lengthens it."""
    with caching("bounded", shared_server.url, CACHE_MAX_AGE=60):
        say("a")
        newest_texts(cache_ttl=86_400)
        key = key_of(client)
        assert 0 < client.pttl(key) <= 60_000
        for ttl in (None, 86_400):
            say("b", to=chat(cache_ttl=ttl))
            assert 0 < client.pttl(key) <= 60_000
        assert len(statements(newest_texts)) == HIT["bounded"]


def test_life_goes_with_append_many(strict_cache: None, client: Redis) -> None:
    key = warmed(client, "a")
    append_many({chat(cache_ttl=60): [Message.user("b")]})
    assert is_about(client.pttl(key), 60)


@pytest.mark.once
@pytest.mark.parametrize("ttl", [-1, -0.1, float("nan"), float("inf"), 10**10, True, "60", [60]])
def test_unusable_life_is_refused(ttl: object) -> None:
    with pytest.raises(ValidationError, match="cache_ttl"):
        chat(cache_ttl=ttl)
