"""What the package behind the documents gets wrong, and what is right here."""

import asyncio
import inspect
import time
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync

from chat_memory import conversation
from chat_memory.exceptions import ValidationError
from chat_memory.flow import (
    ChatHistoryNode,
    DatabaseChatHistory,
    DjangoDatabaseAdapter,
    InMemoryChatHistory,
    Message,
    RedisChatHistory,
    SessionHistoryManager,
    SlidingWindowChatHistory,
    create_database_history_manager,
    create_redis_history_manager,
)
from chat_memory.flow.managers import HANDLES
from chat_memory.models import Message as MessageRow
from tests.acceptance.seeds.flow_world import CALL, WorkflowContext, database_history, roles_of, texts_of
from tests.cache.caching import statements

pytestmark = pytest.mark.django_db


async def asked_for(session_id: str, **context: Any) -> Any:
    """The history that a node gets in a context, and the manager it has."""
    manager = SessionHistoryManager(database_history)
    node = ChatHistoryNode(manager)
    return await node.get_history(WorkflowContext("w", **context))


async def test_the_session_id_is_found_where_the_document_puts_it() -> None:
    """N30: a global variable."""
    alice = await asked_for("s", global_variables={"session_id": "alice"})
    bob = await asked_for("s", global_variables={"session_id": "bob"})
    await alice.add_message(Message.user("my PIN is 1234"))
    assert (await texts_of(alice), await texts_of(bob)) == (["my PIN is 1234"], [])


async def test_the_session_id_is_found_as_an_attribute() -> None:
    """N30: as the package reads it; a global variable of that name goes before it."""
    node = ChatHistoryNode(SessionHistoryManager(database_history), session_key="chat_id")
    context: Any = WorkflowContext("w")
    context.chat_id = "one"
    first: Any = await node.get_history(context)
    context.global_variables["chat_id"] = "two"
    second: Any = await node.get_history(context)
    assert (first.session_id, second.session_id) == ("one", "two")

    class OnlyAGetter:
        def get_global_variable(self, name: str) -> str:
            return {"chat_id": "three"}[name]

    third: Any = await node.get_history(OnlyAGetter())
    assert third.session_id == "three"


@pytest.mark.parametrize("variables", [{}, {"session_id": None}, {"session_id": ""}, {"session_id": 7}])
async def test_without_a_session_id_nobody_gets_a_history(variables: dict[str, Any]) -> None:
    """N30: never a shared default, and never the id of the workflow."""
    with pytest.raises(ValidationError, match=r"session_id|key"):
        await asked_for("s", global_variables=variables)


async def test_a_node_keeps_workspaces_apart() -> None:
    """N30, N34."""
    node = ChatHistoryNode(create_database_history_manager(DjangoDatabaseAdapter()))
    for workspace in ("one", "two"):
        context = WorkflowContext("w", {"session_id": "s"}, workspace_id=workspace)
        await node.save_interaction(context, f"of {workspace}", "a")
        assert await texts_of(await node.get_history(context)) == [f"of {workspace}", "a"]


@pytest.mark.django_db(transaction=True)
async def test_sessions_that_another_process_wrote_are_listed() -> None:
    """N31: paged from the store, by workspace."""
    await conversation("s", "acme").aappend(Message.user("x"))
    await conversation("t").aappend(Message.user("x"))
    manager = create_database_history_manager(DjangoDatabaseAdapter())
    assert (manager.list_sessions("acme"), manager.list_sessions()) == (["s"], ["t"])


async def test_a_session_that_another_process_opened_is_cleared(redis_client: redis.Redis) -> None:
    """N32: on Redis and in the database."""
    for make in (
        lambda: create_database_history_manager(DjangoDatabaseAdapter()),
        lambda: create_redis_history_manager(redis_client),
    ):
        await (await make().get_history("s")).add_message(Message.user("erase me"))
        await make().clear_history("s")
        assert await texts_of(await make().get_history("s")) == []
    assert await MessageRow.objects.acount() == 0


async def test_a_manager_does_not_keep_every_session(redis_client: redis.Redis) -> None:
    """N33: it lets go of those that it finds again, and of no others."""
    stored = create_redis_history_manager(redis_client)
    first = await stored.get_history("first")
    await first.add_message(Message.user("x"))
    for number in range(HANDLES + 10):
        await stored.get_history(f"{number}")
    assert len(stored._handles) == HANDLES
    again = await stored.get_history("first")
    assert again is not first
    assert await texts_of(again) == ["x"]
    assert await stored.get_history("first") is again

    staying = SessionHistoryManager(lambda sid: InMemoryChatHistory())
    await (await staying.get_history("first")).add_message(Message.user("x"))
    for number in range(HANDLES + 10):
        await staying.get_history(f"{number}")
    assert await texts_of(await staying.get_history("first")) == ["x"]


@pytest.mark.django_db(transaction=True)
async def test_a_workspace_can_be_named_at_every_call() -> None:
    """N34."""
    manager = create_database_history_manager(DjangoDatabaseAdapter(), default_workspace_id="w1")
    await (await manager.get_history("s")).add_message(Message.user("1"))
    await (await manager.get_history("s", workspace_id="w2")).add_message(Message.user("2"))
    assert await texts_of(await manager.get_history("s", "w1")) == ["1"]
    await manager.clear_history("s", workspace_id="w2")
    assert (manager.list_sessions(), manager.list_sessions("w2")) == (["s"], [])
    one = SessionHistoryManager(lambda sid: InMemoryChatHistory())
    for call in (one.get_history("s", "w2"), one.clear_history("s", "w2"), one.alist_sessions("w2")):
        with pytest.raises(ValidationError, match="workspace_id"):
            await call
    with pytest.raises(ValidationError, match="workspace"):
        await manager.get_history("s", workspace_id="")


@pytest.mark.parametrize("size", [0, -2, True, 1.5, "10"])
def test_a_window_has_a_size(size: Any) -> None:
    """N35."""
    with pytest.raises(ValueError, match="window_size"):
        SlidingWindowChatHistory(InMemoryChatHistory(), size)
    with pytest.raises(ValueError, match="window_size"):
        SessionHistoryManager(lambda sid: InMemoryChatHistory(), window_size=size)


async def test_a_window_removes_nothing(any_history: Any) -> None:
    """N36."""
    window = SlidingWindowChatHistory(any_history, 10)
    await window.add_messages([Message.user(f"{number}") for number in range(20)])
    assert (len(await window.get_messages()), len(await any_history.get_messages())) == (10, 20)


async def test_a_window_is_what_a_provider_takes(any_history: Any) -> None:
    """N37: with the system prompt, and from a question on."""
    window = SlidingWindowChatHistory(any_history, 3)
    await window.add_messages(
        [
            Message.system("Be brief."),
            Message.user("1"),
            Message.assistant(None, tool_calls=[CALL]),
            Message.tool("found", tool_call_id="c1"),
            Message.assistant("2"),
            Message.user("3"),
            Message.assistant("4"),
        ]
    )
    assert await texts_of(window) == ["Be brief.", "3", "4"]
    assert await roles_of(SlidingWindowChatHistory(any_history, 6)) == [
        *("system", "user", "assistant", "tool", "assistant", "user", "assistant"),
    ]


def test_a_window_of_a_database_reads_no_more_than_it_shows() -> None:
    """N16: the limit reaches the statement."""
    history = database_history()
    async_to_sync(history.add_messages)([Message.user(f"{number}") for number in range(500)])
    read = statements(async_to_sync(SlidingWindowChatHistory(history, 10).get_messages))
    assert (len(read), "CAST(10 AS bigint)" in read[0]) == (1, True)
    adapter = DjangoDatabaseAdapter()
    assert "LIMIT" in statements(lambda: async_to_sync(adapter.get_messages)("s", limit=2))[-1]


async def test_an_interaction_is_of_messages_or_texts(any_history: Any) -> None:
    """N38: and anything else is refused before it is stored."""
    node = ChatHistoryNode(SessionHistoryManager(lambda sid: any_history))
    context = WorkflowContext("w", {"session_id": "s"})
    await node.save_interaction(context, Message.user("1", name="ada"), Message.assistant("2"))
    await node.save_interaction(context, "3", "4")
    assert await texts_of(any_history) == ["1", "2", "3", "4"]
    assert await roles_of(any_history) == ["user", "assistant", "user", "assistant"]
    for pair in (("5", {"content": "6"}), (None, "6"), ("5", 6)):
        with pytest.raises(ValidationError, match="message"):
            await node.save_interaction(context, *pair)
    assert len(await any_history.get_messages()) == 4


@pytest.mark.parametrize("make", [Message.system, Message.user, Message.assistant])
def test_factories_take_what_a_message_has(make: Any) -> None:
    """N39."""
    message = make("x", name="ada", metadata={"k": [1]})
    assert (message.name, message.metadata) == ("ada", {"k": [1]})
    assert Message.from_dict(message.to_dict()) == message


async def test_a_message_that_is_stored_has_id_time_and_place() -> None:
    """N40: also as ``timestamp``, where an adapter gives it."""
    adapter = DjangoDatabaseAdapter()
    await adapter.save_messages("s", [Message.user("1"), Message.assistant("2")])
    messages: list[Any] = await adapter.get_messages("s")
    assert [message.seq for message in messages] == [1, 2]
    assert len({message.id for message in messages} - {None}) == 2
    assert all(message.timestamp == message.created_at is not None for message in messages)


async def test_a_limit_is_of_the_newest_in_their_order() -> None:
    """N41: messages of one moment stay in the order of the call."""
    adapter = DjangoDatabaseAdapter()
    await adapter.save_messages("s", [Message.user(f"m{number}") for number in range(6)])
    assert [message.content for message in await adapter.get_messages("s", limit=2)] == ["m4", "m5"]
    assert [message.content for message in await adapter.get_messages("s")] == [f"m{number}" for number in range(6)]


async def test_no_workspace_is_all_workspaces() -> None:
    """N42: an empty one is refused, by every method."""
    adapter = DjangoDatabaseAdapter()
    await adapter.save_message("s", Message.user("A"), workspace_id="a")
    for call in (
        adapter.get_messages("s", workspace_id=""),
        adapter.clear_messages("s", workspace_id=""),
        adapter.save_message("s", Message.user("x"), workspace_id=""),
        adapter.save_messages("s", [Message.user("x")], workspace_id=""),
    ):
        with pytest.raises(ValidationError, match="workspace"):
            await call
    assert await adapter.get_messages("s") == []
    with pytest.raises(ValidationError, match="workspace"):
        database_history(workspace_id="")


async def test_what_is_read_is_a_copy() -> None:
    """N43."""
    history = InMemoryChatHistory()
    await history.add_message(Message.user("x", metadata={"k": "kept"}))
    (message,) = await history.get_messages()
    assert message.metadata is not None
    message.metadata["k"] = "tampered"
    (await history.get_messages()).clear()
    (again,) = await history.get_messages()
    assert again.metadata == {"k": "kept"}
    with pytest.raises(AttributeError):
        message.content = "tampered"  # type: ignore[misc]


@pytest.mark.once
def test_calls_are_coroutines_where_the_document_awaits_them() -> None:
    """N51: and functions where it does not."""
    manager = SessionHistoryManager(lambda sid: InMemoryChatHistory())
    awaited = [manager.get_history, manager.clear_history, manager.alist_sessions]
    awaited += [getattr(DatabaseChatHistory, name) for name in ("get_messages", "add_message", "add_messages", "clear")]
    assert [call for call in awaited if not inspect.iscoroutinefunction(call)] == []
    assert not inspect.iscoroutinefunction(manager.list_sessions)


async def test_auto_save_has_an_effect() -> None:
    """N52."""
    manager = SessionHistoryManager(lambda sid: InMemoryChatHistory())
    context = WorkflowContext("w", {"session_id": "s"})
    silent = ChatHistoryNode(manager, auto_save=False)
    await silent.save_interaction(context, "q", "a")
    assert await texts_of(await silent.get_history(context)) == []
    await ChatHistoryNode(manager).save_interaction(context, "q", "a")
    assert await texts_of(await silent.get_history(context)) == ["q", "a"]


@pytest.mark.parametrize("store", ["redis", "database"])
async def test_a_question_and_its_answer_stay_together(store: str, redis_client: redis.Redis) -> None:
    """N53: however many workers save at once."""

    def make(sid: str) -> Any:
        return RedisChatHistory(sid, redis_client) if store == "redis" else database_history(sid)

    node = ChatHistoryNode(SessionHistoryManager(make))
    context = WorkflowContext("w", {"session_id": "s"})
    pairs = [(f"q{number}", f"a{number}") for number in range(10)]
    await asyncio.gather(*(node.save_interaction(context, *pair) for pair in pairs))
    said = await texts_of(await node.get_history(context))
    assert sorted(zip(said[::2], said[1::2], strict=True)) == pairs


async def test_no_call_holds_up_the_event_loop(either_client: Any, redis_client: redis.Redis) -> None:
    """N13: Redis that is paused is waited for in a thread."""
    history = RedisChatHistory("s", either_client)
    await history.add_message(Message.user("x"))
    longest, stop = 0.0, asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not stop.is_set():
            began = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - began)

    watching = asyncio.create_task(watch())
    redis_client.client_pause(3000, all=True)
    began = time.monotonic()
    await history.get_messages()
    paused = time.monotonic() - began
    stop.set()
    await watching
    assert paused > 2
    assert longest < paused / 2
