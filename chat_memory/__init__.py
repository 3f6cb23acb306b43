"""Durable, ordered, tenant-scoped chat history for Django; importing it touches neither registry nor database."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chat_memory.exceptions import (
        AttachmentNotFound,
        BranchExists,
        BranchInUse,
        BranchNotFound,
        Busy,
        ChatMemoryError,
        Conflict,
        DraftExists,
        DraftLost,
        DraftNotFound,
        EmbedderFailed,
        MessageConflict,
        MessageNotFound,
        MessageRedacted,
        NotFound,
        NotOwner,
        NotSupported,
        SearchTooLong,
        SessionNotFound,
        StorageUnavailable,
        TooLarge,
        TooManyBranches,
        TooManyDrafts,
        TransactionOpen,
        TurnLost,
        TurnNotFound,
        TurnTaken,
        ValidationError,
        VersionConflict,
        WindowTooSmall,
        WorkspaceNotFound,
    )
    from chat_memory.history.batches import aappend_many, append_many
    from chat_memory.history.conversation import Conversation, conversation
    from chat_memory.history.protocol import ChatHistory
    from chat_memory.history.streaming import Streaming
    from chat_memory.history.turn import Turn
    from chat_memory.records import Branch, Draft, Message, Receipt, Revision, Sibling, Summary, UnansweredCall

__version__ = "0.1.0"

_HOMES = {
    "chat_memory.records": (
        "Branch",
        "Draft",
        "Message",
        "Receipt",
        "Revision",
        "Sibling",
        "Summary",
        "UnansweredCall",
    ),
    "chat_memory.history.batches": ("aappend_many", "append_many"),
    "chat_memory.history.conversation": ("Conversation", "conversation"),
    "chat_memory.history.protocol": ("ChatHistory",),
    "chat_memory.history.streaming": ("Streaming",),
    "chat_memory.history.turn": ("Turn",),
    "chat_memory.exceptions": (
        "AttachmentNotFound",
        "BranchExists",
        "BranchInUse",
        "BranchNotFound",
        "Busy",
        "ChatMemoryError",
        "Conflict",
        "DraftExists",
        "DraftLost",
        "DraftNotFound",
        "EmbedderFailed",
        "MessageConflict",
        "MessageNotFound",
        "MessageRedacted",
        "NotFound",
        "NotOwner",
        "NotSupported",
        "SearchTooLong",
        "SessionNotFound",
        "StorageUnavailable",
        "TooLarge",
        "TooManyBranches",
        "TooManyDrafts",
        "TransactionOpen",
        "TurnLost",
        "TurnNotFound",
        "TurnTaken",
        "ValidationError",
        "VersionConflict",
        "WindowTooSmall",
        "WorkspaceNotFound",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AttachmentNotFound",
    "Branch",
    "BranchExists",
    "BranchInUse",
    "BranchNotFound",
    "Busy",
    "ChatHistory",
    "ChatMemoryError",
    "Conflict",
    "Conversation",
    "Draft",
    "DraftExists",
    "DraftLost",
    "DraftNotFound",
    "EmbedderFailed",
    "Message",
    "MessageConflict",
    "MessageNotFound",
    "MessageRedacted",
    "NotFound",
    "NotOwner",
    "NotSupported",
    "Receipt",
    "Revision",
    "SearchTooLong",
    "SessionNotFound",
    "Sibling",
    "StorageUnavailable",
    "Streaming",
    "Summary",
    "TooLarge",
    "TooManyBranches",
    "TooManyDrafts",
    "TransactionOpen",
    "Turn",
    "TurnLost",
    "TurnNotFound",
    "TurnTaken",
    "UnansweredCall",
    "ValidationError",
    "VersionConflict",
    "WindowTooSmall",
    "WorkspaceNotFound",
    "aappend_many",
    "append_many",
    "conversation",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOME_OF[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
