"""Owns the two answers of a provider's calls, success and failure; it must not know any call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from chat_memory.integrations.jaf import FailureBase, SuccessBase

Data = TypeVar("Data")


@dataclass(frozen=True, eq=False)
class Success(SuccessBase, Generic[Data]):
    """A call that worked. It may also be used as its data: by attribute, item, iteration, length, truth and text.

    Attributes:
        data: the result of the call.
    """

    data: Data

    def __getattr__(self, name: str) -> Any:
        if name == "data" or name.startswith("__"):  # copy and pickle ask for it before it is set
            raise AttributeError(name)
        return getattr(self.data, name)

    def __getitem__(self, item: Any) -> Any:
        data: Any = self.data
        return data[item]

    def __iter__(self) -> Iterator[Any]:
        data: Any = self.data
        return iter(data)

    def __len__(self) -> int:
        data: Any = self.data
        return len(data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __str__(self) -> str:
        return str(self.data)

    def __format__(self, spec: str) -> str:
        return format(self.data, spec)

    def __eq__(self, other: object) -> bool:
        return bool(self.data == (other.data if isinstance(other, Success) else other))

    def __hash__(self) -> int:
        return hash(self.data)


@dataclass(frozen=True)
class Failure(FailureBase):
    """A call that did not work: it is false, and using it as data raises the error.

    Attributes:
        error: a ``MemoryError``, which is an exception.
        report: the report of a failed health check; the failure can then be used as the report, without an error.
    """

    error: Any
    report: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("error", "report"):
            raise AttributeError(name)
        return self._raise() if self.report is None else getattr(self.report, name)

    def __getitem__(self, item: Any) -> Any:
        return self._raise() if self.report is None else self.report[item]

    def __iter__(self) -> Iterator[Any]:
        return self._raise() if self.report is None else iter(self.report)

    def __len__(self) -> int:
        return self._raise() if self.report is None else len(self.report)

    def _raise(self) -> NoReturn:
        raise self.error


Result = Success[Any] | Failure
"""The result of every call of a provider."""
