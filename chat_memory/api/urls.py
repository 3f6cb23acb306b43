"""Owns the addresses of the API, for ``include("chat_memory.api.urls")``; ids are text here and parsed in the views."""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections, transaction
from django.http import HttpResponseBase
from django.urls import path

from chat_memory.api.branches import BranchViewSet
from chat_memory.api.context import ContextViewSet
from chat_memory.api.messages import MessageViewSet
from chat_memory.api.sessions import SessionViewSet
from chat_memory.api.unknown import METHODS, UnknownViewSet
from chat_memory.api.views import ChatMemoryViewSet
from chat_memory.api.workspaces import RootViewSet, WorkspaceViewSet

app_name = "chat_memory"


def _view(viewset: type[ChatMemoryViewSet], **actions: str) -> Callable[..., HttpResponseBase]:
    """A view outside every ATOMIC_REQUESTS: inside a transaction each append would take the slow path."""
    view: Callable[..., HttpResponseBase] = viewset.as_view(dict(actions))
    for alias in connections:  # whichever of them the router names
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


SESSION = "workspaces/<str:slug>/sessions/<str:session_id>/"

urlpatterns = [
    path("", _view(RootViewSet, get="list"), name="root"),
    path("workspaces/", _view(WorkspaceViewSet, get="list"), name="workspaces"),
    path("workspaces/<str:slug>/", _view(WorkspaceViewSet, get="retrieve"), name="workspace"),
    path("workspaces/<str:slug>/sessions/", _view(SessionViewSet, get="list", post="create"), name="sessions"),
    path(SESSION, _view(SessionViewSet, get="retrieve", patch="partial_update", delete="destroy"), name="session"),
    path(f"{SESSION}messages/", _view(MessageViewSet, get="list", post="create"), name="messages"),
    path(f"{SESSION}messages/<str:seq>/", _view(MessageViewSet, get="retrieve"), name="message"),
    path(f"{SESSION}context/", _view(ContextViewSet, get="list"), name="context"),
    path(f"{SESSION}branches/", _view(BranchViewSet, get="list"), name="branches"),
    path(f"{SESSION}fork/", _view(BranchViewSet, post="create"), name="fork"),
    # A host may have addresses of its own under the same prefix, so not everything unknown is ours.
    path("workspaces/<path:rest>", _view(UnknownViewSet, **dict.fromkeys(METHODS, "refuse")), name="unknown"),
]
