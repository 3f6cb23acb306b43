"""Twins: a public x that does input or output has an ax of the same signature, and the twin is a coroutine."""

import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest

from chat_memory import health, metrics, sessions
from chat_memory.cache import CachedAdapter
from chat_memory.history import conversation
from chat_memory.storage.base import Adapter, BranchStore, MessageStore, SessionStore, SummaryStore
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.storage.orm import DjangoAdapter
from chat_memory.storage.redis import RedisAdapter

pytestmark = pytest.mark.once

ADAPTERS = (MemoryAdapter, DjangoAdapter, RedisAdapter, CachedAdapter)
PARTS = (MessageStore, SessionStore, BranchStore, SummaryStore)
HANDLES = (conversation.Conversation, *PARTS, Adapter, *ADAPTERS)


def functions(holder: Any) -> dict[str, Callable[..., Any]]:
    """The public functions of a class, inherited ones too, or those that a module defines itself."""
    found = inspect.getmembers(holder, inspect.isfunction)
    own = inspect.isclass(holder) or None
    return {name: f for name, f in found if not name.startswith("_") and (own or f.__module__ == holder.__name__)}


def twins() -> Iterator[tuple[Any, str]]:
    """Everything with a twin, by the rule that the twin's name is ``a`` and its own."""
    for holder in (*HANDLES, conversation, health, metrics, sessions):
        names = functions(holder)
        yield from ((holder, name) for name in names if f"a{name}" in names)


def reaches_adapter(holder: Any, name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether the function comes to speak of an adapter, itself or through others of its class or module."""
    function = getattr(holder, name, None) or getattr(conversation, name, None)
    if not inspect.isfunction(function) or name in seen:
        return False
    names = set(spoken_of(function.__code__))
    return "_adapter" in names or any(reaches_adapter(holder, other, seen | {name}) for other in names)


def spoken_of(code: CodeType) -> Iterator[str]:
    """The names in a piece of code, those of its comprehensions too."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from spoken_of(inner)


@pytest.mark.parametrize(("holder", "name"), [*twins()], ids=lambda value: getattr(value, "__name__", value))
def test_twin_has_the_same_signature(holder: Any, name: str) -> None:
    body, twin = functions(holder)[name], functions(holder)[f"a{name}"]
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(body)
    assert inspect.signature(twin) == inspect.signature(body)
    assert name in (twin.__doc__ or "")


@pytest.mark.parametrize("part", PARTS)
def test_every_verb_of_the_contract_has_a_twin(part: type) -> None:
    names = functions(part)
    verbs = {name for name, function in names.items() if not inspect.iscoroutinefunction(function)}
    assert verbs >= getattr(part, "__abstractmethods__", set())
    assert verbs
    assert set(names) == verbs | {f"a{verb}" for verb in verbs}


@pytest.mark.parametrize(
    ("holder", "some"),
    [
        (conversation.Conversation, {"append", "tail", "count", "window", "fork", "edit", "summarize"}),
        (conversation, {"append_many"}),
    ],
)
def test_everything_that_does_input_or_output_has_a_twin(holder: Any, some: set[str]) -> None:
    names = functions(holder)
    reaching = {
        name for name in names if reaches_adapter(holder, name) and not inspect.iscoroutinefunction(names[name])
    }
    assert some <= reaching
    assert "limits" not in reaching
    assert {name for name in reaching if f"a{name}" not in names} == set()


@pytest.mark.parametrize("holder", HANDLES)
def test_no_coroutine_is_without_its_body(holder: Any) -> None:
    found = functions(holder)
    coroutines = {name for name, function in found.items() if inspect.iscoroutinefunction(function)}
    assert coroutines == {f"a{name}" for name in found if f"a{name}" in found}


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_adapters_write_no_twin_themselves(adapter: type) -> None:
    """No body is written twice: how a twin runs its body is one method of the contract."""
    assert [name for name in vars(adapter) if inspect.iscoroutinefunction(vars(adapter)[name])] == []
