"""Features of the flow dialect beyond the documents' own code: keys, lives, batches, damage, listing, wrapping."""

import threading
from typing import Any

import pytest
import redis
import redis.asyncio
from asgiref.sync import async_to_sync, sync_to_async
from redis.asyncio.sentinel import Sentinel

from chat_memory import conversation
from chat_memory.exceptions import BranchExists, BranchNotFound, NotSupported, TooLarge, ValidationError
from chat_memory.flow import (
    BranchableHistory,
    CachedHistory,
    ContextAwareHistory,
    DatabaseChatHistory,
    DjangoDatabaseAdapter,
    InMemoryChatHistory,
    LazyHistory,
    Message,
    MultiModalHistory,
    RedisChatHistory,
    SessionHistoryManager,
    SlidingWindowChatHistory,
    SummarizingHistory,
    TenantSessionManager,
    cleanup_old_sessions,
    create_database_history_manager,
    create_inmemory_history_manager,
    create_redis_history_manager,
)
from chat_memory.models import Session
from chat_memory.storage.redis.clients import blocking
from tests.acceptance.seeds.flow_world import (
    CALL,
    CountingSummarizer,
    CustomHistory,
    LetterEmbedder,
    ListAdapter,
    asyncio_client,
    roles_of,
    texts_of,
)

pytestmark = pytest.mark.django_db


async def test_every_write_renews_the_life_and_no_read_does(redis_client: redis.Redis) -> None:
    """S0.7."""
    history, key = RedisChatHistory("s", redis_client, ttl=60), "chat_history:s"
    await history.add_message(Message.user("x"))
    redis_client.expire(key, 10)
    await history.get_messages()
    assert redis_client.ttl(key) <= 10
    await history.add_message(Message.user("y"))
    assert redis_client.ttl(key) > 10


async def test_a_batch_is_kept_together_and_an_empty_one_is_nothing(any_history: Any) -> None:
    """S0.8."""
    await any_history.add_messages([])
    assert await texts_of(any_history) == []
    await any_history.add_messages(Message.user(f"{number}") for number in range(3))
    assert await texts_of(any_history) == ["0", "1", "2"]


async def test_clear_leaves_nothing_and_the_history_goes_on(any_history: Any) -> None:
    """S0.9."""
    await any_history.add_message(Message.user("x"))
    await any_history.clear()
    await any_history.clear()
    assert await texts_of(any_history) == []
    await any_history.add_message(Message.user("y"))
    assert await texts_of(any_history) == ["y"]


async def test_clear_in_redis_deletes_the_key(redis_client: redis.Redis) -> None:
    """S0.9."""
    history = RedisChatHistory("s", redis_client)
    await history.add_message(Message.user("x"))
    await history.clear()
    assert not redis_client.exists("chat_history:s")


async def test_what_was_read_can_be_added_again_after_clear(any_history: Any) -> None:
    """As the document's own summarizer does: clear, then add what is to stay."""
    await any_history.add_messages([Message.user("1"), Message.user("2")])
    messages = await any_history.get_messages()
    await any_history.clear()
    for message in messages[1:]:
        await any_history.add_message(message)
    assert await texts_of(any_history) == ["2"]


async def test_damage_in_redis_costs_the_damaged_message(
    redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """S0.10, N19."""
    history = RedisChatHistory("s", redis_client)
    await history.add_messages([Message.user("1"), Message.user("2"), Message.user("3")])
    redis_client.hset("chat_history:s", "m:2", b"{broken")
    assert await texts_of(history) == ["1", "3"]
    assert "position 2" in caplog.text


async def test_a_manager_in_memory(either_client: Any) -> None:
    """S0.19."""
    manager = create_inmemory_history_manager(window_size=2)
    history = await manager.get_history("s")
    await history.add_messages([Message.user("1"), Message.user("2"), Message.user("3")])
    assert await texts_of(await manager.get_history("s")) == ["2", "3"]
    assert manager.list_sessions() == ["s"]
    assert create_inmemory_history_manager().list_sessions() == []


async def test_a_manager_over_redis(either_client: Any, redis_client: redis.Redis) -> None:
    """S0.20."""
    manager = create_redis_history_manager(either_client, window_size=2, ttl=60)
    await (await manager.get_history("s")).add_messages([Message.user("1"), Message.user("2"), Message.user("3")])
    assert await texts_of(await manager.get_history("s")) == ["2", "3"]
    assert 50 < redis_client.ttl("chat_history:s") <= 60
    assert create_redis_history_manager(either_client).list_sessions() == ["s"]


def test_to_dict_is_in_the_form_of_openai() -> None:
    """S0.26: with what is set, and lossless."""
    message = Message("tool", "x", name="search", metadata={})
    assert message.to_dict() == {"role": "tool", "content": "x", "name": "search", "metadata": {}}
    assert Message.from_dict(message.to_dict()) == message


async def test_ids_times_and_positions(any_history: Any) -> None:
    """S0.28, N40: what a any_history gives has them, whatever it came from."""
    if isinstance(any_history, CustomHistory):
        return
    await any_history.add_messages([Message.user("1"), Message.user("2")])
    messages = await any_history.get_messages()
    assert len({message.id for message in messages} - {None}) == 2
    assert all(message.created_at is not None for message in messages)


# Redis


async def test_session_ids_that_look_like_other_keys(redis_client: redis.Redis) -> None:
    """S0.5, S0.16: what the store keeps beside the conversations is never taken for one."""
    names = ["{default}", "{default}:sessions", "%7Bdefault%7D", "{default:k:main}", "a:b", "k"]
    histories = [RedisChatHistory(name, redis_client) for name in names]
    for name, history in zip(names, histories, strict=True):
        await history.add_message(Message.user(name))
    assert [await texts_of(history) for history in histories] == [[name] for name in names]
    assert sorted(create_redis_history_manager(redis_client).list_sessions()) == sorted(names)


def test_an_asyncio_client_lends_its_settings_once(redis_client: redis.Redis) -> None:
    """S0.4: histories made of one client share its connections."""
    client = asyncio_client(redis_client)
    usable = blocking(client)
    assert blocking(client) is usable
    assert (blocking(redis_client), usable.ping()) == (redis_client, True)
    tls = blocking(redis.asyncio.Redis.from_url("rediss://u:p@h:1/2?max_connections=3"))
    given = tls.connection_pool
    assert (given.connection_class, given.max_connections) == (redis.SSLConnection, 3)
    assert {
        "host": "h",
        "port": 1,
        "db": 2,
        "username": "u",
        "password": "p",
    }.items() <= given.connection_kwargs.items()
    blocks = redis.asyncio.BlockingConnectionPool(host="h", timeout=3)
    assert blocking(redis.asyncio.Redis(connection_pool=blocks)).connection_pool.timeout == 3


def test_a_client_that_cannot_be_used_is_refused(redis_client: redis.Redis) -> None:
    """N14: when the history is made, and not at the first message."""
    sentinel = Sentinel([("127.0.0.1", 1)]).master_for("m")
    for client in (object(), sentinel):
        for make in (
            lambda client: RedisChatHistory("s", client),
            lambda client: DatabaseChatHistory("s", ListAdapter(), client),
            create_redis_history_manager,
            TenantSessionManager,
        ):
            with pytest.raises(ValidationError, match="redis_client"):
                make(client)


@pytest.mark.parametrize("make", [lambda client: InMemoryChatHistory(), lambda client: RedisChatHistory("s", client)])
def test_a_history_of_nobodys_needs_no_workspace(make: Any, redis_client: redis.Redis, settings: Any) -> None:
    """The setting guards tenants in the database."""
    settings.CHAT_MEMORY = {"CREATE_WORKSPACES": False}
    history = make(redis_client)
    async_to_sync(history.add_message)(Message.user("x"))
    assert async_to_sync(texts_of)(history) == ["x"]


# Sessions


@pytest.mark.django_db(transaction=True)
async def test_sessions_come_from_the_store_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """S0.15, N31: in async code on a connection of its own, in sync code on this one."""
    monkeypatch.setattr("chat_memory.flow.listing.LARGEST_PAGE", 2)
    for number in range(5):
        await conversation(f"s{number}", "acme").aappend(Message.user("x"))
    manager = create_database_history_manager(DjangoDatabaseAdapter(), default_workspace_id="acme")
    expected = [f"s{number}" for number in reversed(range(5))]
    assert manager.list_sessions() == expected
    assert await manager.alist_sessions() == expected
    assert await sync_to_async(manager.list_sessions)() == expected
    assert manager.list_sessions(workspace_id="other") == []


def test_sync_code_lists_what_its_transaction_has_written() -> None:
    manager = create_database_history_manager(DjangoDatabaseAdapter())
    conversation("s").append(Message.user("x"))
    assert manager.list_sessions() == ["s"]
    assert async_to_sync(manager.alist_sessions)() == ["s"]


async def test_the_thread_that_lists_leaves_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    close = "chat_memory.flow.listing.connections.close_all"
    monkeypatch.setattr(close, lambda: seen.append(threading.current_thread() is not threading.main_thread()))
    create_inmemory_history_manager().list_sessions()
    assert seen == [True]


async def test_a_factory_that_makes_another_key_of_the_id(redis_client: redis.Redis) -> None:
    """S0.17: the ids that are listed are those that the manager is asked with."""
    await RedisChatHistory("shop-1-chat", redis_client).add_message(Message.user("x"))
    await RedisChatHistory("stranger", redis_client).add_message(Message.user("x"))
    manager = SessionHistoryManager(lambda sid: RedisChatHistory(f"shop-{sid}-chat", redis_client))
    assert manager.list_sessions() == ["1"]
    assert await texts_of(await manager.get_history("1")) == ["x"]


async def test_a_factory_without_a_store_lists_what_it_opened() -> None:
    """S0.15: and one that knows some ids only."""
    for factory in (
        lambda sid: CustomHistory(),
        lambda sid: DatabaseChatHistory(sid, ListAdapter()),
        {"a": InMemoryChatHistory(), "b": InMemoryChatHistory()}.__getitem__,
    ):
        manager = SessionHistoryManager(factory)
        await manager.get_history("a")
        await manager.get_history("b")
        assert manager.list_sessions() == await manager.alist_sessions() == ["a", "b"]
        await manager.clear_history("a")
        assert manager.list_sessions() == ["b"]


async def test_a_manager_makes_tenants_of_redis_apart(redis_client: redis.Redis) -> None:
    """S0.17: ids are slugs, so that no two tenants have a key in common."""
    tenants = TenantSessionManager(redis_client)
    for slug in ("a:chat:a", "", "a b", ".."):
        with pytest.raises(ValidationError, match="workspace"):
            tenants.get_manager(slug)
    await (await tenants.get_manager("a").get_history("b")).add_message(Message.user("x"))
    assert tenants.get_manager("b").list_sessions() == []
    assert 3500 < redis_client.ttl("tenant:a:chat:a:b") <= 3600


# Histories in front of others


WRAPPERS: dict[str, Any] = {
    "window": lambda base: SlidingWindowChatHistory(base, 50),
    "summarizing": lambda base: SummarizingHistory(base, CountingSummarizer()),
    "context-aware": lambda base: ContextAwareHistory(base, LetterEmbedder()),
    "multi-modal": MultiModalHistory,
    "lazy": LazyHistory,
    "cached": CachedHistory,
}


@pytest.mark.parametrize("name", WRAPPERS)
async def test_a_history_in_front_of_another_is_a_history(name: str, any_history: Any) -> None:
    wrapped = WRAPPERS[name](any_history)
    await wrapped.add_message(Message.system("Be brief."))
    await wrapped.add_messages([Message.user("1"), Message.assistant("2")])
    assert await texts_of(wrapped) == await texts_of(any_history) == ["Be brief.", "1", "2"]
    twice = SlidingWindowChatHistory(wrapped, 2)
    await wrapped.add_messages([Message.user("3"), Message.assistant("4")])
    assert await texts_of(twice) == ["Be brief.", "3", "4"]
    await wrapped.clear()
    assert await texts_of(wrapped) == await texts_of(any_history) == []


@pytest.mark.parametrize("make", [InMemoryChatHistory, lambda: DatabaseChatHistory("s", DjangoDatabaseAdapter())])
async def test_branches_over_each_store_that_has_them(make: Any) -> None:
    """S0.18: another object sees them, and begins on main."""
    base = make()
    history = BranchableHistory(base)
    await history.add_message(Message.user("1"))
    await history.create_branch("b")
    await history.switch_branch("b")
    await history.add_messages([Message.assistant("2")])
    other = BranchableHistory(base)
    assert (other.current_branch, await texts_of(other)) == ("main", ["1"])
    assert await other.list_branches() == ["main", "b"]
    await other.switch_branch("b")
    assert await texts_of(other) == ["1", "2"]
    with pytest.raises(BranchExists):
        await history.create_branch("b")
    for call in (history.switch_branch("no"), history.create_branch("c", "no"), history.merge_branches("b", "no")):
        with pytest.raises(BranchNotFound):
            await call
    await history.clear()
    assert (await texts_of(history), await texts_of(base)) == ([], ["1"])


@pytest.mark.parametrize("make", [lambda client: RedisChatHistory("s", client), lambda client: CustomHistory()])
def test_a_store_without_branches_says_so(make: Any, redis_client: redis.Redis) -> None:
    with pytest.raises(NotSupported, match="branches"):
        BranchableHistory(make(redis_client))


async def test_references_can_be_followed_by_another_object() -> None:
    """S0.37: what a message refers to is in it."""
    base = DatabaseChatHistory("s", DjangoDatabaseAdapter())
    await MultiModalHistory(base).add_multi_modal_message(image_url="https://example.com/a.png", audio_data=b"sound")
    other = MultiModalHistory(base)
    await other.get_messages()
    assert list(other.image_cache.values()) == ["https://example.com/a.png"]
    assert list(other.audio_cache.values()) == [b"sound"]
    with pytest.raises(ValidationError, match="needs a text"):
        await other.add_multi_modal_message()
    with pytest.raises(TooLarge):
        await other.add_multi_modal_message(audio_data=b"x" * 2**20)
    assert len(await other.get_messages()) == 1


async def test_a_vector_is_made_once_for_a_text() -> None:
    """S0.36: and calls of tools are no texts."""
    embedder = LetterEmbedder()
    aware = ContextAwareHistory(InMemoryChatHistory(), embedder)
    await aware.add_messages([Message.user(f"text {number}") for number in range(20)])
    await aware.add_message(Message.assistant(None, tool_calls=[CALL]))
    for query in ("one", "two", "three"):
        assert len(await aware.get_relevant_messages(query, max_messages=5)) == 5
    assert embedder.calls == 20 + 3
    assert await aware.get_relevant_messages("one", max_messages=0) == []
    with pytest.raises(ValidationError, match="max_messages"):
        await aware.get_relevant_messages("one", max_messages=-1)


async def test_old_sessions_go_and_others_stay() -> None:
    """S0.41: by the one way out."""
    for name in ("old", "new"):
        await DatabaseChatHistory(name, DjangoDatabaseAdapter(), workspace_id="acme").add_message(Message.user("x"))
    old = await Session.objects.aget(key="old")
    moment = old.active_at.replace(year=old.active_at.year - 1)
    await Session.objects.filter(pk=old.pk).aupdate(active_at=moment, listed_at=moment)
    report = await cleanup_old_sessions(workspace_id="acme")
    assert (report.sessions, report.messages) == (1, 1)
    manager = create_database_history_manager(DjangoDatabaseAdapter(), default_workspace_id="acme")
    assert await manager.alist_sessions() == ["new"]
    with pytest.raises(ValidationError, match="days"):
        await cleanup_old_sessions(days=0)


async def test_a_window_shows_what_a_node_has_just_added(any_history: Any) -> None:
    """Also a greeting, and a call whose results are still to come."""
    window = SlidingWindowChatHistory(any_history, 10)
    await window.add_message(Message.assistant("Welcome!"))
    assert await texts_of(window) == ["Welcome!"]
    for number in range(20):
        await window.add_message(Message.assistant(f"{number}"))
    assert await texts_of(window) == [f"{number}" for number in range(10, 20)]
    await window.add_messages([Message.user("?"), Message.assistant(None, tool_calls=[CALL])])
    assert await roles_of(window) == ["user", "assistant"]
