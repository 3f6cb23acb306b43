"""Our adapter in the classes of nadoo-flow-core, and our histories in its workflows."""

from typing import Any

import nadoo_flow
import pytest
import redis
from nadoo_flow import BaseNode, NodeContext, NodeResult, WorkflowContext, WorkflowExecutor

from chat_memory import conversation
from chat_memory.flow import (
    ChatHistoryNode,
    DatabaseAdapter,
    DjangoDatabaseAdapter,
    Message,
    RedisChatHistory,
    SessionHistoryManager,
    create_database_history_manager,
)
from chat_memory.models import Message as MessageRow
from tests.acceptance.seeds.flow_world import asyncio_client, roles_of, texts_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("cached", [False, True])
async def test_their_history_over_our_adapter(
    cached: bool, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """S2.6: with their messages, and with a copy in Redis that they can read back."""
    given = {"redis_client": redis_client} if cached else {}
    theirs = nadoo_flow.DatabaseChatHistory("s", DjangoDatabaseAdapter(), workspace_id="acme", **given)
    await theirs.add_message(nadoo_flow.Message("user", "1", name="ada", metadata={"k": 1}))
    redis_client.flushdb()
    for _ in range(3):
        (message,) = await theirs.get_messages()
        assert (message.role, message.content, message.name, message.metadata) == ("user", "1", "ada", {"k": 1})
    assert redis_client.exists("chat_history:acme:s") == cached
    assert "fallback" not in caplog.text
    (stored,) = await conversation("s", "acme").amessages()
    assert (stored.role, stored.content, stored.name, stored.metadata) == ("user", "1", "ada", {"k": 1})
    redis_client.flushdb()
    await theirs.add_messages([nadoo_flow.Message.assistant("2"), nadoo_flow.Message.user("3")])
    redis_client.flushdb()  # their copy holds the batch alone: N01 of theirs
    assert await texts_of(theirs) == ["1", "2", "3"]
    await theirs.clear()
    assert await MessageRow.objects.acount() == 0
    assert await texts_of(theirs) == []


def test_our_adapter_is_theirs_by_its_methods() -> None:
    """S2.2, S2.3, S2.4, S2.5."""
    names = [name for name in vars(nadoo_flow.DatabaseAdapter) if not name.startswith("_")]
    assert sorted(names) == sorted(name for name in vars(DatabaseAdapter) if not name.startswith("_"))
    assert all(hasattr(DjangoDatabaseAdapter(), name) for name in names)


class TheirBot(BaseNode, nadoo_flow.ChatHistoryNode):  # type: ignore[misc]
    """A node of theirs, with their mixin and their messages."""

    def __init__(self, manager: Any) -> None:
        BaseNode.__init__(self, "bot", nadoo_flow.CommonNodeTypes.START, "bot", {})
        nadoo_flow.ChatHistoryNode.__init__(self, manager)

    async def execute(self, node_context: Any, workflow_context: Any) -> Any:
        text = node_context.input_data["message"]
        known = await (await self.get_history(workflow_context)).get_messages()
        await self.save_interaction(workflow_context, text, f"answer {len(known)}")
        return NodeResult(success=True, output={"known": len(known)})


async def test_their_manager_and_their_workflow_over_our_adapter() -> None:
    """S2.15."""
    manager = nadoo_flow.create_database_history_manager(DjangoDatabaseAdapter(), default_workspace_id="acme")
    for known in (0, 2):
        workflow = WorkflowExecutor()
        workflow.add_node(TheirBot(manager))
        context = await workflow.execute(WorkflowContext(session_id="s"), {"message": f"question {known}"})
        assert (context.error, context.node_contexts["bot"].output_data) == (None, {"known": known})
    stored = await conversation("s", "acme").amessages()
    assert [message.content for message in stored] == ["question 0", "answer 0", "question 2", "answer 2"]


class OurBot(BaseNode, ChatHistoryNode):  # type: ignore[misc]
    """The document's complete example: their node with our mixin and our messages."""

    def __init__(self, manager: SessionHistoryManager) -> None:
        BaseNode.__init__(self, "smart_chatbot", nadoo_flow.CommonNodeTypes.START, "smart_chatbot", {})
        ChatHistoryNode.__init__(self, history_manager=manager, session_key="user_id")

    async def execute(self, node_context: Any, workflow_context: Any) -> Any:
        history = await self.get_history(workflow_context)
        messages = await history.get_messages()
        if not messages:
            messages = [Message.system("You are a helpful assistant with memory of past conversations.")]
            await history.add_message(messages[0])
        user_msg = Message.user(node_context.input_data["message"])
        assistant_msg = Message.assistant(f"answer {len(messages)}")
        await self.save_interaction(workflow_context, user_msg, assistant_msg)
        output = {"response": assistant_msg.content, "message_count": len(messages) + 2}
        return NodeResult(success=True, output=output)


@pytest.mark.parametrize("store", ["redis", "asyncio", "database"])
async def test_the_complete_example_in_their_workflow(store: str, redis_client: redis.Redis) -> None:
    """S0.29, S0.32, S0.34: with the session in a global variable, and after a restart."""
    client = asyncio_client(redis_client) if store == "asyncio" else redis_client

    def manager() -> SessionHistoryManager:
        if store == "database":
            return create_database_history_manager(DjangoDatabaseAdapter())
        return SessionHistoryManager(lambda sid: RedisChatHistory(sid, client, ttl=3600), window_size=50)

    context = WorkflowContext(workflow_id="chat", global_variables={"user_id": "user_123"})
    node = NodeContext(node_id="chat", node_type="custom", input_data={"message": "Hi, I'm John"})
    assert (await OurBot(manager()).execute(node, context)).output["message_count"] == 3
    restarted = OurBot(manager())
    workflow = WorkflowExecutor()
    workflow.add_node(restarted)
    done = await workflow.execute(context, {"message": "What's my name?"})
    assert done.error is None
    assert done.node_contexts["smart_chatbot"].output_data == {"response": "answer 3", "message_count": 5}
    history = await restarted.get_history(context)
    assert await roles_of(history) == ["system", "user", "assistant", "user", "assistant"]
    assert await restarted.history_manager.alist_sessions() == ["user_123"]
