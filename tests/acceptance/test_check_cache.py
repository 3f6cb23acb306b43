"""The command chat_memory_check with --cache: what Redis holds is compared with the rows it stands for."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from redis import Redis

from chat_memory import Message, conversation
from chat_memory.maintenance import integrity
from tests.acceptance.checking import report, talk, violations
from tests.acceptance.command_line import run
from tests.integration.outages import refusing
from tests.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_client_that_does_not_fit_is_a_refusal(settings) -> None:
    settings.CHAT_MEMORY = {"REDIS_CLIENT": f"{__name__}.not_a_client"}
    with pytest.raises(CommandError, match=r"REDIS_CLIENT: .*not_a_client must return a synchronous redis client"):
        run("check", "--cache")


def not_a_client() -> str:
    return "redis"


@pytest.fixture(params=["strict", "bounded"])
def cached_entry(request, settings, redis_client: Redis) -> Any:
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


def test_main_is_looked_at_by_its_name_too(settings, redis_client: Redis) -> None:
    """A handle on the branch has an entry of its own."""
    talk()
    conversation("k", "acme", branch="main").tail(50)
    (key,) = list(redis_client.scan_iter("cm:{*"))
    entry: Any = redis_client.lindex(key, 0)
    redis_client.lset(key, 0, entry.replace(b'"content":"', b'"content":"!'))
    assert violations("--cache") == [("cache", "k")]
    assert report("--cache", "--repair")["entries"] == 1


def test_sound_entries_are_counted(cached_entry: Entry) -> None:
    found = report("--cache")
    assert (found["entries"], found["faults"]) == (1, [])
    assert report()["entries"] == 0


def other_content(cached_entry: Entry) -> None:
    cached_entry.client.lset(cached_entry.key, 0, cached_entry.client.lindex(cached_entry.key, 0).replace(b"0?", b"1?"))


def damaged(cached_entry: Entry) -> None:
    cached_entry.client.lset(cached_entry.key, 0, b"{")


def other_bounds(cached_entry: Entry) -> None:
    ident = cached_entry.client.lindex(cached_entry.key, -1).split(b";")[6].split(b",")
    cached_entry.header(6, b",".join([ident[0], b"2", ident[2]]))
    cached_entry.header(7, b"0")
    cached_entry.client.lpop(cached_entry.key)


def other_type(cached_entry: Entry) -> None:
    cached_entry.client.delete(cached_entry.key)
    cached_entry.client.set(cached_entry.key, "x")


@pytest.mark.parametrize("spoil", [other_content, damaged, other_bounds, other_type])
def test_an_entry_that_claims_the_row_and_differs(cached_entry: Entry, spoil) -> None:
    spoil(cached_entry)
    assert violations("--cache") == [("cache", "k")]
    assert violations() == []
    found = report("--cache", "--repair")
    assert [fault["repaired"] for fault in found["faults"]] == [True]
    assert not cached_entry.client.exists(cached_entry.key)
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


def test_an_entry_longer_than_the_tail_is_now(cached_entry: Entry, settings) -> None:
    """CACHE_TAIL was lowered: the entry may still be whole, and is compared to its oldest message."""
    settings.CHAT_MEMORY = {**settings.CHAT_MEMORY, "CACHE_TAIL": 2}
    assert (report("--cache")["entries"], violations("--cache")) == (1, [])
    other_content(cached_entry)
    assert violations("--cache") == [("cache", "k")]


def cut(cached_entry: Entry) -> None:
    cached_entry.client.lpop(cached_entry.key)


def senseless_numbers(cached_entry: Entry) -> None:
    cached_entry.header(6, b"1,x,2")


@pytest.mark.parametrize("spoil", [cut, damaged, senseless_numbers])
def test_a_check_repairs_nothing_unasked(cached_entry: Entry, spoil) -> None:
    spoil(cached_entry)
    held = cached_entry.client.lrange(cached_entry.key, 0, -1)
    assert [violations("--cache") for _ in range(2)] == [[("cache", "k")]] * 2
    assert cached_entry.client.lrange(cached_entry.key, 0, -1) == held
    assert violations("--cache", "--repair") == [("cache", "k")]
    assert violations("--cache") == []


def test_an_entry_that_is_behind_is_no_violation(cached_entry: Entry) -> None:
    """A push got lost: strict refuses the entry, and bounded lets it die."""
    held = cached_entry.client.dump(cached_entry.key)
    life = max(0, cached_entry.client.pttl(cached_entry.key))
    conversation("k", "acme").append(Message.user("new"))
    cached_entry.client.restore(cached_entry.key, life, held, replace=True)
    assert report("--cache")["entries"] == 1
    assert violations("--cache") == []


def test_a_foreign_value_is_a_miss_and_no_violation(cached_entry: Entry) -> None:
    cached_entry.client.delete(cached_entry.key)
    cached_entry.client.rpush(cached_entry.key, "garbage")
    assert report("--cache")["entries"] == 0


@pytest.mark.parametrize("milliseconds", [None, 90_000])
def test_bounded_entries_must_die_in_time(cached_entry: Entry, milliseconds: int | None) -> None:
    if milliseconds is None:
        cached_entry.client.persist(cached_entry.key)
    else:
        cached_entry.client.pexpire(cached_entry.key, milliseconds)
    assert violations("--cache") == ([("cache", "k")] if cached_entry.mode == "bounded" else [])


def test_the_sample_is_of_those_changed_last(cached_entry: Entry) -> None:
    other_content(cached_entry)
    talk("newer").tail(50)
    assert violations("--cache", "--sample", "1") == []
    assert violations("--cache", "--sample", "2") == [("cache", "k")]


def test_a_check_while_others_write_finds_nothing(settings) -> None:
    """Rows and messages are compared in one snapshot, and an entry is read before its rows."""
    settings.CHAT_MEMORY = {"CACHE": "strict"}
    enough = threading.Event()

    def write() -> None:
        chat = conversation("k", "acme")
        try:
            while not enough.is_set():
                for number in range(20):
                    chat.append(Message.user(str(number)), Message.assistant("x"))
                    chat.tail(20)
                chat.clear()
        finally:
            connection.close()

    def entries_compared() -> int:
        found = integrity.check(cache=True)
        assert found.faults == ()
        return found.entries

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write) for _ in range(2)]
        try:
            for _ in range(20):
                eventually(entries_compared)
        finally:
            enough.set()
        for writer in writers:
            writer.result()
    assert integrity.check(cache=True, repair=True).violations == 0
