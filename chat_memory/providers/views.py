"""Owns what an engine sees of a conversation; limits only restrict that view, and stored messages are not changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asgiref.sync import sync_to_async

from chat_memory.choices import Role
from chat_memory.exceptions import ValidationError
from chat_memory.history.conversation import Conversation
from chat_memory.integrations import jaf
from chat_memory.providers.conversations import ConversationMemory
from chat_memory.providers.errors import EXPECTED, translated
from chat_memory.providers.finding import made
from chat_memory.providers.messages import Home, Message
from chat_memory.providers.results import Failure, Result, Success
from chat_memory.providers.writing import RESPONSE, RESPONSE_INDEX, RESPONSE_MESSAGE
from chat_memory.records import Message as CoreMessage
from chat_memory.rules.json_values import shown as quoted

_LIMITS = ("max_messages", "ttl", "compression_threshold")
_TURNS = "turn_count"


@dataclass(frozen=True)
class MemoryConfig(jaf.ConfigBase):
    """How an engine uses a provider.

    Attributes:
        provider: the provider for the engine. Its ``get_conversation`` returns the messages within the limits, and its
            ``store_messages`` adds those that are not stored yet.
        auto_store: whether a run stores its messages.
        max_messages: the engine sees as many of the newest whole turns as have at most this many messages, and the
            system messages.
        ttl: after this many seconds without a message, the engine sees only the messages that come later.
        compression_threshold: in a conversation with more messages, the engine sees the newest summary and at most this
            many of the newest messages.
        store_on_completion: whether a run that has ended stores its messages too.

    Raises:
        ValidationError: a limit is not a whole number from 1.
        MemoryError: ``provider`` is a failure.
    """

    provider: Any
    auto_store: bool = True
    max_messages: int | None = None
    ttl: int | None = None
    compression_threshold: int | None = None
    store_on_completion: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.provider, Failure):
            raise self.provider.error
        provider = self.provider.data if isinstance(self.provider, Success) else self.provider
        for name in _LIMITS:
            limit = getattr(self, name)
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ValidationError(f"must be a whole number from 1, not {quoted(limit)}", field=name)
        if hasattr(provider, "store_run"):
            provider = EngineView(provider, self.max_messages, self.ttl, self.compression_threshold)
        object.__setattr__(self, "provider", provider)
        for name in ("max_messages", "compression_threshold"):  # otherwise the engine would apply them too
            object.__setattr__(self, name, jaf.for_engine(getattr(self, name)))


class EngineView:
    """A provider as an engine sees it; all other attributes are the provider's."""

    def __init__(
        self, provider: Any, max_messages: int | None, ttl: int | None, compression_threshold: int | None
    ) -> None:
        self.inner = provider
        self._most = max_messages
        self._silence = None if ttl is None else timedelta(seconds=ttl)
        self._threshold = compression_threshold

    def __getattr__(self, name: str) -> Any:
        if name == "inner" or name.startswith("__"):  # copy and pickle ask for it before it is set
            raise AttributeError(name)
        return getattr(self.inner, name)

    async def get_conversation(self, conversation_id: str) -> Result:
        """The conversation with the messages within the limits; ``Success(None)`` if there is none."""
        try:
            return Success(await sync_to_async(self._seen)(conversation_id))
        except EXPECTED as error:
            return Failure(translated(error, self.inner.name, "get_conversation"))

    async def store_messages(
        self, conversation_id: str, messages: Any, metadata: dict[str, Any] | None = None
    ) -> Result:
        """Add the messages that are not stored yet; an engine passes back all that it saw, which may be only a part."""
        return await self.inner.store_run(conversation_id, messages, metadata)  # type: ignore[no-any-return]

    def _seen(self, conversation_id: str) -> ConversationMemory | None:
        chat = self.inner.place.chat(conversation_id)
        record = chat.session()
        if record is None:
            return None
        messages = self._after_silence(self._within(chat, record.message_count))
        whole = made(record, messages)
        shown = tuple(_for_engine(message, record.id) for message in whole.messages)
        metadata = {name: value for name, value in whole.metadata.items() if name != _TURNS}  # an engine counts per run
        if len(shown) < record.message_count:
            metadata = _with_index(metadata, shown)
        return replace(whole, messages=shown, metadata=metadata)

    def _within(self, chat: Conversation, count: int) -> Sequence[CoreMessage]:
        """The messages within the limits, in whole turns; if there is no user's message, the newest ones."""
        most, view = self._most, chat.window
        if self._threshold is not None and count > self._threshold:
            most, view = min(self._threshold, most or self._threshold), chat.context
        if most is None or count <= most:
            return chat.messages()
        seen = view(messages=most, greeting=True, pending=True)
        return seen if any(message.role != Role.SYSTEM.value for message in seen) else chat.tail(most)

    def _after_silence(self, messages: Sequence[CoreMessage]) -> list[CoreMessage]:
        """The messages after the last silence that was longer than ``ttl``."""
        if self._silence is None:
            return list(messages)
        later, kept = datetime.now(UTC), []
        for message in reversed(messages):
            if message.created_at is not None and later - message.created_at > self._silence:
                break
            later = message.created_at or later
            kept.append(message)
        return kept[::-1]


def _for_engine(message: Message, session_id: Any) -> Message:
    """A message with its ``home``; a summary has no position there.

    The engine parses the text of a tool's message and expects a JSON object, so any other JSON is passed as a part.
    """
    home = Home(session_id, message.seq)
    content = message.content
    if message.role == Role.TOOL.value and isinstance(content, str) and _is_other_json(content):
        content = [jaf.text_part(content)]
    return replace(message, home=home, content=content)


def _is_other_json(text: str) -> bool:
    try:
        return not isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _with_index(metadata: dict[str, Any], shown: Sequence[Message]) -> dict[str, Any]:
    """The metadata with the index of the newest response among the messages shown; without a response not shown."""
    ids = [message.message_id for message in shown]
    known = metadata.get(RESPONSE_MESSAGE)
    if known in ids:
        return metadata | {RESPONSE_INDEX: ids.index(known) + 1}
    return {name: value for name, value in metadata.items() if name not in (RESPONSE, RESPONSE_INDEX)}
