"""Owns the errors about messages that are being streamed."""

from __future__ import annotations

from chat_memory.exceptions.base import Conflict, NotFound, quoted


class DraftNotFound(NotFound):
    """The conversation has no draft with this id, and its branch shows no message with it.

    Attributes:
        key: the session's key.
        message_id: the requested id.
    """

    def __init__(self, key: str, message_id: object) -> None:
        super().__init__(f"conversation {key!r} has no draft, and no visible message, with id {quoted(message_id)}")
        self.key = key
        self.message_id = message_id


class DraftExists(Conflict):
    """Somebody is streaming a message with this id already; nothing was written.

    Attributes:
        key: the session's key.
        message_id: the id.
    """

    def __init__(self, key: str, message_id: str) -> None:
        super().__init__(f"conversation {key!r} has an open draft with id {quoted(message_id)} already")
        self.key = key
        self.message_id = message_id


class DraftLost(Conflict):
    """The draft is not this writer's any more: it lapsed and was stored as abandoned, or it was deleted.

    Attributes:
        key: the session's key.
        message_id: the id of the draft's message.
    """

    def __init__(self, key: str, message_id: str) -> None:
        super().__init__(
            f"the draft {quoted(message_id)} of conversation {key!r} is not this writer's any more: it was not written "
            "to for DRAFT_LAPSE_SECONDS and was stored as abandoned, or it was deleted"
        )
        self.key = key
        self.message_id = message_id


class TooManyDrafts(Conflict):
    """As many messages of the conversation are being streamed as MAX_DRAFTS allows; let one end, or raise the setting.

    Attributes:
        key: the session's key.
        limit: the value of MAX_DRAFTS.
    """

    def __init__(self, key: str, limit: int) -> None:
        super().__init__(f"conversation {key!r} has {limit} open drafts already, as many as MAX_DRAFTS allows")
        self.key = key
        self.limit = limit
