"""Owns appends to several conversations in one transaction; it must not open the transaction itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chat_memory.exceptions import ValidationError
from chat_memory.history.conversation import Conversation
from chat_memory.history.stamping import stamped
from chat_memory.history.twins import function_twin
from chat_memory.records import Message, Receipt
from chat_memory.rules.json_values import shown
from chat_memory.storage.contract import Adapter
from chat_memory.storage.titles import first_title


def append_many(batches: Mapping[Conversation, Iterable[Message]]) -> dict[Conversation, Receipt]:
    """Append to several conversations in one transaction, all or nothing; sessions are locked in sorted order.

    Raises:
        ValidationError: a message cannot be stored, a conversation is given twice, or they are in different back ends.
        NotSupported: the back end cannot change several sessions at once.
        ChatMemoryError: as ``Conversation.append``.
    """
    ready = {chat: _ready(chat, messages) for chat, messages in _pairs(batches)}
    chats = [chat for chat, messages in ready.items() if messages]
    receipts = {chat: chat.append() for chat, messages in ready.items() if not messages}
    if chats:
        adapter_batches = [(chat.place.address, ready[chat], first_title(ready[chat]) or None) for chat in chats]
        commits = _shared_adapter(chats).messages.append_many(adapter_batches)
        receipts |= {chat: chat.place.receipt(commit) for chat, commit in zip(chats, commits, strict=True)}
    return {chat: receipts[chat] for chat in ready}


aappend_many = function_twin(append_many)


def _pairs(batches: object) -> Iterable[tuple[Conversation, Any]]:
    if not isinstance(batches, Mapping):
        kind = type(batches).__name__
        raise ValidationError(f"must be a mapping of conversations to messages, not {kind}", field="batches")
    for chat in batches:
        if not isinstance(chat, Conversation):
            raise ValidationError(f"must have conversations as keys, not {shown(chat)}", field="batches")
    return batches.items()


def _ready(chat: Conversation, messages: object) -> list[Message]:
    """The messages for one of several conversations, validated and complete.

    Raises:
        ValidationError: they cannot be stored; the text says which conversation they were for.
    """
    try:
        if isinstance(messages, (str, bytes, Message)) or not isinstance(messages, Iterable):
            raise ValidationError(f"must be a list of messages, not {type(messages).__name__}", field="messages")  # noqa: TRY301
        return stamped(list(messages))
    except ValidationError as error:
        raise error.under(f"batches[{chat!a}]") from None


def _shared_adapter(chats: Sequence[Conversation]) -> Adapter:
    adapter, seen = chats[0].place.adapter, set()
    for chat in chats:
        if chat.place.adapter.identity != adapter.identity:
            raise ValidationError(f"takes conversations of one back end, and {chat!a} has another", field="batches")
        name = (chat.workspace, chat.key, chat.branch)
        if name in seen:
            raise ValidationError(f"takes each conversation once, and has {chat!a} twice", field="batches")
        seen.add(name)
    return adapter
