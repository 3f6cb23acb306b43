"""The lists of the Redis adapter: every time there is, both directions, and what a failure in between has left."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from chat_memory import Conflict, Message, conversation
from chat_memory.records import Address, SessionRecord
from chat_memory.storage.changed import Changed, Kind, changed
from chat_memory.storage.listing import Cursor, Filter
from chat_memory.storage.redis import PREFIX, RedisAdapter
from tests.integration.redis_commands import commands_in_redis

pytestmark = pytest.mark.once

LIST = f"{PREFIX}{{default}}:sessions"


def sent(key: str, second: int, adapter: RedisAdapter, year: int = 2026) -> str:
    """The key of a conversation that got a message at that time."""
    moment = datetime(year, 1, 1, tzinfo=UTC) + timedelta(seconds=second)
    conversation(key, adapter=adapter).append(Message.user("x", created_at=moment))
    return key


def listed(adapter: RedisAdapter, size: int = 2, **wanted: Any) -> list[str]:
    """The keys of all pages of the list, downwards; the way back must be the same."""
    found: list[SessionRecord] = []
    while page := adapter.sessions.find(
        "default", Filter(**wanted), before=Cursor.of(found[-1]) if found else None, size=size
    ):
        found += page
    if found:
        back = [found[-1]]
        while page := adapter.sessions.find("default", Filter(**wanted), after=Cursor.of(back[0]), size=size):
            back = page + back
        assert back == found
    return [record.key for record in found]


def test_a_newest_message_of_an_earlier_time_takes_the_session_back(redis_client: redis.Redis) -> None:
    adapter = RedisAdapter(redis_client)
    for key, second in (("a", 3), ("b", 2), ("c", 1)):
        sent(key, second, adapter)
    assert listed(adapter) == ["a", "b", "c"]
    sent("a", 0, adapter)
    assert listed(adapter) == ["b", "c", "a"]


@pytest.mark.parametrize("year", [1, 1500, 1969, 2300, 9998])
def test_every_time_that_a_message_may_have_is_listed(redis_client: redis.Redis, year: int) -> None:
    """FEATURES J19: beyond the years that a score holds exactly, too, where seconds still are."""
    adapter = RedisAdapter(redis_client)
    keys = [sent(f"{number}", number + 7 * 24 * 3600, adapter, year) for number in range(5)]
    same = [sent(f"same {number}", 7 * 24 * 3600 - 1, adapter, year) for number in range(3)]
    assert listed(adapter)[:5] == keys[::-1]
    assert sorted(listed(adapter)[5:]) == same
    record = adapter.sessions.get(Address("default", "1"))
    assert record is not None
    assert listed(adapter, since=record.active_at) == keys[:0:-1]
    assert listed(adapter, until=record.active_at)[0] == "0"


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("wrong", [-1e17, 1.5, 1e17])
def test_a_list_that_did_not_follow_is_corrected_when_it_is_read(
    redis_client: redis.Redis, size: int, wrong: float
) -> None:
    """A process may die between the two scripts of a call, and those of two processes may cross."""
    adapter = RedisAdapter(redis_client)
    keys = [sent(f"{number}", number, adapter) for number in range(5)]
    names: Any = redis_client.zrange(LIST, 0, -1)
    (member,) = (name for name in names if name.endswith(b"2"))
    redis_client.zadd(LIST, {member: wrong})
    first = adapter.sessions.find("default", size=size)
    assert [record.key for record in first] == keys[::-1][:size]
    adapter.sessions.find("default", size=50)
    assert listed(adapter, size) == keys[::-1]


def test_a_key_is_found_without_reading_the_list(redis_client: redis.Redis) -> None:
    adapter = RedisAdapter(redis_client)
    for number in range(3):
        sent(f"{number}", number, adapter)
    names = commands_in_redis(redis_client, lambda: listed(adapter, key="1", archived=False))
    assert "HMGET" in names
    assert "ZRANGE" not in names
    assert listed(adapter, key="1", archived=False) == ["1"]
    record = adapter.sessions.get(Address("default", "1"))
    assert record is not None
    assert adapter.sessions.find("default", Filter(key="1"), before=Cursor.of(record)) == []
    assert adapter.sessions.find("default", Filter(key="1", user_key="bob")) == []


def test_the_primary_key_of_an_owner_is_not_kept(redis_client: redis.Redis) -> None:
    adapter = RedisAdapter(redis_client)
    adapter.sessions.open(Address("default", "k", user_id=7, user_key="7"))
    assert adapter.sessions.find("default", Filter(user_id=7)) == []
    assert adapter.sessions.count("default", Filter(user_key="7")) == 1


def test_a_change_is_sent_though_the_lists_do_not_answer(redis_client: redis.Redis) -> None:
    """The change is made, and a retry would send nothing: it is a replay."""
    redis_client.set(LIST, "theirs")
    adapter = RedisAdapter(redis_client)
    chat = conversation("k", adapter=adapter)
    events: list[Changed] = []

    def hear(event: Changed, **_signal: Any) -> None:
        events.append(event)

    changed.connect(hear, sender=adapter.source)
    for _attempt in range(2):
        with pytest.raises(Conflict, match="sessions' holds a value of another program"):
            chat.append(Message.user("x", id="a"))
    changed.disconnect(hear, sender=adapter.source)
    assert [(event.kind, event.made) for event in events] == [(Kind.APPENDED, True)]
    redis_client.delete(LIST)
    assert chat.append(Message.user("x", id="a")).replayed
    assert listed(RedisAdapter(redis_client)) == ["k"]
