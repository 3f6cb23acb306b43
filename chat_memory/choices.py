"""Owns the closed vocabularies stored in columns; it must not hold behaviour."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

MAIN_BRANCH = "main"
"""The branch every conversation begins with."""
CURRENT = ""
"""In an address: whichever branch speaks for the conversation now; no branch can have this name."""


class Role(TextChoices):
    """Who speaks in a message (FEATURES S0.23)."""

    SYSTEM = "system", _("system")
    USER = "user", _("user")
    ASSISTANT = "assistant", _("assistant")
    TOOL = "tool", _("tool")
    FUNCTION = "function", _("function")


class State(TextChoices):
    """How far a message has come; everything stored in one call is complete."""

    COMPLETE = "complete", _("complete")
    STREAMING = "streaming", _("streaming")
    FAILED = "failed", _("failed")


class MemberRole(TextChoices):
    """What a member of a workspace may do through the API.

    member: reads and writes own sessions; reader: reads all; writer: reads and writes all; admin: all and deletes.
    """

    MEMBER = "member", _("member")
    READER = "reader", _("reader")
    WRITER = "writer", _("writer")
    ADMIN = "admin", _("admin")


ROLES = frozenset(Role.values)
