"""What seed caches get wrong and this one must not: a test for each of FEATURES N01-N20 and R14-R16, in both modes."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis.asyncio
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from redis import Redis
from redis.cache import CacheConfig

from chat_memory import Message, ValidationError, conversation
from tests.cache.caching import HIT, caching, key_of, newest_texts, redis_commands, statements, warmed
from tests.cache.held_adapter import CachedMemory
from tests.conversations import chat, say
from tests.integration.outages import frozen
from tests.servers import Server
from tests.waiting import eventually
from tests.watched_redis import watched

pytestmark = pytest.mark.django_db(transaction=True)


def asynchronous_client() -> object:
    return redis.asyncio.Redis()


def decoding_client() -> object:
    return Redis(decode_responses=True)


def caching_client() -> object:
    return Redis(protocol=3, cache_config=CacheConfig())


def test_n01_batch_and_single_append_give_the_same_history(cached: str, client: Redis) -> None:
    """FEATURES N01."""
    warmed(client, "a")
    say("b")
    say("c", "d")
    assert len(statements(newest_texts)) == HIT[cached]
    assert newest_texts() == ["a", "b", "c", "d"]


def test_n02_append_to_an_absent_entry_makes_none(cached: str, client: Redis) -> None:
    """FEATURES N02."""
    client.delete(warmed(client, "a", "b"))
    say("c")
    assert client.keys() == []
    assert newest_texts() == ["a", "b", "c"]


def test_n03_no_append_keeps_a_part_alive(cached: str, client: Redis) -> None:
    """FEATURES N03: however often it is written meanwhile."""
    client.delete(warmed(client, "a"))
    for text in "bcde":
        say(text)
    assert client.keys() == []
    assert newest_texts() == list("abcde")


def test_n04_lost_push_leaves_no_hole(cached: str, client: Redis) -> None:
    """FEATURES N04."""
    warmed(client, "a")
    client.replicaof("127.0.0.1", 1)  # refuses writes
    version = say("b")
    client.replicaof("no", "one")
    assert [message.content for message in chat().tail(20, min_version=version)] == ["a", "b"]
    say("c")
    assert newest_texts() == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["clear", "delete"])
def test_n05_what_was_cleared_does_not_come_back(cached: str, client: Redis, end: str) -> None:
    """FEATURES N05: even though Redis could not be told; bounded: at the latest when the entry's time is over."""
    key = warmed(client, "my secret")
    client.replicaof("127.0.0.1", 1)
    getattr(chat(), end)()
    client.replicaof("no", "one")
    if cached == "bounded":
        assert 0 < client.pttl(key) <= 60_000
        client.delete(key)
    assert newest_texts() == []


def test_n06_what_cannot_be_cached_is_not_stored_either(cached: str, client: Redis) -> None:
    """FEATURES N06."""
    warmed(client, "a")
    with pytest.raises(ValidationError):
        chat().append(Message.user("b", metadata={"when": object()}))
    assert newest_texts() == [message.content for message in chat().messages()] == ["a"]


def test_n07_append_between_read_and_fill_is_not_lost(each_mode: str, client: Redis) -> None:
    """FEATURES N07."""
    memory = CachedMemory(client, each_mode)
    memory.chat().append(Message.user("old"))
    memory.between(lambda: memory.chat().append(Message.user("new")))
    assert memory.newest_texts() == ["old"]
    assert memory.newest_texts() == ["old", "new"]


def test_n08_two_fills_at_once_double_nothing(each_mode: str, client: Redis) -> None:
    """FEATURES N08."""
    memory = CachedMemory(client, each_mode)
    memory.chat().append(*map(Message.user, "abc"))
    memory.between(memory.newest_texts)
    assert memory.newest_texts() == memory.newest_texts() == ["a", "b", "c"]
    assert client.llen(key_of(client)) == 4  # the header is one


def test_n09_late_push_does_not_bring_back_what_was_deleted(each_mode: str, client: Redis) -> None:
    """FEATURES N09: neither alone nor into a later conversation of the same name."""
    memory = CachedMemory(client, each_mode)
    memory.chat().append(Message.user("erase me"))
    memory.newest_texts()
    held: list[Callable[[], None]] = []
    memory.inner.pushes = held
    memory.chat().append(Message.user("late"))
    memory.chat().delete()
    late, drop = held
    drop()
    late()
    assert (client.keys(), memory.newest_texts()) == ([], [])
    memory.inner.pushes = None
    memory.chat().append(Message.user("again"))
    assert memory.newest_texts() == ["again"]
    late()
    assert memory.newest_texts() == ["again"]


def test_n10_value_and_life_are_set_in_one_step(cached: str, client: Redis) -> None:
    """FEATURES N10."""
    say("a")
    # EVAL: the server may not know the script yet, as after a restart.
    assert set(redis_commands(client, newest_texts)) - {"EVAL", "LRANGE"} == {"EVALSHA"}
    assert client.pttl(key_of(client)) > 0
    assert redis_commands(client, lambda: say("b")) == ["EVALSHA"]
    assert client.pttl(key_of(client)) > 0


def test_n11_a_life_of_0_does_not_mean_for_ever(cached: str, client: Redis) -> None:
    """FEATURES N11: 0 is not cached; None is for ever in strict, and as long as may be in bounded."""
    say("a", to=chat(cache_ttl=0))
    assert (newest_texts(cache_ttl=0), client.keys()) == (["a"], [])
    newest_texts(cache_ttl=None)
    assert (client.pttl(key_of(client)) == -1) is (cached == "strict")
    with pytest.raises(ValidationError, match="cache_ttl"):
        chat(cache_ttl=-1)


def test_n12_names_cannot_be_made_to_meet(cached: str, client: Redis) -> None:
    """FEATURES N12."""
    names = [("a", "b:c"), ("a", "b/c"), ("a.b", "c"), ("a", "b.c"), ("a", "1:b:c"), ("a", "{b:c}")]
    for workspace, key in names:
        conversation(key, workspace=workspace).append(Message.user(f"{workspace} {key}"))
    for _ in range(2):
        for workspace, key in names:
            (message,) = conversation(key, workspace=workspace).tail(5)
            assert message.content == f"{workspace} {key}"
    assert len(client.keys()) == len(names)


def test_n12_schemas_of_one_database_do_not_meet(cached: str, client: Redis, monkeypatch: Any) -> None:
    """FEATURES N12: the same names, in the tables of another tenant, as django-tenants switches between them."""
    say("a")
    keys = set()
    for schema in ("one", "two"):
        monkeypatch.setattr(connections["default"], "schema_name", schema, raising=False)
        client.flushdb()
        assert newest_texts() == ["a"]
        keys.add(key_of(client))
    assert len(keys) == 2


async def test_n13_loop_runs_on_while_redis_hangs(victim: Server, impatient: None) -> None:
    """FEATURES N13: other coroutines get their turns; how soon, the benchmarks measure."""
    with caching("strict", victim.url):
        await chat().aappend(Message.user("a"))
        with frozen(victim):
            read = asyncio.ensure_future(chat().atail(20))
            turns = 0
            while not read.done():
                await asyncio.sleep(0)
                turns += 1
        assert [message.content for message in await read] == ["a"]
        assert turns > 20


@pytest.mark.parametrize("factory", ["asynchronous_client", "decoding_client", "caching_client"])
def test_n14_unfit_client_is_refused(shared_server: Server, each_mode: str, factory: str) -> None:
    """FEATURES N14: before anything is read or written with it."""
    path = f"{__name__}.{factory}"
    with caching(each_mode, shared_server.url, REDIS_CLIENT=path), pytest.raises(ImproperlyConfigured, match=path):
        chat()


async def test_n15_async_code_uses_the_cache(cached: str, client: Redis) -> None:
    """FEATURES N15: three reads, and messages are read from the database once."""
    await chat().aappend(Message.user("a"))
    sent = []
    for _ in range(3):
        before = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
        assert [message.content for message in await chat().atail(20)] == ["a"]
        sent.append(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"] - before)
    assert sent[0] > 0
    assert sent[1:] == [0, 0]


def test_n16_reads_no_more_than_was_asked_for(cached: str, client: Redis) -> None:
    """FEATURES N16: neither from the database nor from Redis."""
    say(*map(str, range(200)))
    (read,) = [sql for sql in statements(lambda: chat().tail(10)) if "content" in sql]
    assert "LIMIT" in read
    assert client.llen(key_of(client)) == 51
    with watched(client) as commands:
        chat().tail(10)
        asked = next(each["command"] for each in commands if each["command"].startswith("LRANGE"))
    assert asked.split()[2:] == ["-11", "-1"]


def test_n16_longer_read_than_the_cache_holds_asks_the_database_alone(cached: str, client: Redis) -> None:
    """FEATURES N16: once, and Redis not at all."""
    say(*map(str, range(60)))
    newest_texts()
    for call in (lambda: chat().tail(51), lambda: chat().tail_json(51)):
        assert len(statements(call)) == 1
        assert redis_commands(client, call) == []


MEGABYTE = 1024 * 1024


def test_n16_heavy_history_is_cached_as_far_as_it_is_light(cached: str, client: Redis) -> None:
    """FEATURES N16: handing more over takes Redis longer than anybody waits, and making it again costs even more."""
    half = "x" * (MEGABYTE * 6 // 10)
    warmed(client, "a")
    say(half)
    say(half)
    for _ in range(2):
        assert newest_texts() == ["a", half, half]
    assert chat().tail(1)[0].content == half
    assert (len(chat().tail(1)), len(statements(lambda: chat().tail(1)))) == (1, HIT[cached])
    assert client.llen(key_of(client)) == 2
    before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert newest_texts() == ["a", half, half]
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before
    say(half, half)
    assert client.keys("cm:*") == []
    assert [len(newest_texts()), len(chat().tail(1))] == [5, 1]


def test_n17_fill_is_one_command_however_long(cached: str, client: Redis) -> None:
    """FEATURES N17: cold, strict asks and fills; bounded asks for entry or lease and fills."""
    say("a")
    newest_texts()
    for length in (1, 500):
        client.flushall()
        say(*map(str, range(length)))
        assert (
            redis_commands(client, newest_texts)
            == {"strict": ["LRANGE", "EVALSHA"], "bounded": ["EVALSHA", "EVALSHA"]}[cached]
        )
        assert redis_commands(client, newest_texts) == ["LRANGE"]


def test_n17_entry_that_went_before_its_time(cached: str, client: Redis) -> None:
    """FEATURES N17: in bounded one command more, since who has seen the entry alive asks for it alone."""
    warmed(client, "a")
    client.flushall()
    assert redis_commands(client, newest_texts) == ["LRANGE", "EVALSHA", "EVALSHA"][: 2 if cached == "strict" else 3]
    assert (newest_texts(), len(statements(newest_texts))) == (["a"], HIT[cached])


def test_n18_no_reader_sees_part_of_a_fill(cached: str, client: Redis, shared_server: Server) -> None:
    """FEATURES N18: nothing, a lease, or all five with their header."""
    key = warmed(client, *"abcde")
    done, seen = threading.Event(), set()

    def look() -> None:
        with Redis.from_url(shared_server.url) as other:
            while not done.is_set():
                seen.add(len(other.lrange(key, 0, -1)))

    def fill_again() -> bool:
        client.delete(key)
        assert newest_texts() == list("abcde")
        return 6 in seen

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(50):
            fill_again()
        eventually(fill_again)
    finally:
        done.set()
        thread.join()
    assert seen <= ({0, 6} if cached == "strict" else {0, 1, 6})


@pytest.mark.parametrize("damage", ["{", "5", "null", '{"foo": 1}', '{"role": "user"}'])
def test_n19_damaged_element_does_not_make_a_history_unreadable(cached: str, client: Redis, damage: str) -> None:
    """FEATURES N19, R07, G2: the entry is thrown away and made again."""
    key = warmed(client, "a", "b", "c")
    client.lset(key, 1, damage)
    assert newest_texts() == ["a", "b", "c"]
    assert newest_texts() == ["a", "b", "c"]
    assert damage.encode() not in client.lrange(key, 0, -1)


def test_n19_bytes_that_are_no_text(cached: str, client: Any) -> None:
    """FEATURES N19: of every read a miss, that of bytes too, and a violation that the check repairs."""
    key = warmed(client, "hello")
    broken = client.lindex(key, 0).replace(b"hello", b"hel\xcfo")
    for read in (newest_texts, lambda: [message.content for message in chat().messages()], as_json):
        newest_texts()
        client.lset(key, 0, broken)
        assert read() == ["hello"]
        assert not client.exists(key)
    newest_texts()
    client.lset(key, 0, broken)
    call_command("chat_memory_check", "--cache", "--repair", verbosity=0)
    assert not client.exists(key)


def as_json() -> list[Any]:
    return [message["content"] for message in json.loads(chat().tail_json(20))]


@pytest.mark.parametrize("exists", [True, False])
def test_n20_empty_session_is_cached(cached: str, client: Redis, exists: bool) -> None:
    """FEATURES N20: five reads, in bounded one statement; in strict the row each time, the messages once."""
    say("somewhere else is a workspace")
    chat().delete()
    if exists:
        chat().open()
    run = [sql for _ in range(5) for sql in statements(newest_texts)]
    about_messages = [sql for sql in run if "content" in sql]
    if cached == "bounded":
        assert len(run) == 1
    else:
        assert len(about_messages) == (1 if exists else 0)
        assert len(run) == (6 if exists else 5)
    say("first")
    assert newest_texts() == ["first"]


def test_r14_loss_of_redis_is_no_loss_of_history(cached: str, client: Redis) -> None:
    """FEATURES R14: what was flushed or evicted is read from the database and cached again."""
    warmed(client, "a", "b")
    client.flushall()
    assert newest_texts() == ["a", "b"]
    assert len(statements(newest_texts)) == HIT[cached]


def test_r15_everything_works_without_redis(each_mode: str, victim: Server) -> None:
    """FEATURES R15."""
    with caching(each_mode, victim.url):
        say("a")
        assert newest_texts() == ["a"]
        victim.process.kill()
        victim.process.wait()
        for text in "bcdef":
            say(text)
            assert newest_texts()[-1] == text
        assert chat().tail_json(2).startswith(b"[{")
        chat().clear()
        assert newest_texts() == []


def test_r16_value_of_another_type_is_left_alone(cached: str, client: Redis) -> None:
    """FEATURES R16."""
    key = warmed(client, "a")
    client.delete(key)
    client.set(key, "somebody else's", px=60_000)
    say("b")
    assert newest_texts() == ["a", "b"]
    assert client.get(key) == b"somebody else's"
    assert 0 < client.pttl(key) <= 60_000
