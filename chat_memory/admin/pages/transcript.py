"""Owns the transcript: a session read as a conversation, a hundred messages a page, with its branches and summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext

from chat_memory.admin.base import ExtraPage
from chat_memory.admin.json_text import pretty_value
from chat_memory.admin.pages.open_drafts import open_drafts
from chat_memory.admin.pages.paging import page_of, position
from chat_memory.admin.pages.shown_branch import LISTED, SUMMARY_CHARACTERS, ShownBranch, family_of, shown_branch
from chat_memory.admin.scope import may_read_messages
from chat_memory.admin.session_texts import owner_of, sized, states_of, transcript_of_row

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite, ModelAdmin

    from chat_memory.models import Session, Summary


def transcript(
    sessions: ModelAdmin[Session], request: HttpRequest, object_id: str, *, main: bool = False
) -> HttpResponse:
    """The transcript of a session row; ``?before=``, ``?after=`` and ``?at=`` take a position.

    The row of a branch shows that branch. The root row shows the current branch, or ``main`` if ``main`` is True.

    Raises:
        Http404: there is no such session, or the user may not see it.
        PermissionDenied: the user may not view sessions or read messages.
    """
    session = sessions.get_object(request, unquote(object_id))
    if session is None:
        raise Http404(gettext("There is no such session."))
    if not (sessions.has_view_or_change_permission(request, session) and may_read_messages(request)):
        raise PermissionDenied
    shown = shown_branch(session, main=main)
    site = sessions.admin_site
    context = {
        **site.each_context(request),
        "title": str(shown.root),
        "opts": sessions.opts,
        "breadcrumbs_are_a_list": django.VERSION >= (6, 1),
        **_conversation(shown),
        **open_drafts(family_of(shown.root), shown.root),
        **_branches(shown, site, position(request.GET.get("branches")) or 0),
        "page": page_of(shown, request.GET),
    }
    request.current_app = site.name
    return TemplateResponse(request, "admin/chat_memory/session/transcript.html", context)


PAGES = (
    ExtraPage("<path:object_id>/transcript/", "chat_memory_session_transcript", transcript),
    ExtraPage("<path:object_id>/transcript/main/", "chat_memory_session_main", transcript, {"main": True}),
)


def _conversation(shown: ShownBranch) -> dict[str, Any]:
    """The template variables for the part above the messages."""
    root = shown.root
    return {
        "original": root,
        "shown": shown.row,
        "owner": owner_of(root),
        "status": ", ".join(states_of(root)),
        "summaries": [_summary(each) for each in shown.summaries()],
        "metadata": pretty_value(root.metadata) if root.metadata else "",
    }


def _summary(summary: Summary) -> dict[str, Any]:
    """The template variables of a summary."""
    beginning: str = getattr(summary, "beginning", "")
    return {"row": summary, "text": beginning[:SUMMARY_CHARACTERS], "is_cut": len(beginning) > SUMMARY_CHARACTERS}


def _branches(shown: ShownBranch, site: AdminSite, skipped: int) -> dict[str, Any]:
    """The template variables of the listed branches; none where there is only one branch.

    The branch that is shown is always in the list, even if an earlier or later page lists it too.
    """
    rows, has_more = shown.branches(skipped)
    if shown.row not in rows:
        rows = [*rows[:2], shown.row, *rows[2:]]
    listed = [
        {
            "name": row.branch,
            "address": transcript_of_row(site, row),
            "size": sized(row.message_count),
            "is_shown": row == shown.row,
            "is_current": row == shown.current,
            "is_pending": bool(row.pending),
        }
        for row in rows
        if len(rows) > 1
    ]
    return {"branches": listed, "skipped_branches": skipped, "next_branches": skipped + LISTED if has_more else None}
