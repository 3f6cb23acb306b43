"""Owns how async code runs sync work: async twins of one thread hop, and work that a cancellation does not abandon."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

from asgiref.sync import sync_to_async

Owner = TypeVar("Owner")
Given = ParamSpec("Given")
Answer = TypeVar("Answer")
_ending: set[asyncio.Future[Any]] = set()
"""Work whose waiting task was cancelled; the reference keeps it alive if the wait is cancelled again."""


def twin(
    body: Callable[Concatenate[Owner, Given], Answer],
) -> Callable[Concatenate[Owner, Given], Coroutine[Any, Any, Answer]]:
    """The async twin of a method, with its signature; a method with ``**fields`` needs a twin written by hand."""
    name = body.__name__

    async def in_a_thread(self: Owner, /, *args: Given.args, **kwargs: Given.kwargs) -> Answer:
        # Looked up by name, so that the twin of a method that a subclass overrides calls the override.
        call: Callable[Given, Answer] = getattr(self, name)
        return await sync_to_async(call)(*args, **kwargs)

    _describe(in_a_thread, body)
    return in_a_thread


def function_twin(body: Callable[Given, Answer]) -> Callable[Given, Coroutine[Any, Any, Answer]]:
    """The async twin of a function, with its signature."""

    async def in_a_thread(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        return await sync_to_async(body)(*args, **kwargs)

    _describe(in_a_thread, body)
    return in_a_thread


async def to_the_end(work: Callable[[], Answer]) -> Answer:
    """Wait for work in a thread to end even if the waiting task is cancelled; only then raise the cancellation.

    A second cancellation ends the wait, but the work goes on.
    """
    running = asyncio.ensure_future(sync_to_async(work)())
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if not running.done():
            _ending.add(running)
            running.add_done_callback(_ending.discard)
            await asyncio.shield(running)
        raise


def _describe(twin: Any, body: Callable[..., Any]) -> None:
    """Have ``help()`` and tracebacks show the twin under its own name."""
    update_wrapper(twin, body)
    place, _dot, name = body.__qualname__.rpartition(".")
    twin.__name__ = f"a{name}"
    twin.__qualname__ = f"{place}.a{name}" if place else twin.__name__
    twin.__doc__ = f"Async twin of ``{name}``."
