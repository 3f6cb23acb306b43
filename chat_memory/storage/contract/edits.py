"""Owns the contract's part for changing stored messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import msgspec

from chat_memory.choices import State
from chat_memory.exceptions import MessageNotFound, MessageRedacted
from chat_memory.records import Address, Commit, Message, Revision
from chat_memory.storage.contract.part import Part

Place = int | str
"""The position of a message, or its id."""
Restate = Callable[[Message], Message]
"""Returns the new form of a stored message; an error that it raises aborts the change and reaches the caller."""

_EDITED = ("content", "content_absent", "metadata", "extra", "tokens")
_REDACTED = (*_EDITED, "name", "tool_calls", "state")


class EditStore(Part):
    """Changes of stored messages, and their former contents."""

    attribute = "edits"
    lack = "cannot edit messages"

    @abstractmethod
    def edit(self, at: Address, place: Place, restate: Restate, *, if_version: int | None = None) -> Commit:
        """Replace content, metadata, further fields and token count of a message, on every branch that shares it.

        ``restate`` is called once with the stored message, while the session is locked. If the content changes, the
        former content is stored as a revision, a title that was made from it is made again, and summaries and claims
        that cover the message are removed, as are drafts in its place. If ``restate`` changes nothing, nothing is
        written.

        Raises:
            MessageNotFound: there is no such visible message.
            MessageRedacted: the message was redacted.
            VersionConflict: the session is not at ``if_version``.
        """

    @abstractmethod
    def redact(
        self, at: Address, place: Place, restate: Restate, *, by: str = "", if_version: int | None = None
    ) -> Commit:
        """Replace a message by what ``restate`` leaves of it, on every branch that shows it, and record who asked.

        Its revisions are removed, and so is everything derived from it: a title, and summaries and claims that cover
        it. Copies of it on other branches, made by a merge, are redacted too. A redacted message is left as it is.

        Raises:
            MessageNotFound: there is no such visible message.
            VersionConflict: the session is not at ``if_version``.
        """

    @abstractmethod
    def revisions(self, at: Address, place: Place) -> list[Revision]:
        """The former contents of a visible message, oldest first."""


def not_found(key: str, place: Place) -> MessageNotFound:
    """The error of a call about a message that is not visible."""
    return MessageNotFound(key, message_id=place) if isinstance(place, str) else MessageNotFound(key, seq=place)


def edited(key: str, stored: Message, restate: Restate) -> Message:
    """The stored message after an edit: ``restate`` gives the fields that an edit may change.

    Raises:
        MessageRedacted: the message was redacted.
    """
    if stored.state == State.REDACTED.value:
        raise MessageRedacted(key, stored.seq or 0)
    return _with(stored, restate(stored), _EDITED)


def redacted(stored: Message, restate: Restate) -> Message:
    """The stored message after a redaction: ``restate`` gives the fields that a redaction may change.

    A message that is redacted already is returned as it is.
    """
    if stored.state == State.REDACTED.value:
        return stored
    return _with(stored, restate(stored), _REDACTED)


def _with(stored: Message, given: Message, names: tuple[str, ...]) -> Message:
    return msgspec.structs.replace(stored, **{name: getattr(given, name) for name in names})
