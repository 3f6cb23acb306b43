"""The code of the document "Memory System" (seed 001), block by block, over the same calls."""

import asyncio
import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis
from django.db import connection as django_connection

from chat_memory.providers import (
    ConversationMemory,
    Failure,
    InMemoryConfig,
    MemoryConfig,
    MemoryConnectionError,
    MemoryError,  # noqa: A004  # the document's name
    MemoryNotFoundError,
    MemoryProvider,
    MemoryQuery,
    MemoryStorageError,
    Message,
    PostgresConfig,
    RedisConfig,
    Success,
    create_in_memory_provider,
    create_memory_provider_from_env,
    create_postgres_provider,
    create_redis_provider,
    get_memory_provider_info,
    test_memory_provider_connection,
)
from tests.acceptance.seeds.flow_world import asyncio_client
from tests.acceptance.seeds.providers_world import address_of, from_assistant, from_user, kept_in

pytestmark = pytest.mark.django_db


async def test_a_conversation_is_an_immutable_object() -> None:
    """S1.1, S1.2."""
    conversation = ConversationMemory(
        conversation_id="user-123-session-1",
        user_id="user-123",
        messages=[
            Message(role="user", content="Hello!"),
            Message(role="assistant", content="Hi there! How can I help you?"),
        ],
        metadata={"session_start": "2024-01-15T10:00:00Z"},
    )
    assert conversation.messages[1].role == "assistant"
    with pytest.raises(AttributeError):
        conversation.user_id = "somebody"  # type: ignore[misc]


async def test_a_provider_has_the_methods_of_the_protocol(provider: Any) -> None:
    """S1.9, S1.10, S1.11, S1.12, S1.13, S1.17."""
    made = provider.data if isinstance(provider, Success) else provider
    assert isinstance(made, MemoryProvider)
    assert await provider.store_messages("c", [from_user("1")])
    assert await provider.append_messages("c", [from_assistant("2")])
    assert (await provider.get_recent_messages("c", limit=1))[0].content == "2"
    assert (await provider.get_conversation("c")).conversation_id == "c"
    assert await provider.delete_conversation("c")
    assert not await provider.delete_conversation("c")
    assert (await provider.health_check())["healthy"] is True


async def test_in_memory() -> None:
    """S1.23."""
    config = InMemoryConfig(max_conversations=1000, max_messages=1000)
    provider = create_in_memory_provider(config)
    await provider.store_messages("c", [from_user("1")])
    assert await kept_in(provider, "c") == ["1"]
    assert config.max_messages_per_conversation == 1000


async def test_redis(redis_client: redis.Redis) -> None:
    """S1.24, S1.25: with an asyncio client, and by an address; the key is the prefix and the id, and it expires."""
    at = address_of(redis_client)
    client = asyncio_client(redis_client)
    config = RedisConfig(**at, key_prefix="jaf:memory:", ttl=86400)
    provider = await create_redis_provider(config, client)
    await provider.store_messages("c", [from_user("1")])
    assert redis_client.exists("jaf:memory:c")
    assert 86_000 < redis_client.ttl("jaf:memory:c") <= 86_400
    config = RedisConfig(url=f"redis://{at['host']}:{at['port']}/{at['db']}")
    provider = await create_redis_provider(config)
    assert await kept_in(provider, "c") == ["1"]
    assert isinstance(await provider.close(), Success)


@pytest.mark.postgresql
async def test_postgres() -> None:
    """S1.26, S1.27: with a connection, and by a connection string; both mean Django's database."""
    held = django_connection.get_connection_params()
    at = {"database": held["dbname"], "username": held.get("user"), "host": held.get("host"), "port": held.get("port")}
    given = {name: value for name, value in at.items() if value}
    connection = object()
    config = PostgresConfig(**given, password=held.get("password"), table_name="conversations")
    provider = await create_postgres_provider(config, connection)
    assert isinstance(provider, Success)
    await provider.store_messages("c", [from_user("1")])
    words = " ".join(f"{name}={held[name]}" for name in ("host", "port", "dbname", "user") if held.get(name))
    provider = await create_postgres_provider(PostgresConfig(connection_string=words))
    assert await kept_in(provider, "c") == ["1"]


async def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.6, S1.31, S1.33, S1.34."""
    monkeypatch.setenv("JAF_MEMORY_TYPE", "postgres")
    provider = await create_memory_provider_from_env()
    memory_config = MemoryConfig(provider=provider, auto_store=True, max_messages=1000, ttl=86400)
    assert (memory_config.auto_store, memory_config.max_messages, memory_config.ttl) == (True, 1000, 86400)
    info = get_memory_provider_info()
    assert f"{info['type']} {info['persistence']}" == "postgres True"
    result = await test_memory_provider_connection()
    assert (result["healthy"], bool(result["message"])) == (True, True)


async def test_manual_operations(provider: Any) -> None:
    """S1.48."""
    messages = [
        Message(role="user", content="What's the weather like?"),
        Message(role="assistant", content="I'd need your location to check the weather."),
    ]
    result = await provider.store_messages(
        conversation_id="weather-chat-1", messages=messages, metadata={"topic": "weather", "user_location": "unknown"}
    )
    assert isinstance(result, Success)
    new_messages = [
        Message(role="user", content="I'm in New York"),
        Message(role="assistant", content="It's currently 72°F and sunny in New York!"),
    ]
    result = await provider.append_messages(conversation_id="weather-chat-1", messages=new_messages)
    assert isinstance(result, Success)
    conversation = await provider.get_conversation("weather-chat-1")
    assert conversation
    assert [f"{message.role}: {message.content}" for message in conversation.messages] == [
        "user: What's the weather like?",
        "assistant: I'd need your location to check the weather.",
        "user: I'm in New York",
        "assistant: It's currently 72°F and sunny in New York!",
    ]
    assert conversation.metadata["topic"] == "weather"


async def test_search_and_management(provider: Any) -> None:
    """S1.3, S1.14, S1.15, S1.16: what a naive time means is a local one."""
    await provider.store_messages("user-123-session-1", [from_user("1"), from_assistant("2")], {"user_id": "user-123"})
    await provider.store_messages("user-456-session-1", [from_user("3")], {"user_id": "user-456"})
    query = MemoryQuery(user_id="user-123", limit=10, since=datetime.now() - timedelta(days=7))  # noqa: DTZ005
    conversations = await provider.find_conversations(query)
    found = [f"{conv.conversation_id}: {len(conv.messages)} messages" for conv in conversations]
    assert found == ["user-123-session-1: 2 messages"]
    recent_messages = await provider.get_recent_messages(conversation_id="user-123-session-1", limit=20)
    assert [message.content for message in recent_messages] == ["1", "2"]
    stats = await provider.get_stats(user_id="user-123")
    assert (stats["total_conversations"], stats["total_messages"]) == (1, 2)
    deleted_count = await provider.clear_user_conversations("user-123")
    assert f"Deleted {deleted_count} conversations" == "Deleted 1 conversations"
    assert not await provider.get_conversation("user-123-session-1")
    assert await kept_in(provider, "user-456-session-1") == ["3"]


async def test_rich_metadata(provider: Any) -> None:
    """S1.49, J16."""
    metadata: dict[str, Any] = {
        "session_info": {
            "user_agent": "Mozilla/5.0...",
            "ip_address": "192.168.1.1",
            "session_start": "2024-01-15T10:00:00Z",
        },
        "conversation_context": {"topic": "customer_support", "priority": "high", "department": "billing"},
        "user_preferences": {"language": "en", "notification_settings": {"email": True, "sms": False}},
        "chat_attitude": "2024-01-15",
        "nothing": None,
    }
    await provider.store_messages(conversation_id="support-ticket-456", messages=[from_user("1")], metadata=metadata)
    found = (await provider.get_conversation("support-ticket-456")).metadata
    assert {name: found[name] for name in metadata} == metadata


async def test_error_handling(provider: Any) -> None:
    """S1.4, S1.5, J30: as a result, and by the except clauses."""
    result = await provider.store_messages("c", [from_user("1")])
    assert isinstance(result, Success)
    result = await provider.store_messages("c", [Message(role="stranger", content="1")])
    assert isinstance(result, Failure)
    assert "role" in f"Storage failed: {result.error}"
    with pytest.raises(MemoryStorageError) as refused:
        len(result)
    assert (refused.value.operation, refused.value.provider) == ("store_messages", result.error.provider)
    told = ""
    try:
        _ = (await provider.get_recent_messages("nowhere"))[0]
    except MemoryConnectionError as error:
        pytest.fail(f"Connection failed to {error.provider}: {error}")
    except MemoryStorageError as error:
        pytest.fail(f"Storage operation {error.operation!r} failed: {error}")
    except MemoryNotFoundError as error:
        told = f"{error.conversation_id}: {error}"
    assert told == "nowhere: Conversation nowhere not found"
    assert issubclass(MemoryError, Exception)


async def test_health_checks(provider: Any) -> None:
    """S1.56, J33: the documented keys, as the monitor reads them."""
    said, alerts = [], []

    async def monitor_memory_health() -> None:
        health = await provider.health_check()
        if health.get("healthy"):
            said.append(f"healthy: {health.get('message')}")
            metrics = health.get("metrics", {})
            said.extend(str(metrics.get(name, "N/A")) for name in METRICS)
        else:
            alerts.append(f"Memory provider failure: {health.get('error')}")

    await asyncio.create_task(monitor_memory_health())
    assert alerts == []
    assert "N/A" not in said
    assert len(said) == 4


METRICS = ("active_connections", "memory_usage", "avg_response_time")


async def test_performance_metrics(provider: Any) -> None:
    """S1.15, J06, J07."""
    await provider.store_messages("1", [from_user("abc"), from_assistant("d")], {"user_id": "user-123"})
    await provider.store_messages("2", [from_user("e")], {"user_id": "user-456"})
    stats = await provider.get_stats()
    assert (stats["total_conversations"], stats["total_messages"]) == (2, 3)
    assert stats["avg_messages_per_conversation"] == 1.5
    assert stats["total_storage_size"] >= 5
    user_stats = await provider.get_stats(user_id="user-123")
    assert (user_stats["user_conversations"], user_stats["user_messages"]) == (1, 2)
    assert user_stats["total_storage_size"] < stats["total_storage_size"]


async def test_structured_ids(provider: Any) -> None:
    """S1.50."""

    def create_conversation_id(user_id: str, session_type: str, timestamp: str) -> str:
        return f"{user_id}:{session_type}:{timestamp}"

    conversation_id = create_conversation_id("user-123", "chat", "2024-01-15T10:00:00Z")
    await provider.store_messages(conversation_id, [from_user("1")])
    assert await kept_in(provider, conversation_id) == ["1"]
    assert (await provider.find_conversations(MemoryQuery()))[0].conversation_id == conversation_id


async def test_cleanup_of_old_conversations(provider: Any) -> None:
    """S1.51, J02: the old ones go, and today's stay."""
    long_ago = datetime.now() - timedelta(days=100)  # noqa: DTZ005
    await provider.store_messages("old", [from_user("1", created_at=long_ago)])
    await provider.store_messages("new", [from_user("2")])
    archived = []
    cutoff_date = datetime.now() - timedelta(days=90)  # noqa: DTZ005
    query = MemoryQuery(until=cutoff_date, limit=1000)
    old_conversations = await provider.find_conversations(query)
    for conv in old_conversations:
        archived.append(conv.messages)
        await provider.delete_conversation(conv.conversation_id)
    assert [[message.content for message in messages] for messages in archived] == [["1"]]
    assert not await provider.get_conversation("old")
    assert await kept_in(provider, "new") == ["2"]


async def test_erasing_a_users_data(provider: Any) -> None:
    """S1.52: with the caller's own check and log."""
    await provider.store_messages("1", [from_user("1")], {"user_id": "user-123"})
    log = []

    async def delete_user_data(user_id: str, *, consent: bool) -> Any:
        if not consent:
            raise ValueError("User deletion requires verified consent")
        deleted_count = await provider.clear_user_conversations(user_id)
        log.append(f"Deleted {deleted_count} conversations for user {user_id}")
        return deleted_count

    with pytest.raises(ValueError, match="consent"):
        await delete_user_data("user-123", consent=False)
    assert await delete_user_data("user-123", consent=True) == 1
    assert log == ["Deleted 1 conversations for user user-123"]


async def test_backup_and_recovery(provider: Any) -> None:
    """S1.53, S1.54, J18: what is exported, imported and exported again is the same; a second import adds nothing."""

    async def export_conversations(user_id: str | None = None) -> dict[str, Any]:
        query = MemoryQuery(user_id=user_id, limit=None)
        conversations = await provider.find_conversations(query)
        return {
            "export_timestamp": datetime.now().isoformat(),  # noqa: DTZ005
            "user_id": user_id,
            "conversation_count": len(conversations),
            "conversations": [
                {
                    "conversation_id": conv.conversation_id,
                    "user_id": conv.user_id,
                    "messages": [msg.dict() for msg in conv.messages],
                    "metadata": conv.metadata,
                }
                for conv in conversations
            ],
        }

    async def import_conversations(export_data: dict[str, Any]) -> None:
        for conv_data in export_data["conversations"]:
            messages = [Message(**msg) for msg in conv_data["messages"]]
            await provider.store_messages(
                conversation_id=conv_data["conversation_id"], messages=messages, metadata=conv_data["metadata"]
            )

    await provider.store_messages(
        "1", [from_user("1"), from_assistant("2")], {"user_id": "alice", "when": "2024-01-15"}
    )
    await provider.store_messages("2", [from_user("3")], {"user_id": "bob"})
    first = json.loads(json.dumps(await export_conversations()))
    assert (first["conversation_count"], first["conversations"][1]["user_id"]) == (2, "alice")
    for user_id in ("alice", "bob"):
        await provider.clear_user_conversations(user_id)
    assert (await export_conversations())["conversation_count"] == 0
    for _again in range(2):
        await import_conversations(first)
        assert (await export_conversations())["conversations"] == first["conversations"]
    assert (await export_conversations("alice"))["conversation_count"] == 1


async def test_troubleshooting(provider: Any) -> None:
    """S1.55, S1.57: the connection, the time of an answer, and the integrity of a conversation."""
    start_time = time.time()
    await provider.get_conversation("test-id")
    assert (time.time() - start_time) * 1000 < 5_000

    async def verify_conversation_integrity(conversation_id: str) -> bool:
        conversation = await provider.get_conversation(conversation_id)
        if not conversation:
            return False
        return all(message.content and message.role for message in conversation.messages)

    assert not await verify_conversation_integrity("c")
    await provider.store_messages("c", [from_user("1")])
    assert await verify_conversation_integrity("c")


@pytest.mark.once
async def test_a_connection_issue_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """S1.34: before anything is created."""
    monkeypatch.setenv("JAF_MEMORY_TYPE", "redis")
    monkeypatch.setenv("JAF_REDIS_PORT", "1")
    result = await test_memory_provider_connection()
    assert not result["healthy"]
    assert f"Connection issue: {result['error']}" == "Connection issue: Failed to connect: Redis: ConnectionError"
