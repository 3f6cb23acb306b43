"""Twins: a public x that does input or output has an ax of the same signature, and the twin is a coroutine."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import chat_memory
from chat_memory import feedback, health, metrics, sessions
from chat_memory.cache import CachedAdapter
from chat_memory.history import batches, conversation
from chat_memory.history.attachments import ConversationAttachments
from chat_memory.history.conversation import Conversation
from chat_memory.history.drafts import ConversationDrafts
from chat_memory.history.feedback import ConversationFeedback
from chat_memory.history.protocol import ChatHistory
from chat_memory.history.streaming import Streaming
from chat_memory.history.turn import Turn
from chat_memory.storage import contract
from chat_memory.storage.contract import Adapter, Part
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter
from chat_memory.storage.redis import RedisAdapter
from chat_memory.turns import RedisChatMemory

pytestmark = pytest.mark.once

WITHOUT_TWIN: dict[Any, set[str]] = {
    Conversation: {"streaming", "turn"},  # they make an object, without input or output
    Turn: {"stream"},
    ChatHistory: set(),
    batches: set(),
    RedisChatMemory: {"conversation"},
    sessions: set(),
    feedback: set(),
    ConversationFeedback: set(),
    ConversationDrafts: set(),
    Streaming: set(),
    ConversationAttachments: {"link"},  # it makes a part, without input or output
    health: set(),
    metrics: {"add", "sum_up_with", "flush"},  # the package calls them, in the thread that serves
}
"""Where users find functions, and which of them have no twin."""
PARTS = [part for part in vars(contract).values() if inspect.isclass(part) and issubclass(part, Part)]
ADAPTERS = (Adapter, MemoryAdapter, DjangoAdapter, RedisAdapter, CachedAdapter)


def functions(holder: Any) -> dict[str, Callable[..., Any]]:
    """The public functions of a class, inherited ones too, or those that a module defines itself."""
    found = inspect.getmembers(holder, inspect.isfunction)
    own = inspect.isclass(holder) or None
    return {name: f for name, f in found if not name.startswith("_") and (own or f.__module__ == holder.__name__)}


def bodies(holder: Any) -> set[str]:
    """The names of the functions that are no coroutines."""
    return {name for name, function in functions(holder).items() if not inspect.iscoroutinefunction(function)}


PAIRS = [
    (holder, name) for holder in WITHOUT_TWIN for name in sorted(bodies(holder)) if f"a{name}" in functions(holder)
]


@pytest.mark.parametrize("holder", WITHOUT_TWIN, ids=lambda holder: holder.__name__)
def test_every_function_has_a_twin_or_says_that_it_has_none(holder: Any) -> None:
    missing = {name for name in bodies(holder) if f"a{name}" not in functions(holder)}
    assert missing == WITHOUT_TWIN[holder]
    assert set(functions(holder)) == bodies(holder) | {f"a{name}" for name in bodies(holder) - missing}
    assert [f"a{name}" for name in bodies(holder) - missing]


@pytest.mark.parametrize(("holder", "name"), PAIRS, ids=lambda value: getattr(value, "__name__", value))
def test_twin_has_the_same_signature(holder: Any, name: str) -> None:
    body, twin = functions(holder)[name], functions(holder)[f"a{name}"]
    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(twin) == inspect.signature(body)
    assert f"``{name}``" in (twin.__doc__ or "")
    assert (twin.__name__, twin.__qualname__.rpartition(".")[2]) == (f"a{name}",) * 2


def test_what_the_root_exports_has_its_twin_there() -> None:
    """What does input or output is a method, but for one function."""
    exported = {name for name in chat_memory.__all__ if inspect.isfunction(getattr(chat_memory, name))}
    assert exported == {"conversation", "append_many", "aappend_many"}


async def test_a_twin_calls_the_body_of_the_subclass() -> None:
    class Shouting(Conversation):
        def tail_json(self, n: int, *, min_version: int = 0) -> bytes:
            return super().tail_json(n, min_version=min_version) + b"!"

    chat = Shouting(conversation.conversation("k").place.address, MemoryAdapter())
    assert await chat.atail_json(1, min_version=0) == b"[]!"


@pytest.mark.parametrize("name", sorted(functions(ChatHistory)))
def test_a_conversation_is_a_chat_history(name: str) -> None:
    """To the last parameter: what is typed by the protocol may use them all."""
    _typed: ChatHistory = conversation.conversation("k")
    assert inspect.signature(getattr(Conversation, name)) == inspect.signature(getattr(ChatHistory, name))


@pytest.mark.parametrize("kind", [*PARTS, *ADAPTERS], ids=lambda kind: kind.__name__)
def test_a_back_end_is_synchronous(kind: type) -> None:
    """The one hop into a thread is the conversation's."""
    assert [name for name, function in functions(kind).items() if inspect.iscoroutinefunction(function)] == []
