"""Owns every error the package raises on purpose; it must not know where they are raised."""

from __future__ import annotations

from functools import partial
from typing import Any


class ChatMemoryError(Exception):
    """Base of every error this package raises on purpose."""


class ValidationError(ChatMemoryError, ValueError):
    """The input cannot be stored as it is: nothing was written.

    Attributes:
        field: which part of the input is wrong, as a path such as ``messages[2].content``; "" when the whole is.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.reason = message

    def __reduce__(self) -> Any:
        return partial(type(self), field=self.field), (self.reason,)


class TooLarge(ValidationError):
    """The input is over a size limit of the settings (MAX_CONTENT_BYTES, MAX_METADATA_BYTES, MAX_BATCH)."""


class NotFound(ChatMemoryError, LookupError):
    """What the call names does not exist."""


class WorkspaceNotFound(NotFound):
    """No workspace has this slug, and this call may not create one."""


class SessionNotFound(NotFound):
    """No session has this key in the workspace."""


class BranchNotFound(NotFound):
    """The session has no branch of this name."""


class MessageNotFound(NotFound):
    """The conversation shows no message of this id, or at this position."""


class Conflict(ChatMemoryError):
    """What is stored contradicts what the call asks for: nothing was written."""


class MessageConflict(Conflict):
    """A message with this id is stored already, with other content.

    Attributes:
        message_id: the id both messages claim.
    """

    def __init__(self, message_id: str) -> None:
        super().__init__(f"message id {message_id!r} is stored already with other content")
        self.message_id = message_id

    def __reduce__(self) -> Any:
        return type(self), (self.message_id,)


class BranchExists(Conflict):
    """The conversation has a branch of this name already."""


class BranchInUse(Conflict):
    """Other branches share messages of this one, so it cannot go before they do."""


class VersionConflict(Conflict):
    """The session has changed since the version the caller saw.

    Attributes:
        expected: the version given as ``if_version``.
        actual: the version stored now; 0 when there is no session yet.
    """

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"the session is at version {actual}, not {expected}")
        self.expected = expected
        self.actual = actual

    def __reduce__(self) -> Any:
        return type(self), (self.expected, self.actual)


class TransactionOpen(ChatMemoryError):
    """The call waits for a model, which no database transaction should be held open for."""


class NotSupported(ChatMemoryError):
    """The adapter behind this conversation lacks what the call needs."""


class StorageUnavailable(ChatMemoryError):
    """The only store did not answer, so whether the call took effect is unknown.

    Repeating it is safe where its messages carry ids of the caller's.
    """
