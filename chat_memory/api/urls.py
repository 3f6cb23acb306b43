"""Owns the addresses of the API, for ``include("chat_memory.api.urls")``; the views parse the ids in them."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections, transaction
from django.http import HttpResponseBase
from django.urls import path, re_path

from chat_memory.api.resources.attachments import AttachmentViewSet
from chat_memory.api.resources.branches import BranchViewSet, RegenerationViewSet, SiblingsViewSet
from chat_memory.api.resources.changes import ChangesViewSet, SessionChangesViewSet
from chat_memory.api.resources.context import ContextViewSet
from chat_memory.api.resources.drafts import DraftViewSet
from chat_memory.api.resources.feedback import FeedbackSumsViewSet, FeedbackViewSet, MessageFeedbackViewSet
from chat_memory.api.resources.messages import MessageViewSet
from chat_memory.api.resources.search import SearchViewSet
from chat_memory.api.resources.sessions import SessionViewSet
from chat_memory.api.resources.unknown import METHODS, UnknownViewSet
from chat_memory.api.resources.views import ChatMemoryViewSet
from chat_memory.api.resources.workspaces import RootViewSet, WorkspaceViewSet

app_name = "chat_memory"


def _view(viewset: type[ChatMemoryViewSet], **actions: str) -> Callable[..., HttpResponseBase]:
    """A view exempt from ATOMIC_REQUESTS: inside a transaction each append would take the slow path."""
    view: Callable[..., HttpResponseBase] = viewset.as_view(dict(actions))
    for alias in connections:  # the router may choose any of them
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


UNKNOWN = r"^workspaces/(?P<rest>[\s\S]+)\Z"
"""Not ``<path:rest>``: that does not match line breaks, so such an address would get Django's own 404 in HTML."""
SESSION = "workspaces/<str:slug>/sessions/<str:session_id>/"

urlpatterns = [
    path("", _view(RootViewSet, get="list"), name="root"),
    path("workspaces/", _view(WorkspaceViewSet, get="list"), name="workspaces"),
    path("workspaces/<str:slug>/", _view(WorkspaceViewSet, get="retrieve"), name="workspace"),
    path("workspaces/<str:slug>/sessions/", _view(SessionViewSet, get="list", post="create"), name="sessions"),
    path("workspaces/<str:slug>/changes/", _view(SessionChangesViewSet, get="list"), name="session-changes"),
    path("workspaces/<str:slug>/search/", _view(SearchViewSet, get="list"), name="search"),
    path(SESSION, _view(SessionViewSet, get="retrieve", patch="partial_update", delete="destroy"), name="session"),
    path(f"{SESSION}messages/", _view(MessageViewSet, get="list", post="create"), name="messages"),
    path(
        f"{SESSION}messages/<str:seq>/",
        _view(MessageViewSet, get="retrieve", patch="partial_update", delete="destroy"),
        name="message",
    ),
    path(f"{SESSION}changes/", _view(ChangesViewSet, get="list"), name="changes"),
    path(
        f"{SESSION}messages/<str:seq>/siblings/",
        _view(SiblingsViewSet, get="list", post="create"),
        name="siblings",
    ),
    path(f"{SESSION}messages/<str:seq>/regenerate/", _view(RegenerationViewSet, post="create"), name="regenerate"),
    path(
        f"{SESSION}messages/<str:seq>/feedback/",
        _view(MessageFeedbackViewSet, get="list", put="update", delete="destroy"),
        name="message-feedback",
    ),
    path(f"{SESSION}attachments/", _view(AttachmentViewSet, post="create"), name="attachments"),
    path(f"{SESSION}attachments/<str:sha256>/", _view(AttachmentViewSet, get="retrieve"), name="attachment"),
    path(f"{SESSION}drafts/", _view(DraftViewSet, get="list"), name="drafts"),
    path(f"{SESSION}drafts/<str:draft_id>/", _view(DraftViewSet, get="retrieve"), name="draft"),
    path(f"{SESSION}drafts/<str:draft_id>/stop/", _view(DraftViewSet, post="stop"), name="draft-stop"),
    path(f"{SESSION}draft/", _view(DraftViewSet, get="retrieve_by_id"), name="draft-by-id"),
    path(f"{SESSION}draft/stop/", _view(DraftViewSet, post="stop_by_id"), name="draft-by-id-stop"),
    path(f"{SESSION}feedback/", _view(FeedbackViewSet, get="list"), name="feedback"),
    path("workspaces/<str:slug>/feedback/", _view(FeedbackSumsViewSet, get="list"), name="feedback-sums"),
    path(f"{SESSION}context/", _view(ContextViewSet, get="list"), name="context"),
    path(f"{SESSION}branches/", _view(BranchViewSet, get="list"), name="branches"),
    path(f"{SESSION}fork/", _view(BranchViewSet, post="create"), name="fork"),
    path(f"{SESSION}switch/", _view(BranchViewSet, post="switch"), name="switch"),
    # Only below "workspaces/": the host may have its own addresses under the API's prefix.
    re_path(
        r"^workspaces/(?P<rest>[\s\S]+)\Z", _view(UnknownViewSet, **dict.fromkeys(METHODS, "refuse")), name="unknown"
    ),
]
