"""Owns the base class of an adapter's parts."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar


class Part(ABC):
    """One part of an adapter: the operations on one kind of data.

    Every method is synchronous and may block; for async callers, a conversation calls it in a thread.
    """

    attribute: ClassVar[str]
    """The name of the adapter's attribute that holds the part."""
    lack: ClassVar[str]
    """What an adapter without the part cannot do, as text that follows the adapter's name in an error."""
