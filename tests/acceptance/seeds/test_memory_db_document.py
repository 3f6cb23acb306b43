"""The document on `memory_db` (seed 002): its tables of arguments and methods, in both kinds of database."""

import inspect
import logging
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync, sync_to_async

from chat_memory import Message as CoreMessage, conversation
from chat_memory.exceptions import ValidationError
from chat_memory.flow import (
    DatabaseAdapter,
    DatabaseChatHistory,
    DjangoDatabaseAdapter,
    Message,
    SessionHistoryManager,
    create_database_history_manager,
)
from chat_memory.models import Message as MessageRow
from tests.acceptance.seeds.flow_world import ListAdapter, asyncio_client, texts_of
from tests.cache.caching import caching, counts_of, redis_commands, statements
from tests.servers import start_redis

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["django", "another"])
def db_adapter(request: pytest.FixtureRequest) -> Any:
    """Our adapter, and one of somebody else's."""
    return DjangoDatabaseAdapter() if request.param == "django" else ListAdapter()


@pytest.mark.once
def test_arguments_and_defaults_are_those_of_the_document() -> None:
    """S2.7, S2.15."""
    given = {name: parameter.default for name, parameter in inspect.signature(DatabaseChatHistory).parameters.items()}
    assert given == {
        "session_id": inspect.Parameter.empty,
        "db_adapter": inspect.Parameter.empty,
        "redis_client": None,
        "workspace_id": None,
        "redis_key_prefix": "chat_history:",
        "redis_ttl": 3600,
    }
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(create_database_history_manager).parameters.items()
    }
    assert given == {
        "db_adapter": inspect.Parameter.empty,
        "redis_client": None,
        "redis_ttl": 3600,
        "default_workspace_id": None,
    }


@pytest.mark.once
@pytest.mark.parametrize("name", ["save_message", "save_messages", "get_messages", "clear_messages"])
def test_our_adapter_has_the_methods_of_the_protocol(name: str) -> None:
    """S2.2, S2.3, S2.4, S2.5, S2.6."""
    assert isinstance(DjangoDatabaseAdapter(), DatabaseAdapter)
    ours, protocol = getattr(DjangoDatabaseAdapter, name), getattr(DatabaseAdapter, name)
    assert inspect.iscoroutinefunction(ours)
    signature, printed = inspect.signature(ours).parameters, inspect.signature(protocol).parameters
    assert list(signature) == list(printed)
    assert [each.default for each in signature.values()] == [each.default for each in printed.values()]


async def test_the_adapter_by_itself() -> None:
    """S2.2, S2.3, S2.4, S2.5; and S2.19: a workspace may be left out, and is then the default one."""
    adapter = DjangoDatabaseAdapter()
    await adapter.save_message("s", Message.user("1"), workspace_id="acme")
    await adapter.save_messages("s", [Message.assistant("2"), Message.user("3")], workspace_id="acme")
    assert [m.content for m in await adapter.get_messages("s", "acme")] == ["1", "2", "3"]
    assert [m.content for m in await adapter.get_messages("s", workspace_id="acme", limit=2)] == ["2", "3"]
    assert await adapter.get_messages("s", "acme", limit=0) == []
    assert await adapter.get_messages("s") == []
    await adapter.clear_messages("s", workspace_id="acme")
    assert await adapter.get_messages("s", workspace_id="acme") == []
    assert await MessageRow.objects.acount() == 0


async def test_basic_usage(db_adapter: Any) -> None:
    """S2.8, S2.9, S2.10, S2.11, S2.12: the database alone."""
    history = DatabaseChatHistory(session_id="user_123", db_adapter=db_adapter)
    await history.add_message(Message.user("Hello"))
    await history.add_messages([Message.assistant("Hi"), Message.user("How are you?")])
    await history.add_messages([])
    assert await texts_of(history) == ["Hello", "Hi", "How are you?"]
    assert await texts_of(DatabaseChatHistory("user_123", db_adapter)) == ["Hello", "Hi", "How are you?"]
    await history.clear()
    assert await texts_of(history) == []
    assert await MessageRow.objects.acount() == 0


@pytest.mark.parametrize("kind", ["synchronous", "asyncio"])
async def test_a_copy_of_another_database_in_redis(kind: str, redis_client: redis.Redis) -> None:
    """S2.1, S2.9, S2.10, S2.16: read once, then from Redis; a write is seen at once; with either client (N15)."""
    client = redis_client if kind == "synchronous" else asyncio_client(redis_client)
    adapter = ListAdapter()
    history = DatabaseChatHistory("user_123", adapter, client, workspace_id="acme", redis_ttl=300)
    await history.add_message(Message.user("1"))
    assert [await texts_of(history) for _ in range(3)] == [["1"]] * 3
    assert adapter.reads == 1
    assert redis_client.keys() == [b"chat_history:acme:user_123"]
    assert 290 < redis_client.ttl("chat_history:acme:user_123") <= 300
    await history.add_messages([Message.user("2"), Message.user("3")])
    assert await texts_of(history) == ["1", "2", "3"]
    await history.clear()
    assert (await texts_of(history), adapter.reads) == ([], 3)


@pytest.mark.django_db(transaction=True)
def test_our_database_in_the_cache_of_the_settings(redis_client: redis.Redis) -> None:
    """S2.1, S2.9, S2.26: a session with a client is cached for its life, one without is not; hits count."""
    with caching("strict", _url(redis_client)):
        cached = DatabaseChatHistory("s", DjangoDatabaseAdapter(), redis_client, redis_ttl=77)
        async_to_sync(cached.add_message)(Message.user("x"))
        async_to_sync(cached.get_messages)()
        assert counts_of(async_to_sync(cached.get_messages))["hits"] == 1
        (key,) = redis_client.keys()
        assert 60 < redis_client.ttl(key) <= 77
        alone = DatabaseChatHistory("t", DjangoDatabaseAdapter())
        async_to_sync(alone.add_message)(Message.user("x"))
        assert async_to_sync(alone.get_messages)()[0].content == "x"
        assert redis_client.keys() == [key]
        assert cached.get_hit_rate() > 0
        assert async_to_sync(cached.aget_hit_rate)() > 0


def _url(client: redis.Redis) -> str:
    given = client.connection_pool.connection_kwargs
    return f"redis://{given['host']}:{given['port']}/{given['db']}"


def test_a_client_without_a_cache_in_the_settings_is_told_of(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat_memory.flow.database._log_limit.allows", lambda kind: True)
    settings.CHAT_MEMORY = {"CACHE": "off"}
    with caplog.at_level(logging.WARNING, "chat_memory.flow"):
        DatabaseChatHistory("s", DjangoDatabaseAdapter())
        DatabaseChatHistory("s", ListAdapter(), redis_client)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "chat_memory.flow"):
        DatabaseChatHistory("s", DjangoDatabaseAdapter(), redis_client)
    assert "CACHE" in caplog.text


async def test_a_batch_is_one_transaction(db_adapter: Any) -> None:
    """S2.11, S2.21: all or nothing."""
    history = DatabaseChatHistory("s", db_adapter)
    with pytest.raises(ValidationError):
        await history.add_messages([Message.user("1"), Message.user("\x00")])
    assert await texts_of(history) == []


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_batch_is_one_query() -> None:
    """S2.21."""
    history = DatabaseChatHistory("s", DjangoDatabaseAdapter())
    async_to_sync(history.add_message)(Message.system("Be brief."))
    batch = [Message.user(f"{number}") for number in range(100)]
    assert len(statements(lambda: async_to_sync(history.add_messages)(batch))) == 1


async def test_redis_that_fails_is_survived_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """S2.13, S2.22: by all five calls."""
    adapter = ListAdapter()
    with start_redis() as server:
        client = redis.Redis(port=server.port)
        history = DatabaseChatHistory("s", adapter, client)
        await history.add_message(Message.user("1"))
        assert await texts_of(history) == ["1"]
    with caplog.at_level(logging.WARNING, "chat_memory"):
        await history.add_message(Message.user("2"))
        await history.add_messages([Message.user("3")])
        assert await texts_of(history) == ["1", "2", "3"]
        await history.clear()
        assert await texts_of(history) == []
    assert caplog.records


async def test_a_database_that_fails_is_an_error(redis_client: redis.Redis) -> None:
    """S2.13."""

    class Broken(ListAdapter):
        async def save_messages(self, session_id: str, messages: list[Any], workspace_id: str | None = None) -> None:
            raise OSError("the database is down")

    history = DatabaseChatHistory("s", Broken(), redis_client)
    with pytest.raises(OSError, match="is down"):
        await history.add_message(Message.user("1"))


async def test_times_to_live(redis_client: redis.Redis) -> None:
    """S2.14, S2.20: for ever, for a while, and no copy at all."""
    lives: dict[str, float | None] = {"active": 300, "recent": 3600, "vip": 86400, "for_ever": None, "archive": 0}
    for session, ttl in lives.items():
        history = DatabaseChatHistory(session, ListAdapter(), redis_client, redis_ttl=ttl)
        await history.add_message(Message.user("x"))
        await history.get_messages()
    left = {session: redis_client.ttl(f"chat_history:{session}") for session in lives}
    assert left["for_ever"] == -1
    assert left["archive"] == -2
    assert all(0 <= (lives[name] or 0) - left[name] <= 10 for name in ("active", "recent", "vip"))


@pytest.mark.parametrize("ttl", [-1, True, "300", float("nan")])
def test_a_time_to_live_that_is_none_is_refused(ttl: Any, db_adapter: Any) -> None:
    with pytest.raises(ValidationError, match="redis_ttl"):
        DatabaseChatHistory("s", db_adapter, redis_ttl=ttl)
    with pytest.raises(ValidationError, match="redis_ttl"):
        create_database_history_manager(db_adapter, redis_ttl=ttl)


async def test_a_prefix_of_ones_own(redis_client: redis.Redis) -> None:
    """S2.17."""
    history = DatabaseChatHistory("s", ListAdapter(), redis_client, redis_key_prefix="myapp:chat:")
    await history.get_messages()
    assert redis_client.keys() == [b"myapp:chat:s"]


async def test_a_session_id_in_two_workspaces_is_two_histories(db_adapter: Any, redis_client: redis.Redis) -> None:
    """S2.18."""
    one = DatabaseChatHistory("s", db_adapter, redis_client, workspace_id="one")
    two = DatabaseChatHistory("s", db_adapter, redis_client, workspace_id="two")
    await one.add_message(Message.user("of one"))
    await two.add_message(Message.user("of two"))
    for _ in range(2):
        assert (await texts_of(one), await texts_of(two)) == (["of one"], ["of two"])
    await one.clear()
    assert (await texts_of(one), await texts_of(two)) == ([], ["of two"])


@pytest.mark.django_db(transaction=True)
async def test_the_factory_of_managers(db_adapter: Any, redis_client: redis.Redis) -> None:
    """S2.15."""
    manager = create_database_history_manager(
        db_adapter=db_adapter, redis_client=redis_client, redis_ttl=60, default_workspace_id="acme"
    )
    assert isinstance(manager, SessionHistoryManager)
    history: Any = await manager.get_history("user_123")
    await history.add_message(Message.user("x"))
    assert (history.workspace_id, history.redis_ttl) == ("acme", 60)
    assert manager.list_sessions() == ["user_123"]
    await manager.clear_history("user_123")
    assert manager.list_sessions() == []


async def test_what_is_stored_can_be_searched_like_all_else() -> None:
    """S2.23, S2.30: contents of any form, in tables that other code reads."""
    parts = [{"type": "text", "text": "a duck"}]
    await DatabaseChatHistory("s", DjangoDatabaseAdapter(), workspace_id="acme").add_messages(
        [Message.user(parts, metadata={"k": 1}), Message.assistant("quack")]
    )
    stored = await conversation("s", "acme").amessages()
    assert [(m.role, m.content, m.metadata) for m in stored] == [
        ("user", parts, {"k": 1}),
        ("assistant", "quack", None),
    ]
    assert await MessageRow.objects.filter(workspace__slug="acme", content__contains="quack").acount() == 1


async def test_no_read_and_no_fill_is_a_command_for_each_message(redis_client: redis.Redis) -> None:
    """S2.27, N17: however long the history is."""
    adapter = ListAdapter()
    await adapter.save_messages("s", [Message.user(f"{number}") for number in range(500)])
    history = DatabaseChatHistory("s", adapter, redis_client)

    def read_twice() -> None:
        async_to_sync(history.get_messages)()
        async_to_sync(history.get_messages)()

    seen = await sync_to_async(redis_commands)(redis_client, read_twice)
    assert len([name for name in seen if name.strip('"').upper() != "EVAL"]) <= 3
    assert adapter.reads == 1


@pytest.mark.once
@pytest.mark.parametrize("given", [None, "a url", Message])
def test_what_has_not_the_methods_of_the_protocol_is_refused(given: Any) -> None:
    with pytest.raises(ValidationError, match="db_adapter: lacks methods of DatabaseAdapter"):
        DatabaseChatHistory("s", given)


def test_the_message_is_the_one_class() -> None:
    assert Message is CoreMessage
