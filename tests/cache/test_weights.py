"""No entry weighs more than it may, whichever way messages come in."""

from collections.abc import Callable, Iterator

import pytest
from django.db import transaction
from redis import Redis

from chat_memory import Message, append_many
from chat_memory.cache import entry, lua
from tests.cache.caching import caching, newest_texts
from tests.conversations import chat, contents, say
from tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)

HEAVIEST = 20_000
"""Bytes: the real limit would take megabytes of writing in every case."""
HEAVY = "x" * 4_000


@pytest.fixture(autouse=True)
def _light() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (entry, lua):
            patch.setattr(module, "HEAVIEST", HEAVIEST)
        lua.script.cache_clear()
        yield
    lua.script.cache_clear()


def one_by_one() -> None:
    for _ in range(8):
        say(HEAVY)


def as_one_call() -> None:
    say(*[HEAVY] * 8)


def many_at_once() -> None:
    for _ in range(2):
        say(*["x" * 10] * 1_000)


def in_one_transaction() -> None:
    with transaction.atomic():
        one_by_one()


def as_batches() -> None:
    append_many({chat(): [Message.user(HEAVY)] * 3, chat("other"): [Message.user(HEAVY)] * 3})
    append_many({chat(): [Message.user(HEAVY)] * 3})


def by_an_edit() -> None:
    say(*["x"] * 8)
    newest_texts()
    for seq in range(1, 9):
        chat().edit(chat().count() - 8 + seq, content=HEAVY)
        newest_texts()


def as_calls_and_metadata() -> None:
    for _ in range(8):
        chat().append(Message.assistant("", metadata={"a": HEAVY}), Message.user("b"))


WAYS = [one_by_one, as_one_call, many_at_once, in_one_transaction, as_batches, by_an_edit, as_calls_and_metadata]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_d2_no_entry_grows_past_its_weight(
    each_mode: str, client: Redis, shared_server: Server, way: Callable[[], None]
) -> None:
    """Neither by what is added to an entry that was there, nor by a fill; and every read is right."""
    with caching(each_mode, shared_server.url, CACHE_TAIL=10_000, MAX_BATCH=10_000):
        say("first")
        newest_texts()
        way()
        seen = weights(client)
        for _ in range(2):
            expected = contents(chat().messages())[-5:]
            assert contents(chat().tail(5)) == expected
            seen += weights(client)
        assert seen
        assert max(seen) <= HEAVIEST


def weights(client: Redis) -> list[int]:
    """The bytes of the messages of every entry."""
    lists = [key for key in client.scan_iter() if client.type(key) == b"list"]
    return [sum(map(len, client.lrange(key, 0, -2))) for key in lists]
