"""Owns a history that is only read from its store when it is needed and has changed."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from chat_memory.flow.base import Wrapper
from chat_memory.flow.messages import as_message, as_messages
from chat_memory.records import Message


class LazyHistory(Wrapper):
    """A history that reads its messages at the first call, and again only after a change.

    The version of the session shows whether something has changed, so every object sees the changes of others. A store
    without versions is read every time.

    Args:
        storage_backend: a history, or an object with ``load()``, which returns the messages, and ``append(message)``,
            sync or async. ``clear()`` is only needed for ``clear``.
    """

    def __init__(self, storage_backend: Any) -> None:
        super().__init__(storage_backend)
        self.storage = storage_backend
        self._messages: list[Message] = []
        self._state: tuple[Any, ...] | None = None

    async def get_messages(self) -> list[Message]:
        """All messages, oldest first."""
        stored = self.beneath
        if stored is None:
            return await self._load()
        chat = stored.conversation
        record = await chat.asession()
        state = (record.id, record.version, record.vtoken) if record else ()
        if state != self._state:
            self._messages, self._state = await chat.amessages(min_version=record.version if record else 0), state
        return list(self._messages)

    async def add_message(self, message: Message) -> None:
        """Add a message without reading the stored ones."""
        append = getattr(self.storage, "append", None)
        if append is None:
            await super().add_message(message)
        else:
            await _result(append(as_message(message)))

    async def add_messages(self, messages: list[Message]) -> None:
        """Add messages; one call if the store is a history."""
        if hasattr(self.storage, "append"):
            for message in as_messages(messages):
                await self.add_message(message)
        else:
            await super().add_messages(messages)

    async def clear(self) -> None:
        """Remove all messages."""
        await _result(self.storage.clear())

    async def _load(self) -> list[Message]:
        load = getattr(self.storage, "load", None)
        return list(await (self.base.get_messages() if load is None else _result(load())))


async def _result(given: Any) -> Any:
    return await given if isawaitable(given) else given
