"""The code of the document "Memory Management" (seed 000), block by block, over the same calls."""

import hashlib
from typing import Any

import pytest
import redis

from chat_memory.flow import (
    BaseChatHistory,
    BranchableHistory,
    CachedHistory,
    ChatHistoryNode,
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
)
from tests.acceptance.seeds.flow_world import (
    BaseNode,
    CountingSummarizer,
    CustomHistory,
    LetterEmbedder,
    NodeContext,
    NodeResult,
    WorkflowContext,
    texts_of,
)

pytestmark = pytest.mark.django_db


async def test_a_history_of_ones_own_has_the_four_methods() -> None:
    """S0.1."""
    names = {"get_messages", "add_message", "add_messages", "clear"}
    assert BaseChatHistory.__abstractmethods__ == names
    history = CustomHistory()
    await history.add_message(Message.user("Hello"))
    assert await texts_of(history) == ["Hello"]
    with pytest.raises(TypeError, match="abstract"):
        BaseChatHistory()  # type: ignore[abstract]


async def test_in_memory() -> None:
    """S0.2."""
    history = InMemoryChatHistory()
    await history.add_message(Message.user("Hello, AI!"))
    await history.add_message(Message.assistant("Hello! How can I help?"))
    messages = await history.get_messages()
    said = [f"{msg.role}: {msg.content}" for msg in messages]
    assert said == ["user: Hello, AI!", "assistant: Hello! How can I help?"]
    await history.clear()
    assert await history.get_messages() == []


async def test_sliding_window() -> None:
    """S0.3."""
    history = SlidingWindowChatHistory(base_history=InMemoryChatHistory(), window_size=10)
    for i in range(20):
        await history.add_message(Message.user(f"Message {i}"))
    messages = await history.get_messages()
    assert len(messages) == 10
    assert await texts_of(history) == [f"Message {i}" for i in range(10, 20)]
    assert SlidingWindowChatHistory(InMemoryChatHistory()).window_size == 10


async def test_redis(either_client: Any, redis_client: redis.Redis) -> None:
    """S0.4, S0.5, S0.6: with the document's client, under the document's key."""
    history = RedisChatHistory(
        session_id="user_123_chat_456", redis_client=either_client, key_prefix="chat_history:", ttl=86400
    )
    await history.add_message(Message.user("Hello"))
    assert await texts_of(history) == ["Hello"]
    after_a_restart = RedisChatHistory("user_123_chat_456", either_client)
    assert await texts_of(after_a_restart) == ["Hello"]
    assert redis_client.exists("chat_history:user_123_chat_456")
    assert 86_000 < redis_client.ttl("chat_history:user_123_chat_456") <= 86_400


async def test_a_manager_of_sessions() -> None:
    """S0.12, S0.13, S0.14, S0.15, S0.16, S0.22."""
    manager = SessionHistoryManager(history_factory=lambda session_id: InMemoryChatHistory(), window_size=10)
    session1 = await manager.get_history("user_123")
    await session1.add_message(Message.user("Hi from session 1"))
    session2 = await manager.get_history("user_456")
    await session2.add_message(Message.user("Hi from session 2"))
    assert await manager.get_history("user_123") is session1
    assert manager.list_sessions() == ["user_123", "user_456"]
    await manager.clear_history("user_123")
    assert manager.list_sessions() == ["user_456"]
    assert await texts_of(await manager.get_history("user_123")) == []
    assert await texts_of(session2) == ["Hi from session 2"]
    threshold, long = 0, []
    for session_id in manager.list_sessions():
        history = await manager.get_history(session_id)
        if len(await history.get_messages()) > threshold:
            long.append(session_id)
    assert (len(manager.list_sessions()), long) == (2, ["user_456"])


async def test_the_printed_manager_of_tenants(either_client: Any, redis_client: redis.Redis) -> None:
    """S0.17: as a host that has copied the pattern has it."""

    class PrintedTenantSessionManager:
        def __init__(self, client: Any) -> None:
            self.redis = client

        def get_manager(self, tenant_id: str) -> SessionHistoryManager:
            return SessionHistoryManager(
                history_factory=lambda sid: RedisChatHistory(
                    session_id=f"{tenant_id}:{sid}",
                    redis_client=self.redis,
                    key_prefix=f"tenant:{tenant_id}:chat:",
                    ttl=3600,
                )
            )

    for kind in (PrintedTenantSessionManager, TenantSessionManager):
        tenant_manager = kind(either_client)
        acme_sessions = tenant_manager.get_manager("acme_corp")
        history = await acme_sessions.get_history("chat_789")
        await history.add_message(Message.user("Hello"))
        assert redis_client.exists("tenant:acme_corp:chat:acme_corp:chat_789")
        assert acme_sessions.list_sessions() == ["chat_789"]
        assert tenant_manager.get_manager("other").list_sessions() == []
        await tenant_manager.get_manager("acme_corp").clear_history("chat_789")


async def test_branches() -> None:
    """S0.18."""
    history = BranchableHistory()
    assert history.current_branch == "main"
    await history.add_message(Message.user("What is it?"))
    await history.create_branch("another")
    await history.switch_branch("another")
    await history.add_message(Message.assistant("A duck."))
    assert history.current_branch == "another"
    await history.create_branch("third", from_branch="main")
    await history.switch_branch("third")
    assert await texts_of(history) == ["What is it?"]
    await history.merge_branches("another", "main")
    await history.switch_branch("main")
    assert await texts_of(history) == ["What is it?", "A duck."]


async def test_the_message() -> None:
    """S0.23, S0.24, S0.25, S0.27."""
    assert [Message.system("a").role, Message.user("b").role, Message.assistant("c").role] == [
        "system",
        "user",
        "assistant",
    ]
    message = Message.user("x", name="ada", metadata={"k": 1})
    assert (message.name, message.metadata) == ("ada", {"k": 1})
    shown = message.to_dict()
    assert (shown["role"], shown["content"], shown["name"]) == ("user", "x", "ada")
    picture = [
        {"type": "text", "text": "What's in this image?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/image.png"}},
    ]
    tool_msg = Message(role="tool", content='{"result": "success"}', name="search_tool")
    history = InMemoryChatHistory()
    await history.add_messages([Message.user("What's in this image?"), Message.user(picture), tool_msg])
    stored = await history.get_messages()
    assert [m.content for m in stored] == ["What's in this image?", picture, '{"result": "success"}']
    assert (stored[2].role, stored[2].name) == ("tool", "search_tool")


class ChatbotNode(BaseNode, ChatHistoryNode):
    """The node of the document."""

    def __init__(self, history_manager: SessionHistoryManager) -> None:
        BaseNode.__init__(self, "chatbot")
        ChatHistoryNode.__init__(self, history_manager=history_manager, session_key="session_id")

    async def execute(self, node_context: Any, workflow_context: Any) -> NodeResult:
        history = await self.get_history(workflow_context)
        messages = await history.get_messages()
        user_msg = Message.user(node_context.input_data["message"])
        response = await self.generate_response([*messages, user_msg])
        assistant_msg = Message.assistant(response)
        await self.save_interaction(workflow_context, user_msg, assistant_msg)
        return NodeResult(success=True, output={"response": response})

    async def generate_response(self, messages: list[Message]) -> str:
        return " / ".join(str(message.content) for message in messages)


async def test_a_node_with_memory() -> None:
    """S0.29, S0.30, S0.31."""
    manager = SessionHistoryManager(history_factory=lambda sid: InMemoryChatHistory(), window_size=20)
    chatbot = ChatbotNode(manager)
    context = WorkflowContext(workflow_id="chat_workflow", global_variables={"session_id": "user_123"})
    await chatbot.execute(NodeContext("chat", {"message": "Hello!"}), context)
    result = await chatbot.execute(NodeContext("chat", {"message": "And?"}), context)
    assert result.output["response"] == "Hello! / Hello! / And?"
    assert len(await (await manager.get_history("user_123")).get_messages()) == 4


async def test_summaries(any_history: Any) -> None:
    """S0.35."""
    summarizing = SummarizingHistory(any_history, CountingSummarizer(), max_messages=50)
    for number in range(50):
        await summarizing.add_message(Message.user(f"{number}"))
    assert summarizing.summary is None
    assert len(await summarizing.get_messages()) == 50
    await summarizing.add_message(Message.user("50"))
    messages = await summarizing.get_messages()
    assert (messages[0].role, messages[0].content) == ("system", "Previous conversation summary: 25 messages")
    assert [message.content for message in messages[1:]] == [f"{number}" for number in range(25, 51)]
    assert summarizing.summary == "25 messages"


async def test_relevance(any_history: Any) -> None:
    """S0.36."""
    embedder = LetterEmbedder()
    aware = ContextAwareHistory(any_history, embedder)
    said: list[Any] = ["zzz", "the cat", "xxx", [{"type": "text", "text": "a cat"}], "qqq"]
    await aware.add_messages([Message.user(content) for content in said])
    found = await aware.get_relevant_messages("cat", max_messages=2)
    assert [message.content for message in found] == ["the cat", [{"type": "text", "text": "a cat"}]]
    assert len(await aware.get_relevant_messages("cat")) == 5


async def test_several_kinds_of_content() -> None:
    """S0.37."""
    history = MultiModalHistory()
    url, sound = "https://example.com/cat.png", b"meow"
    await history.add_multi_modal_message(text="Look", image_url=url, audio_data=sound)
    image_id = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
    audio_id = hashlib.md5(sound, usedforsecurity=False).hexdigest()
    assert (history.image_cache, history.audio_cache) == ({image_id: url}, {audio_id: sound})
    (message,) = await history.text_history.get_messages()
    assert isinstance(message.content, list)
    assert [part["type"] for part in message.content] == ["text", "image_ref", "audio_ref"]
    assert (message.content[1]["image_id"], message.content[2]["audio_id"]) == (image_id, audio_id)


class PrintedStorage:
    """A storage back end with the two methods that the document uses."""

    def __init__(self) -> None:
        self.kept: list[Message] = []
        self.loads = 0

    async def load(self) -> list[Message]:
        self.loads += 1
        return list(self.kept)

    async def append(self, message: Message) -> None:
        self.kept.append(message)


async def test_loading_when_needed(any_history: Any) -> None:
    """S0.38."""
    storage = PrintedStorage()
    lazy = LazyHistory(storage)
    assert storage.loads == 0
    await lazy.add_message(Message.user("1"))
    await lazy.add_messages([Message.user("2"), Message.user("3")])
    assert await texts_of(lazy) == ["1", "2", "3"]
    lazy = LazyHistory(any_history)
    await lazy.add_messages([Message.user("1")])
    await lazy.add_message(Message.user("2"))
    assert await texts_of(lazy) == ["1", "2"]
    await lazy.clear()
    assert await texts_of(lazy) == []


async def test_a_summary_that_is_remembered(any_history: Any) -> None:
    """S0.39."""
    made = []

    class Summaries(CachedHistory):
        async def summarize(self, messages: list[Message]) -> str:
            made.append(len(messages))
            return f"{len(messages)} messages"

    cached = Summaries(any_history)
    await cached.add_message(Message.user("1"))
    assert [await cached.get_cached_summary("s") for _ in range(3)] == ["1 messages"] * 3
    await cached.add_message(Message.user("2"))
    assert await cached.get_cached_summary("s") == "2 messages"
    await cached.get_cached_summary("other")
    await cached.invalidate_cache("s")
    await cached.get_cached_summary("s")
    await cached.get_cached_summary("other")
    assert made == [1, 2, 2, 2]


async def test_retention() -> None:
    """S0.41: what is new stays."""
    history = DatabaseChatHistory("s", DjangoDatabaseAdapter())
    await history.add_message(Message.user("x"))
    report = await cleanup_old_sessions(days=30)
    assert (report.sessions, await texts_of(history)) == (0, ["x"])
    assert SlidingWindowChatHistory(base_history=history, window_size=50).window_size == 50


async def test_a_session_that_is_cleared_when_it_has_ended(redis_client: redis.Redis) -> None:
    """S0.21."""
    manager = SessionHistoryManager(history_factory=lambda sid: RedisChatHistory(sid, redis_client, ttl=3600))
    session_id, session_ended = "s", True
    try:
        history = await manager.get_history(session_id)
        await history.add_message(Message.user("x"))
    finally:
        if session_ended:
            await manager.clear_history(session_id)
    assert manager.list_sessions() == []


class SmartChatbot(BaseNode, ChatHistoryNode):
    """The complete example of the document."""

    def __init__(self, redis_client: Any) -> None:
        BaseNode.__init__(self, "smart_chatbot")
        manager = SessionHistoryManager(
            history_factory=lambda sid: RedisChatHistory(session_id=sid, redis_client=redis_client, ttl=3600),
            window_size=50,
        )
        ChatHistoryNode.__init__(self, history_manager=manager, session_key="user_id")

    async def execute(self, node_context: Any, workflow_context: Any) -> NodeResult:
        user_input = node_context.input_data["message"]
        user_id = workflow_context.get_global_variable("user_id")
        history = await self.get_history(workflow_context)
        messages = await history.get_messages()
        if not messages:
            system_msg = Message.system("You are a helpful assistant with memory of past conversations.")
            await history.add_message(system_msg)
            messages = [system_msg]
        user_msg = Message.user(user_input)
        response = await self.generate_with_context([*messages, user_msg])
        await self.save_interaction(workflow_context, user_msg, Message.assistant(response))
        output = {"response": response, "session_id": user_id, "message_count": len(messages) + 2}
        return NodeResult(success=True, output=output)

    async def generate_with_context(self, messages: list[Message]) -> str:
        introduced = [m.content for m in messages if m.role == "user" and "I'm" in str(m.content)]
        return f"Your name is {str(introduced[0]).rpartition(' ')[2]}" if introduced else "Who are you?"


async def test_the_complete_example(either_client: Any) -> None:
    """S0.32, S0.33, S0.34: after a restart too."""
    context = WorkflowContext(workflow_id="chat", global_variables={"user_id": "user_123"})
    first = await SmartChatbot(either_client).execute(NodeContext("chat", {"message": "Hi, I'm John"}), context)
    assert first.output["message_count"] == 3
    restarted = SmartChatbot(either_client)
    result = await restarted.execute(NodeContext("chat", {"message": "What's my name?"}), context)
    assert result.output == {"response": "Your name is John", "session_id": "user_123", "message_count": 5}
    history = await restarted.get_history(context)
    assert [m.role for m in await history.get_messages()] == ["system", "user", "assistant", "user", "assistant"]
