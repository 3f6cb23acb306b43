"""Owns the errors that the package raises on purpose, except those about drafts and turns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self


class ChatMemoryError(Exception):
    """Base of every error this package raises on purpose."""

    def __reduce__(self) -> Any:
        # For pickle: an error is made again from its attributes, which are its constructor's arguments in order.
        given = [value for name, value in vars(self).items() if not name.startswith("_")]
        return (type(self), tuple(given)) if given else super().__reduce__()


class ValidationError(ChatMemoryError, ValueError):
    """The input is invalid; nothing was written.

    Attributes:
        field: the part of the input that is wrong, as a path such as ``messages[2].content``; "" for the whole input.
        reason: what is wrong with it, without the path.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.reason = message

    def __reduce__(self) -> Any:
        return partial(type(self), field=self.field), (self.reason,)

    def under(self, path: str) -> Self:
        """The same error with ``path`` in front of its field: ``content`` becomes ``messages[2].content``."""
        return type(self)(self.reason, field=f"{path}.{self.field}" if self.field else path)


class TooLarge(ValidationError):
    """The input exceeds a size limit, a setting whose name begins with MAX_.

    Also raised if the answer to a retry through the API would be larger than its body by more than MAX_ANSWER_BYTES.
    """


class NotFound(ChatMemoryError, LookupError):
    """The workspace, session, branch or message that the call names does not exist."""


class WorkspaceNotFound(NotFound):
    """No workspace has this slug, and this call may not create one.

    Attributes:
        workspace: the slug.
    """

    def __init__(self, workspace: str, *, may_be_made: bool = True) -> None:
        why = "" if may_be_made else ", and CREATE_WORKSPACES is False"
        super().__init__(f"there is no workspace {workspace!r}{why}")
        self.workspace = workspace
        self._may_be_made = may_be_made

    def __reduce__(self) -> Any:
        return partial(type(self), may_be_made=self._may_be_made), (self.workspace,)


class SessionNotFound(NotFound):
    """No session has this key in the workspace.

    Attributes:
        key: the session's key.
        workspace: the slug of the workspace.
    """

    def __init__(self, key: str, workspace: str) -> None:
        super().__init__(f"there is no conversation {key!r} in workspace {workspace!r}")
        self.key = key
        self.workspace = workspace


class NotOwner(ChatMemoryError):
    """The session belongs to somebody other than the handle's user; nothing was written, and nothing is shown.

    ``conversation(..., any_owner=True)`` reaches it. The error does not tell whose the session is.

    Attributes:
        key: the session's key.
        workspace: the slug of the workspace.
        user_key: the key of the handle's user; "" for an anonymous one.
    """

    def __init__(self, key: str, workspace: str, user_key: str) -> None:
        who = f"user {user_key!r}" if user_key else "an anonymous user"
        super().__init__(
            f"conversation {key!r} in workspace {workspace!r} belongs to somebody else than {who}: open it for "
            "its owner (a user object where it was made for one), or with any_owner=True in trusted code"
        )
        self.key = key
        self.workspace = workspace
        self.user_key = user_key


class BranchNotFound(NotFound):
    """The session has no branch of this name.

    Attributes:
        key: the session's key.
        branch: the requested name.
    """

    def __init__(self, key: str, branch: str) -> None:
        super().__init__(f"conversation {key!r} has no branch {branch!r}")
        self.key = key
        self.branch = branch


class MessageNotFound(NotFound):
    """The conversation has no visible message with this id, or at this position.

    Attributes:
        key: the session's key.
        seq: the requested position; None where an id was requested.
        message_id: the requested id; None where a position was requested.
    """

    def __init__(self, key: str, *, seq: int | None = None, message_id: object = None) -> None:
        where = f"at position {seq}" if seq is not None else f"with id {quoted(message_id)}"
        super().__init__(f"conversation {key!r} has no visible message {where}")
        self.key = key
        self.seq = seq
        self.message_id = message_id

    def __reduce__(self) -> Any:
        return partial(type(self), seq=self.seq, message_id=self.message_id), (self.key,)


class AttachmentNotFound(NotFound):
    """The conversation has no attachment with this hash, or the file is gone.

    Attributes:
        key: the session's key.
        sha256: the hash.
    """

    def __init__(self, key: str, sha256: str) -> None:
        super().__init__(
            f"conversation {key!r} has no attachment {quoted(sha256)}: add its bytes with chat.attachments.add() first"
        )
        self.key = key
        self.sha256 = sha256


class Conflict(ChatMemoryError):
    """The call contradicts what is stored; nothing was written."""


class MessageConflict(Conflict):
    """A message with this id is already stored, with different content.

    Attributes:
        message_id: the id of both messages.
        seq: the position of the stored message; None where it is not known.
        field: the path of the message in the call, such as ``messages[2]``; "" if that is not known.
        reason: what is wrong, without the path.
    """

    def __init__(self, message_id: str, *, seq: int | None = None, field: str = "") -> None:
        where = "" if seq is None else f", at position {seq}"
        self.reason = f"message id {message_id!r} is already stored with different content{where}"
        super().__init__(f"{field}: {self.reason}" if field else self.reason)
        self.message_id = message_id
        self.seq = seq
        self.field = field

    def __reduce__(self) -> Any:
        return partial(type(self), seq=self.seq, field=self.field), (self.message_id,)

    def under(self, path: str) -> Self:
        """The same error with ``path`` in front of its field."""
        return type(self)(self.message_id, seq=self.seq, field=f"{path}.{self.field}" if self.field else path)


class MessageRedacted(Conflict):
    """The message was redacted, so it takes no other content, metadata or further fields, and no comment.

    Attributes:
        key: the session's key.
        seq: the position of the message.
    """

    def __init__(self, key: str, seq: int) -> None:
        super().__init__(
            f"conversation {key!r} has a redacted message at position {seq}, which cannot be edited or commented on"
        )
        self.key = key
        self.seq = seq


class BranchExists(Conflict):
    """The conversation already has a branch of this name.

    Attributes:
        key: the session's key.
        branch: the name of the branch.
    """

    def __init__(self, key: str, branch: str) -> None:
        super().__init__(f"conversation {key!r} already has a branch {branch!r}")
        self.key = key
        self.branch = branch


class TooManyBranches(Conflict):
    """The conversation has as many branches as MAX_BRANCHES allows; delete some, or raise the setting.

    Attributes:
        key: the session's key.
        limit: the value of MAX_BRANCHES.
    """

    def __init__(self, key: str, limit: int) -> None:
        super().__init__(f"conversation {key!r} has {limit} branches already, as many as MAX_BRANCHES allows")
        self.key = key
        self.limit = limit


class BranchInUse(Conflict):
    """The branch cannot be deleted, or its newest message popped, because other branches share it; delete those first.

    Attributes:
        branch: the name of the branch.
        others: the names of the branches that share its messages.
    """

    def __init__(self, branch: str, others: Sequence[str]) -> None:
        super().__init__(f"branch {branch!r} is in use: its messages are shared by {', '.join(map(repr, others))}")
        self.branch = branch
        self.others = tuple(others)

    def __reduce__(self) -> Any:
        return type(self), (self.branch, self.others)


class VersionConflict(Conflict):
    """The session is not at the version that the call requires; nothing was written.

    Attributes:
        expected: the version passed as ``if_version``.
        actual: the version that is stored; 0 where there is no session yet.
    """

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"the session is at version {actual}, not {expected}")
        self.expected = expected
        self.actual = actual


class WindowTooSmall(ChatMemoryError, ValueError):
    """The budget of tokens is too small for the newest question and the system messages that open the conversation.

    Attributes:
        needed: the tokens that these need.
        budget: the tokens that the call allows.
    """

    def __init__(self, needed: int, budget: int) -> None:
        super().__init__(f"tokens={budget} is too small: the newest question needs {needed}, system messages included")
        self.needed = needed
        self.budget = budget


class TransactionOpen(ChatMemoryError):
    """The call must not run inside a transaction, because others must see its result at once.

    Raised by summarize(), attachments.add(), a turn and a stream.
    """


class NotSupported(ChatMemoryError):
    """The conversation's adapter lacks the part that the call needs.

    Attributes:
        adapter: the name of the adapter.
        part: the name of the part; "" where the adapter has the part, but the part cannot do this.
    """

    def __init__(self, adapter: str, part: str, lack: str) -> None:
        super().__init__(f"{adapter} {lack}" + (f": it lacks the part {part!r}" if part else ""))
        self.adapter = adapter
        self.part = part
        self._lack = lack

    def __reduce__(self) -> Any:
        return type(self), (self.adapter, self.part, self._lack)


class Busy(ChatMemoryError):
    """Somebody else held a lock for too long; nothing was written, and the call may be repeated as it is.

    Attributes:
        what: what is locked, such as ``conversation 'k' in workspace 'acme'``; on SQLite always ``the database``.
        seconds: how long the call waited.
    """

    def __init__(self, what: str, seconds: float) -> None:
        super().__init__(f"{what} is locked by another transaction; waited {seconds:.1f} seconds")
        self.what = what
        self.seconds = seconds


class SearchTooLong(ChatMemoryError):
    """A search took longer than SEARCH_SECONDS and was ended; narrow it, or use other words.

    Attributes:
        seconds: how long one of its statements may run.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the search took longer than {seconds:g} seconds and was ended: narrow it, or use other words"
        )
        self.seconds = seconds


class EmbedderFailed(ChatMemoryError):
    """The embedder raised an error, or did not return one vector for each text; nothing from it was stored.

    The error that it raised is the ``__cause__``.

    Attributes:
        model: the name of its model.
        reason: what is wrong.
    """

    def __init__(self, model: str, reason: str) -> None:
        super().__init__(f"the embedder {model!r} {reason}")
        self.model = model
        self.reason = reason


class StorageUnavailable(ChatMemoryError):
    """The only store did not answer, so it is unknown whether the call took effect.

    Repeating an append is safe if the caller set the ids of its messages.
    """


def quoted(value: object) -> str:
    """A value for an error's text: shortened, and without calling ``repr`` of an untrusted object."""
    return ascii(value[:40]) if isinstance(value, str) else f"of type {type(value).__name__}"
