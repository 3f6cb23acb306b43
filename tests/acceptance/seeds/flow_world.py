"""What the documents' examples need beside the histories: a workflow, an adapter of somebody else's, clients."""

from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio

from chat_memory.flow import BaseChatHistory, DatabaseChatHistory, DjangoDatabaseAdapter, Message

CALL = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
"""A call of a tool."""


@dataclass
class WorkflowContext:
    """The context of a workflow, as far as the documents use it."""

    workflow_id: str
    global_variables: dict[str, Any] = field(default_factory=dict)
    workspace_id: str | None = None

    def get_global_variable(self, name: str, default: Any = None) -> Any:
        return self.global_variables.get(name, default)


@dataclass
class NodeContext:
    """What a node is called with."""

    node_id: str
    input_data: dict[str, Any]


@dataclass
class NodeResult:
    """What a node answers."""

    success: bool
    output: dict[str, Any]


class BaseNode:
    """A node with its id."""

    def __init__(self, node_id: str) -> None:
        self.node_id = node_id


class ListAdapter:
    """Somebody else's database: messages by workspace and session, and how often it was read."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str | None, str], list[Any]] = {}
        self.reads = 0

    async def save_message(self, session_id: str, message: Any, workspace_id: str | None = None) -> None:
        await self.save_messages(session_id, [message], workspace_id)

    async def save_messages(self, session_id: str, messages: list[Any], workspace_id: str | None = None) -> None:
        self.rows.setdefault((workspace_id, session_id), []).extend(messages)

    async def get_messages(
        self, session_id: str, workspace_id: str | None = None, limit: int | None = None
    ) -> list[Any]:
        self.reads += 1
        return list(self.rows.get((workspace_id, session_id), []))

    async def clear_messages(self, session_id: str, workspace_id: str | None = None) -> None:
        self.rows.pop((workspace_id, session_id), None)


class CustomHistory(BaseChatHistory):
    """A history of a host's own, with the four methods of the document and nothing else."""

    def __init__(self) -> None:
        self.kept: list[Message] = []

    async def get_messages(self) -> list[Message]:
        return list(self.kept)

    async def add_message(self, message: Message) -> None:
        self.kept.append(message)

    async def add_messages(self, messages: list[Message]) -> None:
        self.kept.extend(messages)

    async def clear(self) -> None:
        self.kept.clear()


def asyncio_client(client: redis.Redis) -> Any:
    """The asyncio client of the document, for the Redis of another one."""
    given = client.connection_pool.connection_kwargs
    return redis.asyncio.Redis(host=given["host"], port=given["port"], db=given["db"], decode_responses=True)


async def texts_of(history: Any) -> list[Any]:
    """What the messages of a history say."""
    return [message.content for message in await history.get_messages()]


async def roles_of(history: Any) -> list[str]:
    """Who says them."""
    return [message.role for message in await history.get_messages()]


class CountingSummarizer:
    """Says how much it was given."""

    async def summarize(self, messages: list[Message]) -> str:
        return f"{len(messages)} messages"


class LetterEmbedder:
    """Vectors by which letters a text has."""

    def __init__(self) -> None:
        self.calls = 0

    async def embed(self, text: str) -> list[float]:
        self.calls += 1
        return [float(text.lower().count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]


def database_history(session_id: str = "s", **given: Any) -> DatabaseChatHistory:
    """A history in Django's database."""
    return DatabaseChatHistory(session_id, DjangoDatabaseAdapter(), **given)
