"""Owns where a provider's conversations are stored, and the handles of those that are known to exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from chat_memory.exceptions import SessionNotFound
from chat_memory.history.conversation import Conversation, conversation
from chat_memory.records import Span
from chat_memory.storage.contract import Adapter

Answer = TypeVar("Answer")

HANDLES = 1000
"""The most handles that are kept; when full, all are dropped."""


class Place:
    """A workspace of a back end.

    Attributes:
        workspace: the slug; None: DEFAULT_WORKSPACE.
        using: the database alias; None: where the router writes sessions.
        adapter: the back end; None: Django's database, with the cache of the settings.
    """

    def __init__(
        self, *, workspace: str | None = None, using: str | None = None, adapter: Adapter | None = None
    ) -> None:
        self.workspace = workspace
        self.using = using
        self.adapter = adapter
        self._known: dict[str, Conversation] = {}

    def chat(self, conversation_id: str, owner: Any = None) -> Conversation:
        """The conversation of an id; with ``owner`` only if it belongs to that user or has no owner yet.

        Raises:
            ValidationError: a name cannot be used.
        """
        return conversation(conversation_id, self.workspace, user=owner, using=self.using, adapter=self.adapter)

    def with_existing(
        self, conversation_id: str, call: Callable[[Conversation], Answer], *, tells: bool = False
    ) -> Answer:
        """The result of a call on a conversation that must exist.

        A known handle is bound to one session, so its calls raise SessionNotFound without a look-up before them.

        Args:
            conversation_id: the id of the conversation.
            call: the call.
            tells: whether the call itself raises SessionNotFound; otherwise the conversation is looked up first.

        Raises:
            SessionNotFound: there is no such conversation.
        """
        known = self._known.get(conversation_id)
        if known is not None:
            try:
                return call(known)
            except SessionNotFound:
                self._known.pop(conversation_id, None)
        return call(self.chat(conversation_id) if tells else self._existing(conversation_id))

    def _existing(self, conversation_id: str) -> Conversation:
        chat = self.chat(conversation_id)
        header = chat.read(Span(last=1)).header
        if header is None:
            raise SessionNotFound(chat.key, chat.workspace)
        record = chat.session()
        if record is None:
            raise SessionNotFound(chat.key, chat.workspace)
        ids = {"session_id": record.id, "workspace_id": header.workspace_id}
        chat.place.address = msgspec.structs.replace(chat.place.address, **ids, pinned=True)
        if len(self._known) >= HANDLES:
            self._known.clear()
        self._known[conversation_id] = chat
        return chat
