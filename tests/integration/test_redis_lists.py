"""The lists of the Redis adapter: every time there is, both directions, and what a failure in between has left."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model

from chat_memory import Conflict, Message, conversation
from chat_memory.records import Address, SessionRecord
from chat_memory.sessions import count_sessions, find_sessions
from chat_memory.storage.changed import Changed, Kind, changed
from chat_memory.storage.listing import Cursor, Filter
from chat_memory.storage.redis import PREFIX, RedisAdapter
from tests.watched_redis import names_in_redis

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
    names = names_in_redis(redis_client, lambda: listed(adapter, key="1", archived=False))
    assert "HMGET" in names
    assert "ZRANGE" not in names
    assert listed(adapter, key="1", archived=False) == ["1"]
    record = adapter.sessions.get(Address("default", "1"))
    assert record is not None
    assert adapter.sessions.find("default", Filter(key="1"), before=Cursor.of(record)) == []
    assert adapter.sessions.find("default", Filter(key="1", user_key="bob")) == []


@pytest.mark.django_db
def test_a_user_object_is_asked_for_by_owner(redis_client: redis.Redis) -> None:
    """And the text of its key is another system's user, as it is over a database."""
    adapter, user = RedisAdapter(redis_client), get_user_model().objects.create_user("somebody")
    text = str(user.pk)
    for key, owner in (("of the user", user), ("of the text", text), ("of nobody", None)):
        conversation(key, user=owner, adapter=adapter).append(Message.user("x"))
    for asked, found in ((user, ["of the user"]), (text, ["of the text"])):
        assert [record.key for record in find_sessions(user=asked, adapter=adapter).sessions] == found
        assert count_sessions(user=asked, adapter=adapter) == 1


def heard_from(adapter: RedisAdapter) -> list[Changed]:
    """The events of an adapter from now on, as long as it lives."""
    events: list[Changed] = []

    def hear(event: Changed, **_signal: Any) -> None:
        events.append(event)

    changed.connect(hear, sender=adapter.source, weak=False)
    return events


def test_nothing_is_written_where_the_list_is_of_another_program(redis_client: redis.Redis) -> None:
    """R16: a script writes all or nothing."""
    redis_client.set(LIST, "theirs")
    adapter = RedisAdapter(redis_client)
    chat, events = conversation("k", adapter=adapter), heard_from(adapter)
    with pytest.raises(Conflict, match="sessions' holds a value of another program"):
        chat.append(Message.user("x", id="a"))
    assert (chat.messages(), events, redis_client.get(LIST)) == ([], [], b"theirs")


def test_a_change_is_sent_though_a_list_does_not_answer(redis_client: redis.Redis) -> None:
    """Whose the session is, is known only after the script; and a retry would send nothing: it is a replay."""
    adapter = RedisAdapter(redis_client)
    conversation("k", user="bob", adapter=adapter).open()
    events, chat = heard_from(adapter), conversation("k", adapter=adapter)
    redis_client.delete(f"{LIST}:bob")
    redis_client.set(f"{LIST}:bob", "theirs")
    for _attempt in range(2):
        with pytest.raises(Conflict, match="sessions:bob' holds a value of another program"):
            chat.append(Message.user("x", id="a"))
    assert [event.kind for event in events] == [Kind.APPENDED]
    redis_client.delete(f"{LIST}:bob")
    assert chat.append(Message.user("x", id="a")).replayed
    assert listed(RedisAdapter(redis_client), user_key="bob") == ["k"]
