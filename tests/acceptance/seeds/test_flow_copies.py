"""Copies in Redis of what another adapter keeps: never wrong by an order of calls, and no older than they may be."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis

from chat_memory.exceptions import ValidationError
from chat_memory.flow import DatabaseChatHistory, DjangoDatabaseAdapter, Message, RedisChatHistory
from chat_memory.flow.foreign import key_of
from tests.acceptance.seeds.flow_world import ListAdapter, texts_of
from tests.servers import start_redis

pytestmark = pytest.mark.once

KEY = "chat_history:s"


class InterruptedAdapter(ListAdapter):
    """Does something else between its work and its answer, once."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[Any]] | None = None

    async def get_messages(
        self, session_id: str, workspace_id: str | None = None, limit: int | None = None
    ) -> list[Any]:
        found = await super().get_messages(session_id, workspace_id, limit)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            await meanwhile()
        return found


@pytest.fixture
def other_database() -> InterruptedAdapter:
    return InterruptedAdapter()


@pytest.fixture
def copied(other_database: InterruptedAdapter, redis_client: redis.Redis) -> DatabaseChatHistory:
    return DatabaseChatHistory("s", other_database, redis_client)


async def test_a_batch_and_single_messages_give_the_same(copied: DatabaseChatHistory) -> None:
    """N01."""
    for number in range(4):
        await copied.add_message(Message.user(f"m{number}"))
    await copied.get_messages()
    await copied.add_messages([Message.user("m4"), Message.user("m5")])
    assert await texts_of(copied) == [f"m{number}" for number in range(6)]


async def test_a_message_after_the_copy_has_expired(copied: DatabaseChatHistory, redis_client: redis.Redis) -> None:
    """N02, N03: makes no copy of a part, and renews no life."""
    await copied.add_messages([Message.user("1"), Message.user("2")])
    await copied.get_messages()
    redis_client.delete(KEY)
    await copied.add_message(Message.user("3"))
    assert not redis_client.exists(KEY)
    assert await texts_of(copied) == ["1", "2", "3"]
    redis_client.pexpire(KEY, 5_000)
    await copied.get_messages()
    assert 0 < redis_client.pttl(KEY) <= 5_000


async def test_a_deletion_that_failed_is_made_up_for(
    other_database: InterruptedAdapter, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N04, N05: what this process could not delete it does not read, and says so."""
    monkeypatch.setattr("chat_memory.flow.foreign._log_limit.allows", lambda kind: True)
    with start_redis() as server, redis.Redis(port=server.port) as operator:
        operator.acl_setuser("app", enabled=True, passwords=["+x"], keys=["*"], commands=["+@all"])
        client = redis.Redis(port=server.port, username="app", password="x")
        copied, other = (DatabaseChatHistory("s", other_database, client) for _ in range(2))
        await copied.add_message(Message.user("my secret"))
        assert await texts_of(copied) == ["my secret"]
        operator.acl_setuser("app", commands=["-unlink"])
        with caplog.at_level(logging.WARNING, "chat_memory"):
            await copied.clear()
            assert await texts_of(other) == []
        assert "others may read it for 3600 seconds" in caplog.text
        assert operator.exists(KEY)
        operator.acl_setuser("app", commands=["+unlink"])
        assert await texts_of(other) == []
        await copied.add_message(Message.user("after"))
        assert await texts_of(copied) == ["after"]


async def test_what_is_no_json_is_refused_before_it_is_stored(
    copied: DatabaseChatHistory, other_database: InterruptedAdapter
) -> None:
    """N06: in this database and in ours alike."""
    for history in (copied, DatabaseChatHistory("s", DjangoDatabaseAdapter())):
        with pytest.raises(ValidationError, match="metadata"):
            await history.add_message(Message.user("x", metadata={"when": object()}))
    assert other_database.rows == {}


async def test_a_write_during_a_read_is_not_hidden_by_it(
    copied: DatabaseChatHistory, other_database: InterruptedAdapter
) -> None:
    """N07: what was read before a write is not put there after it."""
    await copied.add_message(Message.user("old"))
    other_database.meanwhile = lambda: copied.add_message(Message.user("new"))
    assert await texts_of(copied) == ["old"]
    assert await texts_of(copied) == ["old", "new"]


async def test_two_reads_at_once_make_one_copy(copied: DatabaseChatHistory, other_database: InterruptedAdapter) -> None:
    """N08, N18: and whoever reads meanwhile is given the whole."""
    await copied.add_messages([Message.user(f"m{number}") for number in range(5)])
    seen: list[Any] = []

    async def read() -> None:
        seen.append(await texts_of(copied))

    other_database.meanwhile = read
    seen += [await texts_of(copied), await texts_of(copied)]
    assert seen == [[f"m{number}" for number in range(5)]] * 3


async def test_a_clear_during_a_read_stays_one(copied: DatabaseChatHistory, other_database: InterruptedAdapter) -> None:
    """N09."""
    await copied.add_message(Message.user("late"))
    other_database.meanwhile = copied.clear
    await copied.get_messages()
    assert await texts_of(copied) == []


async def test_value_and_life_are_one_step(copied: DatabaseChatHistory, redis_client: redis.Redis) -> None:
    """N10."""
    await copied.get_messages()
    assert 0 < redis_client.ttl(KEY) <= 3600
    await RedisChatHistory("t", redis_client, ttl=60).add_message(Message.user("x"))
    assert 0 < redis_client.ttl("chat_history:t") <= 60


def test_a_life_of_nothing(redis_client: redis.Redis, other_database: InterruptedAdapter) -> None:
    """N11: is refused where Redis is the store, and means no copy where it is not."""
    with pytest.raises(ValidationError, match="ttl"):
        RedisChatHistory("s", redis_client, ttl=0)
    assert DatabaseChatHistory("s", other_database, redis_client, redis_ttl=0).redis_ttl == 0


async def test_no_two_sessions_share_a_key(other_database: InterruptedAdapter, redis_client: redis.Redis) -> None:
    """N12: nor do a workspace and none."""
    places = [("b:c", "a"), ("a:b:c", None), ("a%3Ab%3Ac", None), ("c", "a"), ("a:c", None), ("default:c", None)]
    assert len({key_of(*place) for place in places}) == len(places)
    assert (key_of("user_123", None), key_of("user_123", "acme")) == ("user_123", "acme:user_123")
    histories = [
        DatabaseChatHistory(session, other_database, redis_client, workspace_id=slug) for session, slug in places
    ]
    for number, history in enumerate(histories):
        await history.add_message(Message.user(f"{number}"))
    assert [await texts_of(history) for history in histories] == [[f"{number}"] for number in range(len(places))]
    for slug in ("a:b", "", "a/b"):
        with pytest.raises(ValidationError, match="workspace"):
            DatabaseChatHistory("c", other_database, redis_client, workspace_id=slug)


@pytest.mark.parametrize("value", ["{", '[{"role": 1}]', "7", "null", '["x"]'])
async def test_a_copy_that_nobody_can_read_is_none(
    copied: DatabaseChatHistory, other_database: InterruptedAdapter, redis_client: redis.Redis, value: str
) -> None:
    """N19: neither is what another program has put there."""
    await copied.add_message(Message.user("x"))
    await copied.get_messages()
    redis_client.lset(KEY, 0, value)
    assert await texts_of(copied) == ["x"]
    redis_client.delete(KEY)
    redis_client.rpush(KEY, b'{"role": "user", "content": "of another program", "id": "x"}')
    assert await texts_of(copied) == ["x"]
    assert [await texts_of(copied) for _ in range(2)] == [["x"]] * 2


async def test_an_empty_history_is_copied_too(copied: DatabaseChatHistory, other_database: InterruptedAdapter) -> None:
    """N20: until its first message."""
    assert [await texts_of(copied) for _ in range(5)] == [[]] * 5
    assert other_database.reads == 1
    await copied.add_message(Message.user("x"))
    assert await texts_of(copied) == ["x"]


async def test_a_write_that_fails_may_have_had_an_effect(redis_client: redis.Redis) -> None:
    """The copy goes all the same."""

    class StoresAndFails(ListAdapter):
        async def save_messages(self, session_id: str, messages: list[Any], workspace_id: str | None = None) -> None:
            await super().save_messages(session_id, messages, workspace_id)
            raise OSError("no answer")

    history = DatabaseChatHistory("s", StoresAndFails(), redis_client)
    await history.get_messages()
    with pytest.raises(OSError, match="no answer"):
        await history.add_message(Message.user("x"))
    assert await texts_of(history) == ["x"]


async def test_a_history_too_heavy_for_one_value_is_not_copied(
    copied: DatabaseChatHistory, other_database: InterruptedAdapter, redis_client: redis.Redis
) -> None:
    await copied.add_messages([Message.user("x" * 600_000), Message.user("y" * 600_000)])
    assert [len(await copied.get_messages()) for _ in range(2)] == [2, 2]
    assert other_database.reads == 2


async def test_what_others_write_is_seen_when_the_copy_ends(
    copied: DatabaseChatHistory, other_database: InterruptedAdapter, redis_client: redis.Redis
) -> None:
    """The document's bound: nothing but the life of the copy shows what went past this class."""
    await copied.get_messages()
    await other_database.save_message("s", Message.user("behind its back"))
    assert await texts_of(copied) == []
    redis_client.pexpire(KEY, 0)
    assert await texts_of(copied) == ["behind its back"]


async def test_messages_of_another_class_come_as_ours(redis_client: redis.Redis) -> None:
    """What an adapter gives has role and content, and may have more."""

    class Row:
        def __init__(self, role: str, content: str) -> None:
            self.role, self.content, self.metadata = role, content, {"k": 1}

    adapter = ListAdapter()
    adapter.rows[None, "s"] = [Row("user", "x")]
    history = DatabaseChatHistory("s", adapter, redis_client)
    for _ in range(2):
        (message,) = await history.get_messages()
        assert (type(message), message.content, message.metadata) == (Message, "x", {"k": 1})
    assert adapter.reads == 1
    await history.add_message(Row("user", "y"))  # type: ignore[arg-type]
    assert await texts_of(history) == ["x", "y"]
    with pytest.raises(ValidationError, match="message"):
        await history.add_message("z")  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="messages"):
        await history.add_messages("z")  # type: ignore[arg-type]
