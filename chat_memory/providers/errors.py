"""Owns the exceptions of this dialect, and the conversion of other errors to them."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError

from chat_memory.exceptions import Busy, ChatMemoryError, SessionNotFound, StorageUnavailable
from chat_memory.integrations.jaf import ConnectionErrorBase, ErrorBase, NotFoundErrorBase, StorageErrorBase


class MemoryError(ErrorBase, ChatMemoryError):  # noqa: A001  # the document's name
    """Base of the errors of providers.

    Attributes:
        message: what is wrong.
        provider: the name of the provider.
        cause: the error that led to this one; None if there is none.
    """

    def __init__(self, message: str, provider: str, cause: Exception | None = None) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.provider = provider
        self.cause = self.__cause__ = cause

    def _fields(self) -> tuple[Any, ...]:
        return self.message, self.provider, self.cause

    def __reduce__(self) -> Any:
        return type(self), self._fields()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryError) and type(other) is type(self) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self.message, self.provider))

    def __str__(self) -> str:
        return self.message


class MemoryConnectionError(MemoryError, ConnectionErrorBase):
    """The store does not answer, or is not the one that the configuration describes."""


class MemoryNotFoundError(MemoryError, NotFoundErrorBase):
    """There is no such conversation.

    Attributes:
        conversation_id: the id.
    """

    def __init__(self, message: str, provider: str, conversation_id: str, cause: Exception | None = None) -> None:
        MemoryError.__init__(self, message, provider, cause)
        self.conversation_id = conversation_id

    def _fields(self) -> tuple[Any, ...]:
        return self.message, self.provider, self.conversation_id, self.cause


class MemoryStorageError(MemoryError, StorageErrorBase):
    """A call was refused and nothing was written; ``cause`` is the error that says why.

    Attributes:
        operation: the name of the call.
    """

    def __init__(self, message: str, provider: str, operation: str, cause: Exception | None = None) -> None:
        MemoryError.__init__(self, message, provider, cause)
        self.operation = operation

    def _fields(self) -> tuple[Any, ...]:
        return self.message, self.provider, self.operation, self.cause


EXPECTED = (ChatMemoryError, DatabaseError, InterfaceError, ImproperlyConfigured)
"""The errors that become a ``Failure``; any other error is a bug and is raised."""
_UNREACHED = (StorageUnavailable, OperationalError, InterfaceError, ImproperlyConfigured)


def translated(error: Exception, provider: str, operation: str) -> MemoryError:
    """Convert an error that a call raised to one of this dialect."""
    if isinstance(error, MemoryError):
        return error
    if isinstance(error, SessionNotFound):
        return MemoryNotFoundError(f"Conversation {error.key} not found", provider, error.key, error)
    if isinstance(error, _UNREACHED) and not isinstance(error, Busy):
        return MemoryConnectionError(f"{provider} does not answer: {type(error).__name__}", provider, error)
    return MemoryStorageError(str(error), provider, operation, error)
