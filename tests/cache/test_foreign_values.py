"""What somebody else put under our key, or did to our list, is a miss: never an exception, never a wrong answer."""

import json
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings
from redis import Redis

from chat_memory import Message, wiring
from tests.cache.caching import ALIAS, HIT, newest_texts, statements, warmed
from tests.conversations import chat, say

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]

TEXTS = ["a", "b", "c", "d", "e"]
PICKLE = pickle.dumps(["not", "ours"])


def instead(*values: bytes) -> Callable[[Any, str], object]:
    """A list of these in place of ours."""

    def put(client: Any, key: str) -> None:
        client.delete(key)
        client.rpush(key, *values)

    return put


def with_header(*fields: tuple[int, str]) -> Callable[[Any, str], object]:
    """Our list, with other values in fields of the header."""

    def put(client: Any, key: str) -> None:
        parts = client.lindex(key, -1).decode().split(";")
        for index, value in fields:
            parts[index] = value
        client.lset(key, -1, ";".join(parts))

    return put


def swap(client: Any, key: str) -> None:
    first, second = client.lrange(key, 0, 1)
    client.lset(key, 0, second)
    client.lset(key, 1, first)


def remove_one(client: Any, key: str) -> None:
    client.lrem(key, 1, client.lindex(key, 2))


LISTS: dict[str, Callable[[Any, str], object]] = {
    "a pickle": instead(PICKLE),
    "garbage": instead(b"\xff\x00\x80", b"\xfe" * 300),
    "one number": instead(b"1"),
    "half a header": instead(b"{}", b"cm1;V"),
    "a header of something else": instead(b"{}", b"cm9;V;02s;1;1;1;1;1;1;;0;0"),
    "numbers that are none": with_header((3, "x")),
    "a version without end": with_header((3, "inf")),
    "a version beyond every other": with_header((3, "1e18")),
    "a version below every other": with_header((3, "-5")),
    "digits of another script": with_header((3, "\u0665")),
    "a token that is none": with_header((4, "-")),
    "a session that is none": with_header((5, "zz")),
    "an identity that is none": with_header((6, "1,2")),
    "another layout": with_header((2, "00s")),
    "another mode": with_header((2, "02b999")),
    "a newer layout": with_header((2, "03s")),
    "an extent that is none": with_header((7, "all")),
    "first message gone": lambda client, key: client.lpop(key),
    "header gone": lambda client, key: client.rpop(key),
    "cut to the newest two": lambda client, key: client.ltrim(key, -3, -1),
    "cut to the header": lambda client, key: client.ltrim(key, -1, -1),
    "one in the middle gone": remove_one,
    "a foreign element before the header": lambda client, key: client.linsert(key, "AFTER", client.lindex(key, 4), "5"),
    "an element after the header": lambda client, key: client.rpush(key, "{}"),
}
TYPES: dict[str, Callable[[Any, str], object]] = {
    "a pickle as text": lambda client, key: client.set(key, PICKLE),
    "a hash": lambda client, key: client.hset(key, "a", "b"),
    "a set": lambda client, key: client.sadd(key, "a"),
    "a stream": lambda client, key: client.xadd(key, {"a": "b"}),
}


def read_in_every_way() -> None:
    assert [message["content"] for message in json.loads(chat().tail_json(20))] == TEXTS
    assert newest_texts() == TEXTS
    assert [message.content for message in chat().messages()] == TEXTS
    assert [message.content for message in chat().since(2)] == TEXTS[2:]


@pytest.mark.parametrize("what", LISTS)
def test_d5_foreign_list_is_a_miss_and_replaced(cached: str, client: Redis, what: str) -> None:
    key = warmed(client, *TEXTS)
    LISTS[what](client, key)
    read_in_every_way()
    if what != "a newer layout":  # which is left alone
        assert len(statements(newest_texts)) == HIT[cached]


@pytest.mark.parametrize("what", LISTS)
def test_append_to_a_foreign_list(cached: str, client: Redis, what: str) -> None:
    key = warmed(client, *TEXTS[:-1])
    LISTS[what](client, key)
    version = say(TEXTS[-1])
    assert [message.content for message in chat().tail(20, min_version=version)] == TEXTS


@pytest.mark.parametrize("what", TYPES)
def test_another_type_is_passed_by(cached: str, client: Redis, what: str, caplog: pytest.LogCaptureFixture) -> None:
    key = warmed(client, *TEXTS[:-1])
    client.delete(key)
    TYPES[what](client, key)
    before = client.type(key)
    with caplog.at_level(logging.DEBUG, logger="chat_memory.cache"):
        say(TEXTS[-1])
        read_in_every_way()
    assert [record.getMessage().rpartition(" ")[2] for record in caplog.records] == ["WRONGTYPE"]
    assert client.type(key) == before
    assert not wiring.cache_client().breaker.is_open


@pytest.mark.parametrize("value", [b"5", b"null", b'{"foo":1}', PICKLE, b'{"id":', b'{"id":"x","seq":1'])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_d4_bytes_path_gives_no_elements_that_cannot_be_ours(cached: str, client: Any, value: bytes, at: int) -> None:
    """It looks at the ends of each element and at the position of the first, and decodes nothing else."""
    key = warmed(client, *TEXTS)
    client.lset(key, at, value)
    assert [message["content"] for message in json.loads(chat().tail_json(20))] == TEXTS


def as_messages(n: int) -> list[Any]:
    return [message.content for message in chat().tail(n)]


def as_bytes(n: int) -> list[Any]:
    return [message["content"] for message in json.loads(chat().tail_json(n))]


@pytest.mark.parametrize("read", [as_messages, as_bytes])
@pytest.mark.parametrize("change", [swap, remove_one])
def test_positions_must_have_no_holes(
    cached: str, client: Redis, change: Callable[[Any, str], object], read: Callable[[int], list[Any]]
) -> None:
    """Of the newest three asked for, a missing one is replaced by an older one: only positions tell."""
    key = warmed(client, *TEXTS)
    change(client, key)
    for _ in range(2):
        assert read(3) == TEXTS[2:]
        assert read(20) == TEXTS


def test_what_looks_like_a_position_in_an_id_is_none(cached: str, client: Redis) -> None:
    """The bytes path finds the member, not a text that says the same; the position is not the one in the text."""
    for number in range(3):
        chat().append(Message.user(str(number), id=f'a","seq":{number},"b":"', metadata={"x": 1, "seq": 9}))
    assert as_messages(2) == ["1", "2"]
    run = statements(lambda: as_bytes(2))
    assert (as_bytes(2), as_bytes(3), len(run)) == (["1", "2"], ["0", "1", "2"], HIT[cached])


def test_longer_tail_than_what_was_cached_before(cached: str, client: Redis) -> None:
    """CACHE_TAIL was raised: the entries of before answer what they can."""
    numbers = [str(number) for number in range(30)]
    say(*numbers)
    chosen = {"CACHE": cached, "CACHE_ALIAS": ALIAS, "CACHE_MAX_AGE": 60}
    with override_settings(CHAT_MEMORY={**chosen, "CACHE_TAIL": 5}):
        assert newest_texts() == numbers[-20:]
        assert [message.content for message in chat().tail(5)] == numbers[-5:]
    assert [message.content for message in chat().tail(5)] == numbers[-5:]
    assert [message.content for message in chat().tail(5)] == numbers[-5:]
    assert newest_texts() == numbers[-20:]


@pytest.mark.parametrize("end", [10**15, 10**300])
def test_d6_lease_that_lives_longer_than_any_is_taken_over(cached: str, client: Any, end: int) -> None:
    """Another tenant of the Redis put it there, without a life: the session is cached again all the same."""
    key = warmed(client, "a")
    with_header((1, "L"), (9, "not-ours"), (10, str(end)))(client, key)
    client.persist(key)
    assert newest_texts() == ["a"]
    assert client.pttl(key) > 0
    assert len(statements(newest_texts)) == HIT[cached]
