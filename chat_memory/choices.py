"""Owns the fixed sets of values stored in columns, and the names of branches with a meaning."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

MAIN_BRANCH = "main"
"""The branch every conversation begins with."""
CURRENT = ""
"""The branch name in an Address that means the branch that is current at the time of the call; no branch has it."""


class Role(TextChoices):
    """Who wrote a message."""

    SYSTEM = "system", _("system")
    USER = "user", _("user")
    ASSISTANT = "assistant", _("assistant")
    TOOL = "tool", _("tool")
    FUNCTION = "function", _("function")


class State(TextChoices):
    """Whether a message is complete, being streamed, cut off or redacted.

    Only the first part was written of a message that is stopped (by a user), failed (its writer ended with an error,
    because the provider failed or the client disconnected) or abandoned (its writer wrote nothing for
    DRAFT_LAPSE_SECONDS).
    """

    COMPLETE = "complete", _("complete")
    STREAMING = "streaming", _("streaming")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")
    ABANDONED = "abandoned", _("abandoned")
    REDACTED = "redacted", _("redacted")


class Pending(TextChoices):
    """The event that makes a new branch the current one; empty: only a switch.

    answered, edited: its first message; complete: the caller's switch, when the answer on it is complete. A repeated
    ``regenerate`` of the same answer finds a branch that is ``answered`` or ``complete``, and makes no other.
    """

    ANSWERED = "answered", _("with its first answer")
    COMPLETE = "complete", _("when its answer is complete")
    EDITED = "edited", _("with its edited message")


AT_ONCE = frozenset({Pending.ANSWERED.value, Pending.EDITED.value})
"""The values with which a branch becomes the current one with its first message."""


class TurnState(TextChoices):
    """The state of a turn; only the lease of an ``open`` turn makes others wait."""

    OPEN = "open", _("being answered")
    ANSWERED = "answered", _("answered")
    FREE = "free", _("given up")
    INTERRUPTED = "interrupted", _("interrupted")
    WITHDRAWN = "withdrawn", _("withdrawn")


class MemberRole(TextChoices):
    """What a member of a workspace may do through the API and in the admin.

    member: read, write and delete own sessions; reader: read all sessions; writer: read and write all sessions, delete
    own ones; admin: read, write and delete all sessions.
    """

    MEMBER = "member", _("member")
    READER = "reader", _("reader")
    WRITER = "writer", _("writer")
    ADMIN = "admin", _("admin")


ROLES = frozenset(Role.values)
DEVELOPER = "developer"
"""OpenAI's newer name of the role system. A mapping may use it; the message then keeps it in ``extra``."""
STATES = frozenset(State.values)
BROKEN = frozenset({State.FAILED.value, State.ABANDONED.value})
"""The states of messages that were cut off without anybody's intention."""
PARTIAL = BROKEN | {State.STOPPED.value}
"""The states of messages whose text is only the first part of an answer."""
