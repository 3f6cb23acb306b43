"""Owns the contract's part for the messages of conversations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial

from chat_memory.records import Address, Budget, Change, Commit, Header, Json, Message, Slice, Span
from chat_memory.storage import windowing
from chat_memory.storage.contract.part import Part
from chat_memory.storage.mapping import page_json

Batch = tuple[Address, Sequence[Message], str | None]
"""The address, messages and title of one append, as in ``MessageStore.append``."""
ALL_MESSAGES = Span()
"""The span of all visible messages."""


class MessageStore(Part):
    """The messages of conversations."""

    attribute = "messages"
    lack = "cannot keep messages"

    @abstractmethod
    def append(
        self, at: Address, messages: Sequence[Message], *, title: str | None = None, if_version: int | None = None
    ) -> Commit:
        """Store the messages after the last one; a message whose id is stored already is a replay, not stored again.

        An unknown session is created; an unknown workspace too, if CREATE_WORKSPACES is True.

        Args:
            at: the conversation.
            messages: one or more messages.
            title: sets the conversation's title if it has none and no user message yet; None: leave it as it is.
            if_version: store new messages only if the session is at this version.

        Raises:
            MessageConflict: an id is stored with different content.
            AttachmentNotFound: a new message refers to an attachment that the conversation does not reach.
            VersionConflict: the session is not at ``if_version``, and some message is new.
            WorkspaceNotFound: the workspace is unknown and may not be created.
            BranchNotFound: the session has no such branch.
        """

    @abstractmethod
    def append_many(self, batches: Sequence[Batch]) -> list[Commit]:
        """Append to several sessions in one transaction; results are in the order given.

        Raises:
            NotSupported: the back end cannot change several sessions in one transaction.
            ChatMemoryError: see ``append``; nothing was written to any session.
        """

    @abstractmethod
    def read(self, at: Address, span: Span = ALL_MESSAGES) -> Slice:
        """The visible messages of the span, oldest first; none where there is no session."""

    def peek(self, at: Address) -> Header | None:
        """The state of the session without its messages: while it stays equal, reads return the same messages."""
        return self.read(at, Span(last=1)).header

    def read_json(self, at: Address, span: Span = ALL_MESSAGES) -> Json:
        """As ``read``, with the messages encoded as the API's JSON; a cache may hold them in this form."""
        part = self.read(at, span)
        return Json(*page_json(part.messages, span), part.header)

    def window(self, at: Address, budget: Budget) -> Slice:
        """The newest whole turns within the budget, with the system messages if it wants them, oldest first.

        If not even the newest turn fits, the window is its question and the newest messages after it that fit. Messages
        are returned as they are stored: the caller must make sure that each tool call has its results.

        Raises:
            WindowTooSmall: the system messages that open the conversation leave no room for the newest question.
        """
        return windowing.read(partial(self.read, at), budget)

    def window_within(self, at: Address, budget: Budget, *, size: int, most: int) -> tuple[Slice, bool]:
        """As ``window``, with at most ``size`` messages and ``most`` bytes of JSON, system messages included.

        The newest question is always included, so the window may exceed ``most`` by the size of the question.

        Returns:
            The window, and whether ``size`` or ``most`` left something out: older turns, the middle of a newest turn
            that is too large by itself, or system messages.

        Raises:
            WindowTooSmall: as ``window``.
        """
        whole = self.window(at, budget)
        if windowing.is_within(whole.messages, size, most):
            return whole, False
        return windowing.read_within(partial(self.read, at), partial(self.window, at), budget, size, most), True

    def locate(self, at: Address, message_id: str) -> int | None:
        """The position of the visible message with this id; None where there is none."""
        visible = self.read(at).messages
        return next((message.seq for message in visible if message.id == message_id), None)

    @abstractmethod
    def pop(self, at: Address) -> Commit | None:
        """Remove the newest visible message from the branch and return it; None if there is none.

        The next message gets its position, and its id can be used again. A message of the branch's own is deleted with
        everything derived from it; a message that the branch shares with its parent stays there. Concurrent callers
        never get the same message.

        Raises:
            BranchInUse: the message is the branch's own, and other branches share it.
        """

    @abstractmethod
    def clear(self, at: Address) -> Change | None:
        """Hide all messages stored so far, by any process; None where there was nothing to hide."""
