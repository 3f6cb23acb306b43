"""Owns the texts that describe a session in the admin (owner, status, size) and the addresses of its pages."""

from __future__ import annotations

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.core.exceptions import ObjectDoesNotExist
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from chat_memory.models import Feedback, Session


def owner_of(row: Session | Feedback) -> str:
    """The name of the user of a session or of feedback; the user key where there is no user, or none is found."""
    try:
        return str(row.user) if row.user else row.user_key
    except ObjectDoesNotExist:
        return row.user_key


def states_of(session: Session) -> list[str]:
    """The session's statuses in words: deleted, archived, pinned."""
    states = (
        (session.deleted_at, gettext("deleted")),
        (session.archived_at, gettext("archived")),
        (session.pinned, gettext("pinned")),
    )
    return [text for moment_or_flag, text in states if moment_or_flag]


def sized(count: int) -> str:
    """A number of messages, in words."""
    return ngettext("{count} message", "{count} messages", count).format(count=number_format(count))


def address_of(site: AdminSite, page: str, session: Session) -> str:
    """The address of one of the session's pages, such as ``change`` or ``transcript``."""
    return reverse(f"{site.name}:chat_memory_session_{page}", args=[quote(session.pk)], current_app=site.name)


def transcript_of_row(site: AdminSite, row: Session) -> str:
    """The address of the transcript that shows this row's own messages.

    The plain transcript of a root row shows the current branch, so a root that is not current has another address.
    """
    is_root_not_current = row.parent_id is None and row.head_id is not None
    return address_of(site, "main" if is_root_not_current else "transcript", row)
