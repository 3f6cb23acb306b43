"""Owns the fixed sets of values stored in columns, and the names of branches with a meaning."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

MAIN_BRANCH = "main"
"""The branch every conversation begins with."""
CURRENT = ""
"""In an Address: whichever branch is current at the time of the call; no branch can have this name."""


class Role(TextChoices):
    """Who wrote a message."""

    SYSTEM = "system", _("system")
    USER = "user", _("user")
    ASSISTANT = "assistant", _("assistant")
    TOOL = "tool", _("tool")
    FUNCTION = "function", _("function")


class State(TextChoices):
    """Whether a message is complete, still being written, a part of what was to be said, or without what it said.

    stopped: a user had it stopped; failed: whoever wrote it broke off, since the provider failed or the client went;
    abandoned: whoever wrote it was not heard of any more.
    """

    COMPLETE = "complete", _("complete")
    STREAMING = "streaming", _("streaming")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")
    ABANDONED = "abandoned", _("abandoned")
    REDACTED = "redacted", _("redacted")


class Pending(TextChoices):
    """What makes a new branch the current one; empty: only a switch.

    answered, edited: its first message; complete: a switch, when the answer on it is complete. A second call for the
    same answer finds one that is ``answered`` or ``complete``.
    """

    ANSWERED = "answered", _("with its first answer")
    COMPLETE = "complete", _("when its answer is complete")
    EDITED = "edited", _("with its edited message")


AT_ONCE = frozenset({Pending.ANSWERED.value, Pending.EDITED.value})
"""What makes a branch the current one with its first message."""


class TurnState(TextChoices):
    """Whether somebody answers a turn's question: of an answered, free or ended one nobody need wait for the lease."""

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
"""OpenAI's newer name of the role system, which a mapping may use; the message then says so in ``extra``."""
STATES = frozenset(State.values)
BROKEN = frozenset({State.FAILED.value, State.ABANDONED.value})
"""The states of messages that nobody wanted to end where they do."""
PARTIAL = BROKEN | {State.STOPPED.value}
"""The states of messages that have only the first part of what was to be said."""
