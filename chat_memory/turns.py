"""Owns a memory of turns with the names of ractogateway's document, over ``chat_memory.conversation``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from asgiref.sync import sync_to_async

from chat_memory.choices import Role
from chat_memory.conf import live
from chat_memory.exceptions import ValidationError
from chat_memory.history.conversation import Conversation, conversation
from chat_memory.history.twins import twin
from chat_memory.records import Message, Receipt, text_of
from chat_memory.rules.names import check_key, check_workspace
from chat_memory.rules.numbers import LONGEST_TTL, check_flag, whole_number
from chat_memory.storage.redis import RedisAdapter
from chat_memory.storage.redis.clients import blocking, client_at
from chat_memory.storage.redis.keys import check_prefix

__all__ = ["ChatMemoryConfig", "Message", "RedisChatMemory"]

URL = "redis://localhost:6379/0"
KEY_PREFIX = "ractogateway:memory"
REMEMBERED = 1_000
"""The most conversations whose last written version a memory remembers."""
_ROLES = frozenset({Role.SYSTEM.value, Role.USER.value, Role.ASSISTANT.value})
"""The roles that ``get_history`` shows; the library that takes its result knows no others."""


class ChatMemoryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a conversation is shown, how long it is kept, and under which key.

    Args:
        max_turns: how many turns are shown, from 1. A turn is a user's message and all that follows up to the next one.
        ttl_seconds: seconds, from 0.001, after the last append until the conversation expires; None: never. With
            ``durable=True`` only its cache entry expires, and not the conversation.
        key_prefix: the prefix of all keys, without braces; conversations of two prefixes are separate.
        renew_on_read: whether a read restarts the time to live too.

    Raises:
        ValidationError: an argument cannot be used; the error names it.
    """

    max_turns: int = 10
    ttl_seconds: float | None = None
    key_prefix: str = KEY_PREFIX
    renew_on_read: bool = False

    def __post_init__(self) -> None:
        if whole_number(self.max_turns, "max_turns") == 0:
            raise ValidationError("must be a whole number from 1", field="max_turns")
        _check_ttl(self.ttl_seconds)
        check_prefix(self.key_prefix, "key_prefix")
        check_flag(self.renew_on_read, "renew_on_read")


class RedisChatMemory:
    """The newest turns of conversations, shared by all processes with the same Redis or the same database.

    Nothing is sent before the first call. Messages that Redis loses or evicts are lost, unless the memory is durable:
    then they are in Django's database, the cache is that of the settings, and ``url`` and ``client`` are not used.

    Args:
        url: the URL of Redis; a process has one connection pool for each URL. Ignored if ``client`` is given.
        client: a ``redis.Redis`` or ``redis.asyncio.Redis``. Only the settings of an asyncio client are used.
        config: a ``ChatMemoryConfig``, or another object with its attributes; None: the defaults.
        durable: whether the messages are in the database.
        workspace: the tenant's slug; None: DEFAULT_WORKSPACE.

    Raises:
        ValidationError: an argument cannot be used; the error names it.
    """

    def __init__(
        self,
        *,
        url: str = URL,
        client: Any | None = None,
        config: ChatMemoryConfig | None = None,
        durable: bool = False,
        workspace: str | None = None,
    ) -> None:
        check_flag(durable, "durable")
        self.config = config = _checked(config)
        self.durable = durable
        self.workspace = live.now().default_workspace if workspace is None else workspace
        check_workspace(self.workspace)
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._place: dict[str, Any] = {"cache_ttl": config.ttl_seconds or msgspec.UNSET}
        if not durable:
            usable = client_at(url) if client is None else blocking(client)
            adapter = RedisAdapter(
                usable,
                f"{config.key_prefix}:",
                config.ttl_seconds,
                plain=self.workspace,
                renew_on_read=config.renew_on_read,
            )
            self._place = {"adapter": adapter}

    def conversation(self, conversation_id: str) -> Conversation:
        """The ``Conversation`` of an id; no I/O.

        Raises:
            ValidationError: the id cannot be used.
        """
        return conversation(self._key(conversation_id), self.workspace, **self._place)

    def append(self, conversation_id: str, role: str, content: Any, **fields: Any) -> None:
        """Store a message after the last one; this restarts the time to live.

        Args:
            conversation_id: the conversation's id, a text of at least 1 character.
            role: system, user, assistant, tool or function.
            content: a text, or a list of parts; an assistant's message with tool calls may have None.
            fields: further fields of ``Message``: name, metadata, id, tool_calls, tool_call_id, extra, created_at.

        Raises:
            ValidationError: the message cannot be stored; nothing was written.
            Conflict: the key in Redis holds a value of another program, which is not changed.
            StorageUnavailable: Redis did not answer.
        """
        chat = self.conversation(conversation_id)
        try:
            message = Message(role, content, **fields)
        except TypeError as error:
            raise ValidationError(f"has no such field: {error}", field="message") from None
        self._learn(conversation_id, chat.append(_unplaced(message)))

    async def aappend(self, conversation_id: str, role: str, content: Any, **fields: Any) -> None:
        """Async twin of ``append``."""
        await sync_to_async(self.append)(conversation_id, role, content, **fields)

    def append_many(self, conversation_id: str, messages: Iterable[Message | Mapping[str, Any]]) -> None:
        """Store messages adjacent to each other, all or none, so that a question stays with its answer.

        Args:
            conversation_id: the conversation's id.
            messages: each a ``Message`` or a mapping as ``get_history`` gives it, with further fields by their names.

        Raises:
            ChatMemoryError: as ``append``.
        """
        chat = self.conversation(conversation_id)
        if isinstance(messages, Message | Mapping | str) or not isinstance(messages, Iterable):
            raise ValidationError(f"must be a list of messages, not {type(messages).__name__}", field="messages")
        ready = [_as_message(message, index) for index, message in enumerate(messages)]
        if ready:
            self._learn(conversation_id, chat.append(*ready))

    aappend_many = twin(append_many)

    def get_history(self, conversation_id: str) -> list[dict[str, str]]:
        """Role and text of the messages that ``get_messages`` shows, as ``ChatConfig.history`` takes them.

        Only texts of system, user and assistant: tool calls and their results are left out. [] if there is no
        conversation, or it has expired.

        Raises:
            ChatMemoryError: as ``append``.
        """
        shown = [message for message in self.get_messages(conversation_id) if message.role in _ROLES]
        said = [(message.role, text_of(message)) for message in shown]
        return [{"role": role, "content": text} for role, text in said if text]

    aget_history = twin(get_history)

    def get_messages(self, conversation_id: str) -> list[Message]:
        """The newest ``max_turns`` turns and the system messages, complete, oldest first.

        Each tool call has its results directly behind it, as providers require. If there is no user's message, the
        newest ``max_turns * 2`` messages.

        Raises:
            ChatMemoryError: as ``append``.
        """
        chat, turns, least = self.conversation(conversation_id), self.config.max_turns, self._least(conversation_id)
        shown = chat.window(turns=turns, greeting=True, pending=True, min_version=least)
        if any(message.role == Role.USER.value for message in shown):
            return shown
        return chat.tail(turns * 2, min_version=least)

    aget_messages = twin(get_messages)

    def clear(self, conversation_id: str) -> None:
        """Delete the conversation for good.

        Raises:
            ChatMemoryError: as ``append``.
        """
        self.conversation(conversation_id).delete()
        self._versions.pop(conversation_id, None)

    aclear = twin(clear)

    def count(self, conversation_id: str) -> int:
        """How many messages ``get_history`` shows; 0 where there is no conversation.

        Raises:
            ChatMemoryError: as ``append``.
        """
        return len(self.get_history(conversation_id))

    acount = twin(count)

    def __repr__(self) -> str:
        config = self.config
        durable = ", durable=True" if self.durable else ""
        return (
            f"RedisChatMemory(max_turns={config.max_turns}, ttl={config.ttl_seconds}s, "
            f"prefix={config.key_prefix!r}{durable})"
        )

    def _key(self, conversation_id: str) -> str:
        """The session key; different pairs of prefix and id have different keys.

        In Redis the adapter adds the prefix. In the database the quoted id is the key if the prefix is the default one:
        it has no ``:``, and the keys of other prefixes have one.
        """
        check_key(conversation_id, "conversation_id")
        quoted = conversation_id.replace("%", "%25").replace(":", "%3A")
        prefix = self.config.key_prefix
        return f"{prefix}:{quoted}" if self.durable and prefix != KEY_PREFIX else quoted

    def _least(self, conversation_id: str) -> int:
        """The version of this memory's last append: its reads show no older state in any cache mode."""
        return self._versions.get(conversation_id, 0)

    def _learn(self, conversation_id: str, receipt: Receipt) -> None:
        self._versions.pop(conversation_id, None)
        self._versions[conversation_id] = receipt.version
        if len(self._versions) > REMEMBERED:
            self._versions.popitem(last=False)


def _checked(config: Any) -> ChatMemoryConfig:
    """The configuration, converted if it is of another class with the same attributes."""
    if config is None or isinstance(config, ChatMemoryConfig):
        return config or ChatMemoryConfig()
    names = ("max_turns", "ttl_seconds", "key_prefix")
    missing = [name for name in names if not hasattr(config, name)]
    if missing:
        raise ValidationError(f"must be a ChatMemoryConfig, not {type(config).__name__}", field="config")
    return ChatMemoryConfig(**{name: getattr(config, name) for name in names})


def _check_ttl(ttl: object) -> None:
    if ttl is None:
        return
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0.001 <= ttl <= LONGEST_TTL:
        raise ValidationError(f"must be seconds from 0.001 to {LONGEST_TTL}, or None", field="ttl_seconds")


def _as_message(given: Any, index: int) -> Message:
    """A message to be stored, from a ``Message`` or a mapping.

    Raises:
        ValidationError: it is neither; the error names its place in the list.
    """
    try:
        return _unplaced(given if isinstance(given, Message) else Message.from_dict(given))
    except ValidationError as error:
        raise error.under(f"messages[{index}]") from None


def _unplaced(message: Message) -> Message:
    """The message without its position, which belongs to the conversation that it was read from."""
    return message if message.seq is None else msgspec.structs.replace(message, seq=None)
